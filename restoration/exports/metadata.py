"""The release's own record for catalogues of spatial data: ISO 19115 (as ISO 19139 XML) and DCAT (JSON-LD).

Belongs here: what the record says, in the words of the IDEP's basic profile. Does not: how ISO writes it (pygeometa;
its DCAT of 0.19 asks for fields it does not document, so that one is a dictionary here).
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
from lxml import etree
from pygeometa.schemas.iso19139 import ISO19139OutputSchema

from restoration.exports.release import Release, Rows

ISO, DCAT = "restauracion.iso19139.xml", "restauracion.dcat.jsonld"
_IDENTIFIER = "pe-restauracion-almacen"
_OWNER = "Grupo de Trabajo Multiactor de Restauración"


def write_metadata(con: duckdb.DuckDBPyConnection, release: Release, folder: Path) -> Rows:
    """Write both records."""
    about = _record(con, release)
    (folder / ISO).write_text(_without_comments(ISO19139OutputSchema().write(about)), encoding="utf-8")
    (folder / DCAT).write_text(json.dumps(_dcat(about, release), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return {}


def _without_comments(xml: str) -> str:
    """Catalogues that take the first child for the record stumble over a comment before it."""
    tree = etree.fromstring(
        xml.encode(), etree.XMLParser(remove_comments=True, remove_blank_text=True, resolve_entities=False)
    )
    return str(etree.tostring(tree, encoding="unicode", pretty_print=True))


def _record(con: duckdb.DuckDBPyConnection, release: Release) -> dict[str, Any]:
    bounds = con.execute(
        "select min(st_xmin(geometry)), min(st_ymin(geometry)), max(st_xmax(geometry)), max(st_ymax(geometry))"
        " from w.core.areas where geometry is not null"
    ).fetchone() or (-81.4, -18.4, -68.6, 0.1)
    years = con.execute("select min(progress_year) from w.marts.progress_to_targets").fetchone()
    sources = con.execute(
        "select distinct title_es from w.quality.source_status where snapshot_id is not null order by 1"
    ).fetchall()
    first = years[0] if years else release.as_of.year
    sandbox = "ENTORNO DE PRUEBA: datos inventados, de ninguna institución. " if release.is_sandbox else ""
    contact = {"organization": _OWNER, "country": "Perú", "role": "pointOfContact"}
    return {
        "mcf": {"version": "1.0"},
        "metadata": {
            "identifier": f"{_IDENTIFIER}-{release.release_id}",
            "language": "spa",
            "charset": "utf8",
            "parentidentifier": _IDENTIFIER,
            "hierarchylevel": "dataset",
            "datestamp": release.published_at.astimezone(dt.UTC).date(),
        },
        "spatial": {"datatype": "vector", "geomtype": "complex"},
        "identification": {
            "language": "spa",
            "charset": "utf8",
            "title": {
                "spa": "Iniciativas, áreas y gasto en restauración de ecosistemas del Perú",
                "eng": "Restoration of ecosystems in Peru: initiatives, areas and spending",
            },
            "edition": release.release_id,
            "abstract": {
                "spa": sandbox
                + "Iniciativas de restauración de ecosistemas de todas las instituciones, con sus áreas y el gasto público que las paga. Cada "
                "hectárea neta se cuenta una sola vez; las superficies se miden en EPSG:6933.",
                "eng": "Ecosystem restoration initiatives of every institution, with their areas and the public spending that pays for them. "
                "Each net hectare is counted once; areas are measured in EPSG:6933.",
            },
            "dates": {"publication": release.published_at.astimezone(dt.UTC).date()},
            "keywords": {
                "default": {
                    "keywords": {
                        "spa": [
                            "restauración de ecosistemas",
                            "degradación",
                            "presupuesto público",
                            "Perú",
                            "meta 2 Kunming-Montreal",
                        ]
                    },
                    "keywords_type": "theme",
                }
            },
            "topiccategory": ["environment"],
            "extents": {
                "spatial": [{"bbox": [round(b, 6) for b in bounds], "crs": 4326}],
                "temporal": [{"begin": dt.date(first, 1, 1), "end": release.as_of}],
            },
            "fees": "Ninguna",
            "accessconstraints": "otherRestrictions",
            "rights": {"spa": "La licencia de cada fuente está en quality.source_status.licence"},
            "status": "completed",
            "maintenancefrequency": "daily",
        },
        "contact": {"owner": contact, "pointOfContact": contact, "distributor": contact},
        "distribution": {
            "gpkg": {
                "url": "file:exports/gis/restauracion.gpkg",
                "type": "file",
                "rel": "data",
                "name": {"spa": "GeoPackage"},
                "description": {"spa": "Iniciativas, áreas, traslapes y repartos"},
                "function": "download",
            },
            "parquet": {
                "url": "file:exports/gis/areas.parquet",
                "type": "file",
                "rel": "data",
                "name": {"spa": "GeoParquet 1.1"},
                "description": {"spa": "Áreas"},
                "function": "download",
            },
            "duckdb": {
                "url": "file:warehouse/restauracion.duckdb",
                "type": "file",
                "rel": "data",
                "name": {"spa": "DuckDB"},
                "description": {"spa": "El almacén completo"},
                "function": "download",
            },
        },
        "dataquality": {
            "scope": {"level": "dataset"},
            "lineage": {
                "statement": "Leído de: "
                + "; ".join(row[0] for row in sources)
                + ". Método en docs/method.md; cada fila dice su fuente y su copia."
            },
        },
    }


def _dcat(about: dict[str, Any], release: Release) -> dict[str, Any]:
    """The same record as DCAT 3. Addresses are relative to the data folder; whoever publishes it sets the base."""
    reported, where = about["identification"], about["identification"]["extents"]
    west, south, east, north = where["spatial"][0]["bbox"]
    box = f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"

    def in_both(text: dict[str, str]) -> list[dict[str, str]]:
        return [{"@value": text[code], "@language": short} for code, short in (("spa", "es"), ("eng", "en"))]

    return {
        "@context": {
            "dcat": "http://www.w3.org/ns/dcat#",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
            "geo": "http://www.opengis.net/ont/geosparql#",
        },
        "@type": "dcat:Dataset",
        "@id": f"urn:{about['metadata']['identifier']}",
        "dct:identifier": about["metadata"]["identifier"],
        "dct:isVersionOf": {"@id": f"urn:{_IDENTIFIER}"},
        "dcat:version": release.release_id,
        "dct:title": in_both(reported["title"]),
        "dct:description": in_both(reported["abstract"]),
        "dct:language": "es",
        "dct:issued": {"@value": release.stamp, "@type": "xsd:dateTime"},
        "dct:publisher": {"@type": "foaf:Organization", "foaf:name": _OWNER},
        "dcat:keyword": [
            {"@value": word, "@language": "es"} for word in reported["keywords"]["default"]["keywords"]["spa"]
        ],
        "dct:accrualPeriodicity": {"@id": "http://publications.europa.eu/resource/authority/frequency/DAILY"},
        "dct:spatial": {"@type": "dct:Location", "dcat:bbox": {"@value": box, "@type": "geo:wktLiteral"}},
        "dct:temporal": {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": {"@value": f"{where['temporal'][0]['begin']}", "@type": "xsd:date"},
            "dcat:endDate": {"@value": f"{where['temporal'][0]['end']}", "@type": "xsd:date"},
        },
        "dct:provenance": {
            "@type": "dct:ProvenanceStatement",
            "dct:description": about["dataquality"]["lineage"]["statement"],
        },
        "dcat:distribution": [
            {
                "@type": "dcat:Distribution",
                "dct:title": way["name"]["spa"],
                "dct:description": way["description"]["spa"],
                "dcat:downloadURL": way["url"].removeprefix("file:"),
            }
            for way in about["distribution"].values()
        ],
    }
