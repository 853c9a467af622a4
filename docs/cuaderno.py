"""Cuaderno de marimo: las preguntas de la guía, con controles y gráficos, sobre el archivo publicado.

Belongs here: questions that an analyst changes by hand. Does not: the answers (marts). `make notebook` opens it.
"""

import marimo

app = marimo.App(width="medium", app_title="Restauración de ecosistemas del Perú")


@app.cell
def _():
    import os
    from pathlib import Path

    import altair as alt
    import duckdb
    import marimo as mo

    path = Path(os.environ.get("RESTAURACION_DATA_DIR") or "data") / "warehouse" / "restauracion.duckdb"
    con = duckdb.connect(str(path), read_only=True)
    release = con.sql(
        "select release_id, is_sandbox, as_of from meta.releases order by verified_at desc limit 1"
    ).fetchone()
    return alt, con, mo, release


@app.cell
def _(mo, release):
    banner = "**ENTORNO DE PRUEBA: datos inventados.** " if release[1] else ""
    mo.md(f"# Restauración de ecosistemas del Perú\n{banner}Publicación `{release[0]}`, datos al {release[2]}")
    return


@app.cell
def _(con, mo):
    targets = dict(con.sql("select target_name_es, target_id from core.targets order by 1").fetchall())
    target = mo.ui.dropdown(targets, value=next(iter(targets)), label="Meta")
    target
    return (target,)


@app.cell
def _(alt, con, mo, target):
    progress = con.execute(
        "select progress_year, declared_ha, gross_ha, net_ha, progress_pct from marts.progress_to_targets where target_id = ? order by 1",
        [target.value],
    ).pl()
    years = (
        alt.Chart(progress)
        .transform_fold(["declared_ha", "gross_ha", "net_ha"])
        .mark_line(point=True)
        .encode(
            x="progress_year:O",
            y=alt.Y("value:Q", title="ha"),
            color="key:N",
            tooltip=["progress_year:O", "key:N", "value:Q"],
        )
    )
    mo.vstack(
        [mo.md("## 1–2. Avance, año a año (las metas no se suman)"), years, mo.ui.table(progress, selection=None)]
    )
    return (progress,)


@app.cell
def _(con, mo):
    departments = dict(
        con.sql(
            "select department_name, department_ubigeo from marts.restoration_by_department where department_ubigeo is not null order by 1"
        ).fetchall()
    )
    department = mo.ui.dropdown(departments, value=next(iter(departments)), label="Departamento")
    department
    return (department,)


@app.cell
def _(con, department, mo):
    ground = con.execute("select name, lead_institution_id, status, net_ha from ground_in(?)", [department.value]).pl()
    mo.vstack(
        [
            mo.md(f"## 4. En el departamento: {ground['net_ha'].sum():,.0f} ha netas"),
            mo.ui.table(ground, selection=None),
        ]
    )
    return (ground,)


@app.cell
def _(alt, con, mo):
    double = con.sql(
        "select institution_a || ' – ' || institution_b as pair, is_same_initiative, overlap_ha from marts.double_counting"
    ).pl()
    pairs = (
        alt.Chart(double)
        .mark_bar()
        .encode(y=alt.Y("pair:N", title=None), x="overlap_ha:Q", color="is_same_initiative:N")
    )
    mo.vstack([mo.md("## 3. Doble conteo"), pairs])
    return (double,)


@app.cell
def _(alt, con, mo):
    ecosystems = con.sql(
        "select ecosystem_name, share_of_degraded_pct, share_of_net_pct from marts.restoration_by_ecosystem"
        " where degraded_2019_ha > 0 order by share_of_degraded_pct desc limit 12"
    ).pl()
    shares = (
        alt.Chart(ecosystems)
        .transform_fold(["share_of_degraded_pct", "share_of_net_pct"])
        .mark_bar()
        .encode(
            y=alt.Y("ecosystem_name:N", sort=None, title=None),
            yOffset="key:N",
            x=alt.X("value:Q", title="%"),
            color="key:N",
        )
    )
    mo.vstack([mo.md("## 5. Ecosistemas"), shares])
    return (ecosystems,)


@app.cell
def _(mo):
    classes = mo.ui.multiselect(
        ["direct", "enabling", "unknown", "not_restoration"], value=["direct", "enabling"], label="Clases de gasto"
    )
    classes
    return (classes,)


@app.cell
def _(alt, classes, con, mo):
    spending = con.execute(
        "select fiscal_year, short_name, sum(accrued_pen)::double as accrued_pen, sum(unlinked_pen)::double as unlinked_pen"
        " from marts.spending_linkage where list_contains(?, restoration_class) group by all order by all",
        [classes.value],
    ).pl()
    by_year = alt.Chart(spending).mark_bar().encode(x="fiscal_year:O", y="sum(accrued_pen):Q", color="short_name:N")
    mo.vstack([mo.md("## 6. Gasto, y lo que no se puede unir"), by_year, mo.ui.table(spending, selection=None)])
    return (spending,)


@app.cell
def _(con, mo):
    cost = con.sql(
        "select dimension, group_code, counted_initiatives, median_pen_per_ha, ground_share_pct from marts.cost_per_hectare"
        " where counted_initiatives > 0 order by dimension, median_pen_per_ha desc"
    ).pl()
    mo.vstack([mo.md("## 7. Costo por hectárea"), mo.ui.table(cost, selection=None)])
    return (cost,)


@app.cell
def _(con, mo):
    wanted = mo.ui.text(
        value=con.sql("select max(initiative_id) from core.initiative_spending").fetchone()[0], label="Iniciativa"
    )
    wanted
    return (wanted,)


@app.cell
def _(con, mo, wanted):
    one = {
        name: con.execute(f"select * from {name}_of(?)", [wanted.value]).pl()
        for name in ("sources", "areas", "spending", "overlaps")
    }
    mo.vstack(
        [
            mo.md("## 8. Una iniciativa: fuentes, áreas, gasto, traslapes"),
            *(mo.ui.table(t, selection=None) for t in one.values()),
        ]
    )
    return (one,)


@app.cell
def _(mo):
    day = mo.ui.date(label="Qué se sabía el día")
    day
    return (day,)


@app.cell
def _(con, day, mo):
    known = con.execute(
        "select target_id, net_ha, data_as_of from progress_as_of(?) where is_latest order by 1", [day.value]
    ).pl()
    mo.vstack([mo.md("## 9. Qué se sabía entonces"), mo.ui.table(known, selection=None)])
    return (known,)


@app.cell
def _(con, mo):
    held = con.sql(
        "select reporting_institution, check_name, count(*) as filas, any_value(mend_es) as como_corregir from quality.quarantine"
        " group by all order by filas desc, reporting_institution, check_name"
    ).pl()
    mo.vstack([mo.md("## 10. Qué se rechazó y por qué"), mo.ui.table(held, selection=None)])
    return (held,)


if __name__ == "__main__":
    app.run()
