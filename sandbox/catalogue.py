"""What the sandbox's servers offer: hosts, services, layers, fields, domains.

Belongs here: names as the real servers use them; what no source documents is an assumption and listed in
docs/assumptions.md. Does not: data (world.py) or protocol (servers/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sandbox.geography import DEGRADED_HA_BY_YEAR
from sandbox.surroundings import SUBZONES, ZONES

MINAM = "geoservidorperu.minam.gob.pe"
SERFOR = "geo.serfor.gob.pe"
SERNANP = "geoservicios.sernanp.gob.pe"
INEI = "geoespacial.inei.gob.pe"
INEI_FILES = "ide.inei.gob.pe"
OPEN_DATA = "www.datosabiertos.gob.pe"
ANA = "www.idep.gob.pe"
MEF = "fs.datosabiertos.mef.gob.pe"
CONSULTA = "apps5.mineco.gob.pe"
FAO = "api.data.apps.fao.org"
FERM_REGISTRY = "ferm.fao.org"

HOSTS = (MINAM, SERFOR, SERNANP, INEI, INEI_FILES, OPEN_DATA, ANA, MEF, CONSULTA, FAO, FERM_REGISTRY)


@dataclass(frozen=True)
class Field:
    """One attribute of a layer, in ArcGIS terms."""

    name: str
    kind: str  # OID, String, Double, Integer, SmallInteger, Date
    alias: str = ""
    domain: tuple[tuple[int | str, str], ...] = ()
    length: int = 255


@dataclass(frozen=True)
class Layer:
    """One layer of a map service. `data` names the file of features, None makes a group layer."""

    id: int
    name: str
    data: str | None
    fields: tuple[Field, ...] = ()
    geometry: str = "esriGeometryPolygon"
    stored_wkid: int = 4326
    supports_pagination: bool = True
    group: int = -1
    subtype_field: str = ""
    subtypes: tuple[tuple[int, str, tuple[tuple[str, tuple[tuple[int | str, str], ...]], ...]], ...] = ()


@dataclass(frozen=True)
class Service:
    """One map service: host, path below `rest/services`, layers."""

    host: str
    root: str
    path: str
    layers: tuple[Layer, ...]
    max_record_count: int = 1000

    @property
    def url_path(self) -> str:
        """Path of the service on its host."""
        return f"{self.root}/{self.path}/MapServer"


_STATUS = ((1, "En preparación"), (2, "En ejecución"), (3, "Monitoreo posterior"))
_TYPE = ((1, "Restauración ecológica"), (2, "Rehabilitación"), (3, "Remediación"), (4, "Reducción de impactos"))

_RECOVERY = (
    Field("OBJECTID", "OID"),
    Field("COD_INIC", "String", "Código de la iniciativa"),
    Field("NOM_INIC", "String", "Nombre de la iniciativa"),
    Field("INSTITUC", "String", "Institución responsable"),
    Field("ESTADO", "SmallInteger", "Estado", _STATUS),
    Field("TIPO_REST", "SmallInteger", "Tipo de restauración", _TYPE),
    Field("ECOSISTEMA", "String", "Ecosistema"),
    Field("UBIGEO", "String", "Ubigeo INEI", length=6),
    Field("CUI", "String", "Código único de inversión", length=7),
    Field("FEC_INI", "Date", "Fecha de inicio"),
    Field("FEC_FIN", "Date", "Fecha de término"),
    Field("HA_META", "Double", "Meta (ha)"),
    Field("HA_DECL", "Double", "Superficie declarada (ha)"),
    Field("VERIF_CAMPO", "String", "Verificado en campo", length=2),
    Field("OBSERV", "String", "Observaciones"),
)
_SERFOR_RESTORATION = (
    Field("OBJECTID", "OID"),
    Field("FUENTE", "String"),
    Field("DOCREG", "String", "Documento de registro"),
    Field("FECREG", "Date", "Fecha de registro"),
    Field("OBSERV", "String"),
    Field("ZONUTM", "SmallInteger"),
    Field("ORIGEN", "SmallInteger"),
    Field("NOMDEP", "String", "Departamento"),
    Field("NOMPRO", "String", "Provincia"),
    Field("NOMDIS", "String", "Distrito"),
    Field("CODINI", "String", "Código de iniciativa"),
    Field("NOMINI", "String", "Nombre de iniciativa"),
    Field("TITULA", "String", "Titular"),
    Field(
        "SITUAC",
        "String",
        "Situación",
        (("PREP", "En preparación"), ("EJEC", "En ejecución"), ("POST", "Monitoreo posterior")),
    ),
    Field(
        "TIPRES",
        "String",
        "Tipo",
        (("RE", "Restauración"), ("RH", "Rehabilitación"), ("RM", "Remediación"), ("RI", "Reducción de impactos")),
    ),
    Field("ECOSIS", "String", "Ecosistema"),
    Field("CODCUI", "String", "CUI", length=7),
    Field("FECINI", "Date", "Inicio"),
    Field("FECTER", "Date", "Término"),
    Field("SUPSIG", "Double", "Superficie SIG (ha)"),
    Field("SUPAPR", "Double", "Superficie aprobada (ha)"),
    Field("SUPMET", "Double", "Superficie meta (ha)"),
    Field("VERCAM", "SmallInteger", "Verificación de campo", ((0, "No"), (1, "Sí"))),
    Field("TENENC", "SmallInteger", "Tenencia (código FERM)"),
    Field("ACTIVI", "String", "Actividades (códigos FERM)"),
)
_DEGRADATION = (Field("OBJECTID", "OID"), Field("GRADO", "String", "Grado"), Field("FUENTE", "String", "Fuente"))
_ECOSYSTEMS = (
    Field("OBJECTID", "OID"),
    Field("ECO_LAYER", "String", "Capa"),
    Field("ECOSISTEMA", "String", "Ecosistema"),
    Field("SIMBOLO", "String", "Símbolo"),
)
_ANP = (Field("OBJECTID", "OID"), Field("anp_codi", "String"), Field("anp_nomb", "String"), Field("anp_cate", "String"))

_MERESE = (
    Field("OBJECTID", "OID"),
    Field("COD_ACUERD", "String"),
    Field("NOM_ACUERD", "String"),
    Field("MODALIDAD", "String"),
    Field("CONTRIBUY", "String"),
    Field("UBIGEO", "String", length=6),
    Field("FEC_SUSCR", "Date"),
    Field("AREA_HA", "Double"),
)
_OECM = (
    Field("OBJECTID", "OID"),
    Field("COD_OMEC", "String"),
    Field("NOM_OMEC", "String"),
    Field("TIPO_OMEC", "String"),
    Field("FEC_RECON", "Date"),
    Field("AREA_HA", "Double"),
)
_INTERVENTION = (
    Field("OBJECTID", "OID"),
    Field("CODIGO", "String"),
    Field("NOMBRE", "String"),
    Field("DIRECCION", "String"),
    Field("TIPO_INTER", "String"),
    Field("ESTADO", "String"),
    Field("UBIGEO", "String", length=6),
)
_ZONING = (
    Field("OBJECTID", "OID"),
    Field("FUENTE", "String"),
    Field("DOCREG", "String"),
    Field("NOMDEP", "String"),
    Field("NOMPRO", "String"),
    Field("NOMDIS", "String"),
    Field("DOCLEG", "String"),
    Field("CATZFO", "Integer"),
    Field("SCAZFO", "Integer"),
    Field("SUPAPR", "Double"),
)
_FRAGILE = (
    Field("OBJECTID", "OID"),
    Field("CODECO", "String"),
    Field("NOMECO", "String"),
    Field("TIPECO", "String"),
    Field("NOMDEP", "String"),
    Field("NOMDIS", "String"),
    Field("DOCLEG", "String"),
    Field("SUPAPR", "Double"),
)
_WATERSHED = (
    Field("OBJECTID", "OID"),
    Field("CODIGO", "String"),
    Field("NOMBRE", "String"),
    Field("AREA_KM2", "Double"),
)


def _conservation(prefix: str) -> tuple[Field, ...]:
    texts = ("codi", "nomb", "cate", "ubpo", "balec")
    return (
        Field("OBJECTID", "OID"),
        *(Field(f"{prefix}_{name}", "String") for name in texts),
        Field(f"{prefix}_suleg", "Double"),
        Field(f"{prefix}_felec", "Date"),
    )


_YEARS_DOWN = sorted(DEGRADED_HA_BY_YEAR, reverse=True)

SERVICES = (
    Service(
        MINAM,
        "/arcgis/rest/services",
        "ServicioDegradacion",
        (
            *(
                Layer(i, f"Degradación {year}", f"degradation_{year}", _DEGRADATION)
                for i, year in enumerate(_YEARS_DOWN)
            ),
            Layer(len(_YEARS_DOWN), "Ecosistemas", "ecosystems", _ECOSYSTEMS),
        ),
    ),
    Service(
        MINAM,
        "/arcgis/rest/services",
        "ServicioRecuperacion",
        (
            Layer(0, "Recuperación de ecosistemas", None),
            Layer(1, "Seguimiento a la recuperación (puntos)", "minam_points", _RECOVERY, "esriGeometryPoint"),
            Layer(2, "Seguimiento a la recuperación de áreas degradadas", "minam_polygons", _RECOVERY),
        ),
    ),
    Service(
        SERFOR,
        "/geoservicios/rest/services",
        "Servicios_OGC/Restauracion",
        (Layer(0, "Iniciativas de restauración", "serfor_polygons", _SERFOR_RESTORATION, stored_wkid=32718),),
        max_record_count=500,
    ),
    Service(
        SERNANP,
        "/arcgis/rest/services",
        "sernanp_visor/servicio_descarga",
        (
            Layer(0, "Áreas Naturales Protegidas", None),
            Layer(
                1,
                "ANP de Administración Nacional Definitivas",
                "protected_areas",
                _ANP,
                supports_pagination=False,
                group=0,
            ),
            Layer(3, "Área de Conservación Regional", "regional_areas", _conservation("acr"), group=0),
            Layer(4, "Área de Conservación Privada", "private_areas", _conservation("acp"), group=0),
            Layer(8, "Zonas de Amortiguamiento", "buffer_zones", _conservation("za")),
        ),
        max_record_count=200_000,
    ),
    Service(
        MINAM,
        "/arcgis/rest/services",
        "RUMERESE/Servicio_Merese",
        (Layer(0, "Acuerdos_MERESE", "merese_agreements", _MERESE),),
    ),
    Service(
        MINAM,
        "/arcgis/rest/services",
        "Servicio_OMEC",
        (Layer(0, "OMEC reconocidas", "oecms", _OECM, stored_wkid=32718),),
    ),
    Service(
        MINAM,
        "/arcgis/rest/services",
        "Servicios_ProyectosMINAM/Servicios_intervenciones_MINAM",
        tuple(
            Layer(i, f"Intervenciones {name}", f"interventions_{name}", _INTERVENTION)
            for i, name in ((6, "DGOTGIRN"), (8, "PNCBMCC"), (10, "DGDB"))
        ),
    ),
    Service(
        SERFOR,
        "/geoservicios/rest/services",
        "Servicios_OGC/Zonificacion_Forestal",
        (
            Layer(
                0,
                "Zonificación forestal",
                "forest_zoning",
                _ZONING,
                subtype_field="CATZFO",
                subtypes=tuple(
                    (code, name, ((("SCAZFO", SUBZONES[code]),) if code in SUBZONES else ())) for code, name in ZONES
                ),
            ),
        ),
        max_record_count=10_000,
    ),
    Service(
        SERFOR,
        "/geoservicios/rest/services",
        "Servicios_OGC/Inventario_Forestal",
        (Layer(0, "Ecosistemas frágiles", "fragile_ecosystems", _FRAGILE),),
        max_record_count=10_000,
    ),
    Service(
        ANA,
        "/geoportal/rest/services",
        "INSTITUCIONALES/ANA_WMS",
        (Layer(8, "Unidades hidrográficas", "watersheds", _WATERSHED),),
    ),
)


def services_with(layers: Iterable[str], renamed: Mapping[str, Mapping[str, str]]) -> tuple[Service, ...]:
    """The services as they are on a later day: added years of degradation, and renamed fields.

    `layers` are names of data files; `renamed` has old and new names of fields by data file.
    """
    known = {layer.data for service in SERVICES for layer in service.layers}
    new = [
        Layer(90 + place, f"Degradación {name.removeprefix('degradation_')}", name, _DEGRADATION)
        for place, name in enumerate(sorted(set(layers) - known))
        if name.startswith("degradation_")
    ]

    def on_the_day(layer: Layer) -> Layer:
        names = renamed.get(layer.data or "", {})
        return replace(layer, fields=tuple(replace(f, name=names.get(f.name, f.name)) for f in layer.fields))

    return tuple(
        replace(
            service, layers=(*map(on_the_day, service.layers), *(new if service.path == "ServicioDegradacion" else ()))
        )
        for service in SERVICES
    )


WFS_PATH = "/geoserver/Interoperabilidad/ows"
WFS_TYPE = "Interoperabilidad:ig_distrito"
WFS_TYPES = {
    WFS_TYPE: "districts",
    "Interoperabilidad:ig_provincia": "provinces",
    "Interoperabilidad:ig_departamento": "departments",
}
FILES_PATH = "/datastorefiles"
# host -> path prefix of its files
FILE_HOSTS = {MEF: FILES_PATH, OPEN_DATA: "/sites/default/files", INEI_FILES: "/files"}
CONSULTA_PATH = "/transparencia/mensual/Navegar_7.aspx"
FERM_PATH = "/api/v2/bigquery"
