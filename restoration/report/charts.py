"""The charts of the report, as Vega-Lite in both languages over data sets that the page holds once.

Belongs here: what is drawn and how. Does not: the figures (figures.py), or the script that draws them in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import altair as alt

Language = Literal["es", "en"]
# blue, amber, green of equal weight that colour-blind readers can distinguish; 3:1 and more against white
DECLARED, GROSS, NET = "#8a6d00", "#2b6cb0", "#14532d"
LINKED, UNLINKED = "#14532d", "#b7791f"
_PROGRAMMES = ["#14532d", "#2b6cb0", "#8a6d00", "#9b2c2c", "#6b46c1", "#4a5568"]
_SHOWN_ECOSYSTEMS = 15
_MAP_SCALE, _MAP_CENTRE = 1950, (-75.0, -9.4)  # Mercator: the country in 560 by 700 pixels

# short numbers on the axis, whole ones for who hears the chart
_SHORT = alt.Axis(format=",.0f", labelExpr="format(datum.value, '~s')")

_WORDS: dict[str, tuple[str, str]] = {
    "declared_ha": ("Declarado", "Declared"),
    "gross_ha": ("Bruto", "Gross"),
    "net_ha": ("Neto", "Net"),
    "net_checked_ha": ("Verificado en campo", "Checked in the field"),
    "net_drawn_ha": ("Solo polígono", "Polygon only"),
    "share_of_degraded_pct": ("Parte de lo degradado del país", "Share of the country's degraded ground"),
    "share_of_net_pct": ("Parte de lo que está en restauración", "Share of what is under restoration"),
    "linked_pen": ("Unido a iniciativas", "Tied to initiatives"),
    "unlinked_pen": ("Sin unir", "Not tied"),
    "completeness": ("Completitud", "Completeness"),
    "conformity": ("Conformidad", "Conformity"),
    "consistency": ("Coherencia", "Consistency"),
    "accuracy": ("Exactitud", "Accuracy"),
    "uniqueness": ("Unicidad", "Uniqueness"),
    "timeliness": ("Oportunidad", "Timeliness"),
    "hectares": ("hectáreas", "hectares"),
    "hectares_net": ("hectáreas netas", "net hectares"),
    "percent": ("%", "%"),
    "millions": ("millones de soles, devengado", "million soles, accrued"),
    "per_ha": ("soles por hectárea, mediana", "soles per hectare, median"),
    "year": ("Año", "Year"),
    "same": ("La misma iniciativa en dos registros", "One initiative in two registries"),
    "other": ("Dos iniciativas sobre el mismo suelo", "Two initiatives on the same ground"),
    "programme": ("Programa", "Programme"),
    "department": ("Departamento", "Department"),
    "initiative": ("Iniciativa", "Initiative"),
    "lead": ("A cargo de", "Led by"),
    "institution": ("Institución", "Institution"),
    "score": ("Puntaje", "Score"),
    "shared": ("Suelo compartido, ha", "Shared ground, ha"),
}


def _say(word: str, language: Language) -> str:
    return _WORDS[word][0 if language == "es" else 1]


def _named(name: str) -> alt.NamedData:
    return alt.NamedData(name)


def _folded(chart: Any, measures: list[str], language: Language) -> Any:
    """One row a measure, its name as people read it in `measure`."""
    cases = "".join(f"datum.key === '{m}' ? '{_escaped(_say(m, language))}' : " for m in measures)
    return chart.transform_fold(measures).transform_calculate(measure=cases + "''")


def _escaped(text: str) -> str:
    return text.replace("'", "\\'")


def _colour(measures: list[str], colours: list[str], language: Language) -> alt.Color:
    scale = alt.Scale(domain=[_say(m, language) for m in measures], range=colours)
    return alt.Color("measure:N", scale=scale, legend=alt.Legend(title=None, orient="top", columns=2))


def targets(language: Language) -> Any:
    """Declared, gross and net of each target."""
    measures = ["declared_ha", "gross_ha", "net_ha"]
    names = [_say(m, language) for m in measures]
    target = f"target_name_{language}"
    base = _folded(alt.Chart(_named("targets")), measures, language).encode(
        y=alt.Y(f"{target}:N", sort=None, title=None, axis=alt.Axis(labelLimit=170)),
        yOffset=alt.YOffset("measure:N", sort=names),
        x=alt.X("value:Q", title=_say("hectares", language), axis=_SHORT),
        color=_colour(measures, [DECLARED, GROSS, NET], language),
        tooltip=[f"{target}:N", "measure:N", alt.Tooltip("value:Q", format=",.0f", title="ha")],
    )
    share = base.transform_filter("datum.key === 'net_ha'").transform_calculate(
        share="format(datum.progress_pct, '.2f') + ' %'"
    )
    text = share.mark_text(align="left", dx=4, fontSize=11).encode(text="share:N", color=alt.value("#14532d"))
    return base.mark_bar() + text


def years(language: Language) -> Any:
    """Net hectares by year, by what proves them."""
    measures = ["net_checked_ha", "net_drawn_ha"]
    return (
        _folded(alt.Chart(_named("years")), measures, language)
        .mark_bar()
        .encode(
            x=alt.X("progress_year:O", title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("value:Q", title=_say("hectares_net", language), axis=_SHORT),
            color=_colour(measures, [NET, "#7fb08f"], language),
            tooltip=["progress_year:O", "measure:N", alt.Tooltip("value:Q", format=",.0f", title="ha")],
        )
    )


def ecosystems(language: Language) -> Any:
    """Where the country is degraded beside where it restores."""
    measures = ["share_of_degraded_pct", "share_of_net_pct"]
    names = [_say(m, language) for m in measures]
    return (
        _folded(
            alt.Chart(_named("ecosystems"))
            .transform_window(place="row_number()")
            .transform_filter(f"datum.place <= {_SHOWN_ECOSYSTEMS}"),
            measures,
            language,
        )
        .mark_bar()
        .encode(
            y=alt.Y("ecosystem_name:N", sort=None, title=None, axis=alt.Axis(labelLimit=190)),
            yOffset=alt.YOffset("measure:N", sort=names),
            x=alt.X("value:Q", title="%"),
            color=_colour(measures, ["#b7791f", NET], language),
            tooltip=["ecosystem_name:N", "measure:N", alt.Tooltip("value:Q", format=".2f", title="%")],
        )
    )


def money(language: Language) -> Any:
    """Restoration spending by programme: tied to initiatives or not."""
    measures = ["linked_pen", "unlinked_pen"]
    return (
        _folded(alt.Chart(_named("money")), measures, language)
        .transform_calculate(millions="datum.value / 1000000")
        .mark_bar()
        .encode(
            y=alt.Y("short_name:N", title=None, axis=alt.Axis(labelLimit=170)),
            x=alt.X("sum(millions):Q", title=_say("millions", language)),
            color=_colour(measures, [LINKED, UNLINKED], language),
            tooltip=["short_name:N", "measure:N", alt.Tooltip("sum(millions):Q", format=",.2f", title="S/ M")],
        )
    )


def money_years(language: Language) -> Any:
    """Restoration spending by year and programme."""
    return (
        alt.Chart(_named("money"))
        .transform_calculate(millions="datum.accrued_pen / 1000000")
        .mark_bar()
        .encode(
            x=alt.X("fiscal_year:O", title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("sum(millions):Q", title=_say("millions", language)),
            color=alt.Color(
                "short_name:N",
                scale=alt.Scale(range=_PROGRAMMES),
                legend=alt.Legend(title=None, orient="top", columns=2),
            ),
            tooltip=["fiscal_year:O", "short_name:N", alt.Tooltip("sum(millions):Q", format=",.2f", title="S/ M")],
        )
    )


def double(language: Language) -> Any:
    """Area reported by two institutions."""
    names = [_say("same", language), _say("other", language)]
    return (
        alt.Chart(_named("double"))
        .transform_calculate(
            pair="datum.institution_a + ' – ' + datum.institution_b",
            measure=f"datum.is_same_initiative ? '{_escaped(names[0])}' : '{_escaped(names[1])}'",
        )
        .mark_bar()
        .encode(
            y=alt.Y("pair:N", title=None, sort="-x"),
            x=alt.X("overlap_ha:Q", title=_say("shared", language), axis=_SHORT),
            color=alt.Color(
                "measure:N",
                scale=alt.Scale(domain=names, range=["#2b6cb0", "#9b2c2c"]),
                legend=alt.Legend(title=None, orient="top", columns=1),
            ),
            tooltip=["pair:N", "measure:N", alt.Tooltip("overlap_ha:Q", format=",.0f", title="ha"), "pair_count:Q"],
        )
    )


def _cost(dimension: str, language: Language) -> Any:
    """Bars to the median, a line from the lower to the upper quartile."""
    groups = (
        alt.Chart(_named("cost"))
        .transform_filter(f"datum.dimension === '{dimension}'")
        .encode(
            y=alt.Y(
                f"group_{language}:N",
                sort=alt.EncodingSortField("median_pen_per_ha", order="descending"),
                title=None,
                axis=alt.Axis(labelLimit=170),
            ),
            tooltip=[
                f"group_{language}:N",
                alt.Tooltip("median_pen_per_ha:Q", format=",.0f", title="S/ / ha"),
                alt.Tooltip("lower_quartile_pen_per_ha:Q", format=",.0f"),
                alt.Tooltip("upper_quartile_pen_per_ha:Q", format=",.0f"),
                "counted_initiatives:Q",
            ],
        )
    )
    bars = groups.mark_bar(color=GROSS).encode(x=alt.X("median_pen_per_ha:Q", title=_say("per_ha", language)))
    spread = groups.mark_rule(color="#333").encode(x="lower_quartile_pen_per_ha:Q", x2="upper_quartile_pen_per_ha:Q")
    return bars + spread


def cost_ecosystem(language: Language) -> Any:
    """Median soles per hectare by family of ecosystems."""
    return _cost("ecosystem_family", language)


def cost_department(language: Language) -> Any:
    """Median soles per hectare by department."""
    return _cost("department", language)


def scores(language: Language) -> Any:
    """The scorecard by institution and dimension."""
    measures = ["completeness", "conformity", "consistency", "accuracy", "uniqueness", "timeliness"]
    base = (
        _folded(alt.Chart(_named("scores")), measures, language)
        .transform_filter("datum.value !== null")
        .encode(
            y=alt.Y("institution_name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150)),
            x=alt.X(
                "measure:N",
                sort=[_say(m, language) for m in measures],
                title=None,
                axis=alt.Axis(labelAngle=-30, orient="top"),
            ),
            tooltip=["institution_name:N", "measure:N", alt.Tooltip("value:Q", format=".1f")],
        )
    )
    colour = alt.Color(
        "value:Q", scale=alt.Scale(domain=[70, 100], range=["#fbd5d0", "#e0f2e6"], clamp=True), legend=None
    )
    text = base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=".0f"), color=alt.value("#1d2a22"))
    return base.mark_rect(stroke="#ffffff").encode(color=colour) + text


def map_of(language: Language) -> Any:
    """Departments by net hectares, initiatives as points. The page's script moves and zooms it by its parameters."""
    shapes = alt.NamedData(name="shapes", format=alt.JsonDataFormat(property="features", type="json"))
    departments = (
        alt.Chart(shapes)
        .transform_lookup(
            lookup="properties.ubigeo",
            from_=alt.LookupData(
                _named("departments"), "department_ubigeo", ["department_name", "net_ha", "initiative_count"]
            ),
        )
        .mark_geoshape(stroke="#5a6b60", strokeWidth=0.7)
        .encode(
            color=alt.Color(
                "net_ha:Q",
                scale=alt.Scale(range=["#f4f7f4", "#5f9c74"]),
                legend=alt.Legend(title=_say("hectares_net", language), orient="bottom-left", format="~s"),
            ),
            tooltip=[
                alt.Tooltip("properties.name:N", title=_say("department", language)),
                alt.Tooltip("net_ha:Q", format=",.0f", title=_say("net_ha", language)),
                "initiative_count:Q",
            ],
        )
    )
    initiatives = (
        alt.Chart(_named("points"))
        .mark_circle(color="#9b2c2c", opacity=0.55, stroke="#ffffff", strokeWidth=0.3)
        .encode(
            longitude="lon:Q",
            latitude="lat:Q",
            size=alt.Size("net_ha:Q", scale=alt.Scale(range=[8, 160]), legend=None),
            tooltip=[
                alt.Tooltip("name:N", title=_say("initiative", language)),
                alt.Tooltip("lead:N", title=_say("lead", language)),
                alt.Tooltip("net_ha:Q", format=",.1f", title=_say("net_ha", language)),
                alt.Tooltip("declared_ha:Q", format=",.1f", title=_say("declared_ha", language)),
            ],
        )
    )
    parameters = [
        alt.param(name="mapScale", value=_MAP_SCALE),
        alt.param(name="mapCentre", value=list(_MAP_CENTRE)),
        alt.param(name="mapMiddle", value=[280, 350]),
    ]
    return (
        (departments + initiatives)
        .add_params(*parameters)
        .project(
            type="mercator", scale=alt.expr("mapScale"), center=alt.expr("mapCentre"), translate=alt.expr("mapMiddle")
        )
        .properties(height=700)
    )


_CHARTS: Mapping[str, Callable[[Language], Any]] = {
    "targets": targets,
    "years": years,
    "map": map_of,
    "ecosystems": ecosystems,
    "money": money,
    "money_years": money_years,
    "double": double,
    "cost_ecosystem": cost_ecosystem,
    "cost_department": cost_department,
    "scores": scores,
}


def specifications(descriptions: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Every chart in both languages, with what a screen reader says of it."""
    return {
        language: {
            name: draw(language)
            .properties(description=descriptions[name][0 if language == "es" else 1])
            .configure(font="system-ui, Segoe UI, DejaVu Sans, sans-serif", background="transparent")
            .configure_view(stroke=None)
            .configure_axis(labelColor="#1d2a22", titleColor="#1d2a22", gridColor="#e3e9e4", labelFontSize=12)
            .configure_legend(labelFontSize=12)
            .to_dict()
            for name, draw in _CHARTS.items()
        }
        for language in ("es", "en")
    }
