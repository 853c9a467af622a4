"""The figures of the report, each with its columns in both languages: the data of its chart, table and download.

Belongs here: queries on the published file. Does not: drawing (charts.py) or the page (page.py).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import orjson
import shapely

_SIMPLIFIED_DEGREES = 0.01  # about 1 km: the page is drawn a few hundred pixels wide
_LISTED_CHANGES = 40


TERMS = {  # codes in figures, in plain words
    "direct": ("directa", "direct"),
    "enabling": ("habilitante", "enabling"),
    "forest": ("Bosque", "Forest"),
    "andean": ("Andino", "Andean"),
    "dryland": ("Zona seca", "Dryland"),
    "mangrove": ("Manglar", "Mangrove"),
    "savanna": ("Sabana", "Savanna"),
    "wetland": ("Humedal", "Wetland"),
    "inland_water": ("Aguas continentales", "Inland water"),
    "intervened": ("Cobertura intervenida", "Transformed cover"),
    "all": ("Todo", "All"),
    "none": ("Sin dato", "Not reported"),
    "department": ("Departamento", "Department"),
    "ecosystem_family": ("Familia de ecosistemas", "Family of ecosystems"),
    "restoration_type": ("Tipo de restauración", "Type of restoration"),
    "initiatives": ("Iniciativas", "Initiatives"),
    "areas": ("Áreas", "Areas"),
    "spending": ("Gasto", "Spending"),
    "progress": ("Avance", "Progress"),
    "investments": ("Inversiones", "Investments"),
    "degradation": ("Degradación", "Degradation"),
    "status": ("Estado", "Status"),
    "target_ha": ("Meta", "Target"),
    "declared_ha": ("Declarado", "Declared"),
    "gross_ha": ("Bruto", "Gross"),
    "net_ha": ("Neto", "Net"),
    "area_ha": ("Superficie", "Area"),
    "updated_cost_pen": ("Costo actualizado", "Updated cost"),
    "initial_pen": ("PIA", "Opening budget (PIA)"),
    "modified_pen": ("PIM", "Budget (PIM)"),
    "certified_pen": ("Certificado", "Certified"),
    "accrued_pen": ("Devengado", "Accrued"),
    "paid_pen": ("Girado", "Paid"),
    "in_preparation": ("En preparación", "In preparation"),
    "in_progress": ("En ejecución", "In progress"),
    "post_completion": ("Monitoreo posterior", "Post-completion monitoring"),
    "new_record": ("Registro nuevo", "New record"),
    "revised_by_source": ("La fuente lo revisó", "Revised by its source"),
    "linked": ("Unida a otra", "Linked to another"),
    "split": ("Separada de otra", "Split from another"),
    "repaired": ("Polígono reparado", "Polygon repaired"),
    "withdrawn": ("Retirado", "Withdrawn"),
    "shared_ground": ("Otra área tomó o dejó suelo", "Another area took or left ground"),
    "sum_of_initiatives": ("Suma de sus iniciativas", "Sum of its initiatives"),
}


@dataclass(frozen=True)
class Column:
    """A column of a figure: its heading in both languages, and how numbers are shown (ha, S/, %, count)."""

    name: str
    es: str
    en: str
    kind: str = "text"


@dataclass(frozen=True)
class Figure:
    """One table of figures; `rows` are dictionaries by column name."""

    name: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]


# name: (query, columns). A heading `es | en | kind`.
_FIGURES: dict[str, tuple[str, dict[str, str]]] = {
    "targets": (
        """
        select target_id, target_name_es, target_name_en, target_ha, target_year, declared_ha, gross_ha, net_ha, net_checked_ha,
            declared_without_polygon_ha, progress_pct, pace_ha, pace_needed_ha, rule_es, rule_en
        from w.marts.progress_to_targets where is_latest order by target_ha
        """,
        {
            "target_name_es": "Meta | Target (es)",
            "target_name_en": "Meta (en) | Target",
            "target_ha": "Meta, ha | Target, ha | ha",
            "declared_ha": "Declarado | Declared | ha",
            "gross_ha": "Bruto | Gross | ha",
            "net_ha": "Neto | Net | ha",
            "progress_pct": "Neto / meta | Net / target | %",
            "net_checked_ha": "Verificado en campo | Checked in the field | ha",
            "declared_without_polygon_ha": "Declarado sin polígono | Declared without polygon | ha",
            "pace_ha": "Ritmo anual | Yearly pace | ha",
            "pace_needed_ha": "Ritmo necesario | Pace needed | ha",
        },
    ),
    "bridge": (
        """
        select framework_es, framework_en, step_es, step_en, net_ha from w.marts.reporting_bridge
        order by framework, step_order
        """,
        {
            "framework_es": "Meta o marco | Target or framework (es)",
            "framework_en": "Meta o marco (en) | Target or framework",
            "step_es": "Paso | Step (es)",
            "step_en": "Paso (en) | Step",
            "net_ha": "Hectáreas netas | Net hectares | ha",
        },
    ),
    "years": (
        """
        select progress_year, net_checked_ha, net_drawn_ha, net_ha, declared_ha from w.marts.progress_to_targets
        where target_id = 'gbf_target_2' order by progress_year
        """,
        {
            "progress_year": "Año | Year | year",
            "net_ha": "Neto | Net | ha",
            "net_checked_ha": "Verificado en campo | Checked in the field | ha",
            "net_drawn_ha": "Solo polígono | Polygon only | ha",
            "declared_ha": "Declarado | Declared | ha",
        },
    ),
    "ecosystems": (
        """
        select ecosystem_name, region_group, degraded_2019_ha, net_ha, net_degraded_ha, net_protected_ha, share_of_degraded_pct, share_of_net_pct,
            net_of_degraded_pct, get_efg_code
        from w.marts.restoration_by_ecosystem where net_ha > 0 or degraded_2019_ha > 0
        order by greatest(coalesce(share_of_net_pct, 0), coalesce(share_of_degraded_pct, 0)) desc, ecosystem_name
        """,
        {
            "ecosystem_name": "Ecosistema | Ecosystem",
            "get_efg_code": "Grupo GET | GET group",
            "degraded_2019_ha": "Degradado | Degraded | ha",
            "net_ha": "En restauración, neto | Under restoration, net | ha",
            "net_degraded_ha": "De ello, sobre suelo degradado | Of it, on degraded ground | ha",
            "share_of_degraded_pct": "Parte de lo degradado | Share of degraded | %",
            "share_of_net_pct": "Parte de lo restaurado | Share of restoration | %",
        },
    ),
    "departments": (
        """
        select d.department_ubigeo, d.department_name, d.initiative_count, d.declared_ha, d.gross_ha, d.net_ha, d.net_degraded_ha, d.net_protected_ha
        from w.marts.restoration_by_department as d order by d.net_ha desc, d.department_ubigeo
        """,
        {
            "department_name": "Departamento | Department",
            "initiative_count": "Iniciativas | Initiatives | count",
            "declared_ha": "Declarado | Declared | ha",
            "gross_ha": "Bruto | Gross | ha",
            "net_ha": "Neto | Net | ha",
            "net_degraded_ha": "Sobre suelo degradado | On degraded ground | ha",
            "net_protected_ha": "En área protegida u OMEC | In a protected area or OECM | ha",
        },
    ),
    "money": (
        """
        select fiscal_year, short_name, restoration_class, sum(accrued_pen) as accrued_pen,
            sum(accrued_pen) - sum(unlinked_pen) as linked_pen, sum(unlinked_pen) as unlinked_pen
        from w.marts.spending_linkage where restoration_class = 'direct' group by all order by all
        """,
        {
            "fiscal_year": "Año | Year | year",
            "short_name": "Programa | Programme",
            "restoration_class": "Clase | Class | term",
            "accrued_pen": "Devengado | Accrued | S/",
            "linked_pen": "Unido a iniciativas | Tied to initiatives | S/",
            "unlinked_pen": "Sin unir | Not tied | S/",
        },
    ),
    "enabling": (
        """
        select r.reason_es, r.reason_en, l.restoration_confidence, sum(l.accrued_pen) as accrued_pen,
            sum(l.accrued_pen) - sum(l.unlinked_pen) as linked_pen
        from w.marts.spending_linkage as l inner join restoration_rules as r on l.restoration_rule = r.rule_id
        where l.restoration_class = 'enabling' group by all order by accrued_pen desc
        """,
        {
            "reason_es": "Regla | Rule (es)",
            "reason_en": "Regla (en) | Rule",
            "restoration_confidence": "Confianza | Confidence | term",
            "accrued_pen": "Devengado | Accrued | S/",
            "linked_pen": "Unido a iniciativas | Tied to initiatives | S/",
        },
    ),
    "budget": (
        """
        select fiscal_year, short_name, modified_pen, accrued_pen, execution_pct, official_accrued_pen, accrued_difference_pen
        from w.marts.spending_by_programme order by fiscal_year desc, short_name
        """,
        {
            "fiscal_year": "Año | Year | year",
            "short_name": "Programa | Programme",
            "modified_pen": "PIM | Budget (PIM) | S/",
            "accrued_pen": "Devengado | Accrued | S/",
            "execution_pct": "Ejecución | Execution | %",
            "official_accrued_pen": "Devengado oficial | Official accrued | S/",
            "accrued_difference_pen": "Diferencia | Difference | S/",
        },
    ),
    "double": (
        """
        select institution_a, institution_b, is_same_initiative, pair_count, mostly_same_ground_count, overlap_ha
        from w.marts.double_counting order by overlap_ha desc
        """,
        {
            "institution_a": "Una institución | One institution",
            "institution_b": "La otra | The other",
            "is_same_initiative": "La misma iniciativa | Same initiative",
            "pair_count": "Pares de áreas | Pairs of areas | count",
            "mostly_same_ground_count": "Casi el mismo suelo | Mostly the same ground | count",
            "overlap_ha": "Suelo compartido | Shared ground | ha",
        },
    ),
    "cost": (
        """
        select dimension, coalesce(u.unit_name, t.type_name_es, c.group_code) as group_es, coalesce(u.unit_name, t.type_name_en, c.group_code) as group_en,
            c.initiative_count, c.counted_initiatives, c.accrued_pen, c.own_ha, c.pen_per_ha, c.lower_quartile_pen_per_ha, c.median_pen_per_ha,
            c.upper_quartile_pen_per_ha, c.ground_share_pct
        from w.marts.cost_per_hectare as c
        left join w.core.admin_units as u on c.dimension = 'department' and c.group_code = u.ubigeo
        left join restoration_types as t on c.dimension = 'restoration_type' and c.group_code = t.restoration_type
        where c.counted_initiatives > 0
        order by c.dimension, c.median_pen_per_ha desc nulls last, c.group_code
        """,
        {
            "dimension": "Dimensión | Dimension | term",
            "group_es": "Grupo | Group (es)",
            "group_en": "Grupo (en) | Group",
            "counted_initiatives": "Iniciativas con gasto y suelo | Initiatives with money and ground | count",
            "accrued_pen": "Devengado unido | Tied accrued | S/",
            "own_ha": "Suelo propio | Own ground | ha",
            "pen_per_ha": "S/ por ha | S/ per ha | S/",
            "lower_quartile_pen_per_ha": "Primer cuartil | Lower quartile | S/",
            "median_pen_per_ha": "Mediana S/ por ha | Median S/ per ha | S/",
            "upper_quartile_pen_per_ha": "Tercer cuartil | Upper quartile | S/",
            "ground_share_pct": "Parte del suelo cubierta | Share of ground covered | %",
        },
    ),
    "scores": (
        """
        select reporting_institution, institution_name, sum(rows_received) filter (where dimension = 'all') as rows_received,
            sum(rows_quarantined) filter (where dimension = 'all') as rows_quarantined,
            max(score) filter (where dimension = 'all') as score, max(trend) filter (where dimension = 'all') as trend,
            max(score) filter (where dimension = 'completeness') as completeness, max(score) filter (where dimension = 'conformity') as conformity,
            max(score) filter (where dimension = 'consistency') as consistency, max(score) filter (where dimension = 'accuracy') as accuracy,
            max(score) filter (where dimension = 'uniqueness') as uniqueness, max(score) filter (where dimension = 'timeliness') as timeliness
        from w.quality.scorecard where source = 'all' group by all order by score, reporting_institution
        """,
        {
            "institution_name": "Institución | Institution",
            "rows_received": "Filas recibidas | Rows received | count",
            "rows_quarantined": "En cuarentena | Quarantined | count",
            "score": "Puntaje | Score | score",
            "trend": "Cambio | Change | score",
            "completeness": "Completitud | Completeness | score",
            "conformity": "Conformidad | Conformity | score",
            "consistency": "Coherencia | Consistency | score",
            "accuracy": "Exactitud | Accuracy | score",
            "uniqueness": "Unicidad | Uniqueness | score",
            "timeliness": "Oportunidad | Timeliness | score",
        },
    ),
    "changes": (
        f"""
        select subject, label, measure, fiscal_year, change_kind, value_before, value_after, difference, unit, reason
        from w.marts.changes_since_last_release order by abs(difference) desc nulls last, subject, record_key, measure limit {_LISTED_CHANGES}
        """,
        {
            "subject": "Qué | What | term",
            "label": "Cuál | Which",
            "measure": "Medida | Measure | term",
            "fiscal_year": "Año | Year | year",
            "value_before": "Antes | Before | number_or_term",
            "value_after": "Ahora | Now | number_or_term",
            "difference": "Diferencia | Difference | number",
            "unit": "Unidad | Unit",
            "reason": "Motivo | Reason | term",
        },
    ),
    "sources": (
        """
        select title_es, source, partition, url, max(last_good_at) as last_good_at, max(last_changed_at) as last_changed_at, licence,
            bool_or(is_stale) as is_stale
        from w.quality.source_status group by all order by source, partition
        """,
        {
            "title_es": "Fuente | Source",
            "partition": "Parte | Part",
            "last_good_at": "Leída | Read | moment",
            "last_changed_at": "Cambió | Changed | moment",
            "is_stale": "Atrasada | Stale",
            "licence": "Licencia | Licence",
        },
    ),
}
_TOTALS = """
    select
        (select sum(declared_ha) from w.core.initiatives where counts_as_under_restoration) as declared_ha,
        (select sum(gross_ha) from w.core.initiatives where counts_as_under_restoration) as gross_ha,
        (select sum(net_ha) from w.core.initiatives where counts_as_under_restoration) as net_ha,
        (select count(*) from w.core.initiatives where counts_as_under_restoration) as initiatives,
        (select sum(accrued_pen) from w.marts.spending_linkage where restoration_class = 'direct') as direct_pen,
        (select sum(unlinked_pen) from w.marts.spending_linkage where restoration_class = 'direct') as unlinked_pen,
        (select sum(accrued_pen) from w.marts.spending_linkage where restoration_class = 'enabling') as enabling_pen,
        (select min(fiscal_year) from w.marts.spending_linkage) as first_year,
        (select max(fiscal_year) from w.marts.spending_linkage) as last_year,
        (select count(*) from w.marts.changes_since_last_release) as changes
