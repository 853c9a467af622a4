select
    units.ubigeo,
    'inei' as source,
    'province' as unit_level,
    units.province_name,
    units.department_name,
    units.geometry,
    units._snapshot_id as snapshot_id,
    hectares(units.geometry) as area_ha
from raw.inei__provinces as units
order by units.ubigeo
