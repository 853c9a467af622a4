"""The restorative continuum: no initiative is lost, whatever its registries leave out."""

from __future__ import annotations

from dbt_like_sql.descriptions import FOLDER
from dbt_like_sql.seeds import read_seed
from resources.warehouse import connect
from restoration.build.session import MACROS


def test_an_initiative_of_no_known_type_or_status_has_a_step_of_its_own() -> None:
    con = connect()
    con.execute(MACROS.read_text(encoding="utf-8"))
    con.execute("create schema core; create schema seeds")
    con.register("types", read_seed("restoration_types").to_arrow())
    con.execute("create table seeds.restoration_types as from types")
    con.execute(
        """
        create table core.initiatives as select * from (values
            ('a', 'remediation', true, 10.0), ('b', 'remediation', false, 5.0), ('c', null, true, 2.0), ('d', null, null, 1.0)
        ) as t (initiative_id, continuum_step, counts_as_under_restoration, net_ha)
        """
    )
    con.execute(
        "alter table core.initiatives add column declared_ha double; alter table core.initiatives add column gross_ha double"
    )
    select = (FOLDER / "marts" / "continuum.sql").read_text(encoding="utf-8")
    query = f"select continuum_step, initiative_count, net_ha, preparing_count, preparing_net_ha from ({select}) order by net_ha"
    rows = {row[0]: row[1:] for row in con.execute(query).fetchall()}
    assert rows["remediation"] == (1, 10, 1, 5)
    assert rows["unknown"] == (1, 2, 1, 1)
    assert sum(row[0] + row[2] for row in rows.values()) == 4
    con.execute("delete from core.initiatives where continuum_step is null")
    assert "unknown" not in {row[0] for row in con.execute(query).fetchall()}