"""
_POINTS = """
    select i.name, i.status, round(st_x(p.point), 3) as lon, round(st_y(p.point), 3) as lat, round(i.net_ha, 1) as net_ha,
        round(i.declared_ha, 1) as declared_ha, coalesce(o.institution_name, i.lead_institution_id) as lead, i.source_count as sources
    from w.core.initiatives as i
    inner join (
        select initiative_id, arg_max(st_pointonsurface(geometry), coalesce(geometry_ha, 0)) as point
        from w.core.areas where geometry is not null group by initiative_id
    ) as p on i.initiative_id = p.initiative_id
    left join w.core.institutions as o on i.lead_institution_id = o.institution_id
    where i.counts_as_under_restoration
    order by i.net_ha desc nulls last, i.initiative_id
"""


def read_figures(con: duckdb.DuckDBPyConnection) -> dict[str, Figure]:
    """Every figure of the report, by name."""
    from dbt_like_sql.seeds import read_seed

    con.register("restoration_types", read_seed("restoration_types").to_arrow())
    con.register("restoration_rules", read_seed("restoration_rules").to_arrow())
    figures = {
        name: Figure(name, tuple(_column(column, text) for column, text in headings.items()), rows_of(con, query))
        for name, (query, headings) in _FIGURES.items()
    }
    for row in figures["cost"].rows:
        row["group_es"], row["group_en"] = (
            TERMS.get(row[f"group_{code}"], (row[f"group_{code}"],) * 2)[place]
            for place, code in enumerate(("es", "en"))
        )
    for row in figures["changes"].rows:  # words (a status) are in the same columns as amounts
        for name in ("value_before", "value_after"):
            row[name] = _number_or_word(row[name])
    return figures


def _number_or_word(text: str | None) -> float | str | None:
    """What a change was before or is now: the mart holds it as text, since a status is a word."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def totals(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The few numbers at the head of the page."""
    return rows_of(con, _TOTALS)[0]


