"""What the sandbox's servers offer: hosts, services, layers, fields, domains.

Belongs here: names as the real servers use them; what no source documents is an assumption and listed in
docs/assumptions.md. Does not: data (world.py) or protocol (servers/).
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.geography import DEGRADED_HA_BY_YEAR

MINAM = "geoservidorperu.minam.gob.pe"
SERFOR = "geo.serfor.gob.pe"
SERNANP = "geoservicios.sernanp.gob.pe"
INEI = "geoespacial.inei.gob.pe"
MEF = "fs.datosabiertos.mef.gob.pe"

HOSTS = (MINAM, SERFOR, SERNANP, INEI, MEF)


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
    Field("SITUAC", "String", "Situación", (("PREP", "En preparación"), ("EJEC", "En ejecución"), ("POST", "Monitoreo posterior"))),
    Field("TIPRES", "String", "Tipo", (("RE", "Restauración"), ("RH", "Rehabilitación"), ("RM", "Remediación"), ("RI", "Reducción de impactos"))),
    Field("ECOSIS", "String", "Ecosistema"),
    Field("CODCUI", "String", "CUI", length=7),
    Field("FECINI", "Date", "Inicio"),
    Field("FECTER", "Date", "Término"),
    Field("SUPSIG", "Double", "Superficie SIG (ha)"),
    Field("SUPAPR", "Double", "Superficie aprobada (ha)"),
    Field("SUPMET", "Double", "Superficie meta (ha)"),
    Field("VERCAM", "SmallInteger", "Verificación de campo", ((0, "No"), (1, "Sí"))),
)  # fmt: skip
_DEGRADATION = (Field("OBJECTID", "OID"), Field("GRADO", "String", "Grado"), Field("FUENTE", "String", "Fuente"))
_ECOSYSTEMS = (
    Field("OBJECTID", "OID"),
    Field("ECO_LAYER", "String", "Capa"),
    Field("ECOSISTEMA", "String", "Ecosistema"),
    Field("SIMBOLO", "String", "Símbolo"),
)
_ANP = (
    Field("OBJECTID", "OID"),
    Field("anp_codi", "String"),
    Field("anp_nomb", "String"),
    Field("anp_cate", "String"),
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
            Layer(1, "ANP de Administración Nacional Definitivas", "protected_areas", _ANP, supports_pagination=False),
        ),
        max_record_count=200_000,
    ),
)

WFS_PATH = "/geoserver/Interoperabilidad/ows"
WFS_TYPE = "Interoperabilidad:ig_distrito"
FILES_PATH = "/datastorefiles"
