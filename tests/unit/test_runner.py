"""The SQL runner: what it reads from the SQL, what it refuses."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dbt_like_sql.lineage import column_lineage
from dbt_like_sql.runner import Description, Model, ModelError, build, load_models

SQL = """
with big as (select t.id, t.size from staging.things as t where t.size > 1)
select big.id, big.size * 2 as double_size, getvariable('as_of') as as_of
from big join seeds.codes as c on big.id = c.id
"""


def about(*columns: tuple[str, str]) -> Description:
    return Description.model_validate(
        {
            "description": {"es": "cosas", "en": "things"},
            "grain": "una | one",
            "columns": [{"name": n, "type": t, "es": "qué", "en": "what"} for n, t in columns],
        }
    )


def model(sql: str = SQL, *columns: tuple[str, str]) -> Model:
    return Model(
        "core", "things", sql, about(*(columns or (("id", "varchar"), ("double_size", "bigint"), ("as_of", "date"))))
    )


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create schema staging; attach ':memory:' as seeds")
    connection.execute("create table staging.things as select '1' as id, 3 as size union all select '2', 1")
    connection.execute("create table seeds.codes as select '1' as id")
    connection.execute("set variable as_of = date '2026-01-01'")
    return connection


def test_dependencies_are_read_from_the_sql_and_not_its_ctes() -> None:
    assert model().depends_on == {"staging.things"}
    assert model().inputs == {"seeds.codes"}
    assert model().variables == {"as_of"}


def test_accepted_rows_depend_on_the_staging_model() -> None:
    assert model("select a.id from accepted.things as a").depends_on == {"staging.things"}


def test_a_table_is_typed_ordered_and_commented_as_described(con: duckdb.DuckDBPyConnection) -> None:
    assert build(con, model()) == 1
    rows = con.execute(
        "select column_name, data_type, comment from duckdb_columns() where schema_name = 'core' order by column_index"
    ).fetchall()
    assert rows == [
        ("id", "VARCHAR", "qué | what"),
        ("double_size", "BIGINT", "qué | what"),
        ("as_of", "DATE", "qué | what"),
    ]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select t.id from staging.things as t", r"lacks \['as_of', 'double_size'\]"),
        ("select t.*, 1 as double_size, null as as_of from staging.things as t", r"undescribed \['size'\]"),
        ("select t.id, t.none as double_size, null as as_of from staging.things as t", "none"),
        ("select 'x' as id, 'x' as double_size, null as as_of", "Could not convert"),
    ],
)
def test_a_model_that_does_not_make_what_it_says_is_refused(
    con: duckdb.DuckDBPyConnection, sql: str, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        build(con, model(sql))


def test_lineage_follows_ctes_and_joins() -> None:
    found = column_lineage(model(), {"staging.things": ["id", "size"], "seeds.codes": ["id"]})
    assert found["double_size"] == [("staging.things", "size")]
    assert found["as_of"] == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"core/a.sql": "select x.i from core.b as x", "core/b.sql": "select x.i from core.a as x"}, "cycle"),
        ({"core/a.sql": "select x.i from core.nothing as x"}, r"unknown tables.*core\.a reads core\.nothing"),
        ({"core/a.sql": "select x.i from elsewhere.b as x"}, r"elsewhere\.b.*no layer holds"),
        ({"core/a.sql": "select from where"}, "cannot be read"),
        ({"core/a.sql": "drop table x"}, "a model is one SELECT"),
    ],
)
def test_a_folder_of_models_that_does_not_hold_together_is_refused(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for layer in ("staging", "core", "marts", "quality", "meta"):
        (tmp_path / layer).mkdir()
    for name, sql in files.items():
        (tmp_path / name).write_text(sql)
        (tmp_path / name).with_suffix(".yml").write_text(
            "description: {es: a, en: b}\ngrain: x\ncolumns: [{name: i, type: integer, es: a, en: b}]"
        )
    with pytest.raises(Exception, match=words):
        load_models(tmp_path)


def test_a_model_without_a_description_is_refused(tmp_path: Path) -> None:
    for layer in ("staging", "core", "marts", "quality", "meta"):
        (tmp_path / layer).mkdir()
    (tmp_path / "core" / "a.sql").write_text("select 1 as i")
    with pytest.raises(ModelError, match=r"have no .yml"):
        load_models(tmp_path)


def test_the_fingerprint_follows_sql_description_and_upstream() -> None:
    base = model().fingerprint({"staging.things": "a"})
    assert base == model().fingerprint({"staging.things": "a"})
    assert base != model().fingerprint({"staging.things": "b"})
    assert base != model(SQL + " ").fingerprint({"staging.things": "a"})