def points(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Initiatives that count, one point each, in degrees."""
    return rows_of(con, _POINTS)


def department_shapes(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """GeoJSON of the departments, simplified together so that their borders still meet, outer rings clockwise as d3 wants them."""
    found = con.execute(
        "select ubigeo, unit_name, st_aswkb(geometry) from w.core.admin_units where unit_level = 'department' order by ubigeo"
    ).fetchall()
    shapes = shapely.coverage_simplify([shapely.from_wkb(bytes(shape)) for *_, shape in found], _SIMPLIFIED_DEGREES)
    shapes = shapely.orient_polygons(shapely.set_precision(shapes, 0.001), exterior_cw=True)
    features = [
        {
            "type": "Feature",
            "properties": {"ubigeo": ubigeo, "name": name},
            "geometry": orjson.loads(shapely.to_geojson(shape)),
        }
        for (ubigeo, name, _), shape in zip(found, shapes, strict=True)
    ]
    return {"type": "FeatureCollection", "features": features}


def rows_of(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Rows as dictionaries that JSON can hold."""
    found = con.execute(query)
    names = [column[0] for column in found.description or []]
    return [{n: _plain(v) for n, v in zip(names, row, strict=True)} for row in found.fetchall()]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _column(name: str, text: str) -> Column:
    es, en, *kind = [part.strip() for part in text.split("|")]
    return Column(name, es, en, *kind)
