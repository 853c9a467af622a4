select
    units.ubigeo,
    'inei' as source,
    'department' as unit_level,
    units.department_name,
    units.geometry,
    units._snapshot_id as snapshot_id,
    hectares(units.geometry) as area_ha
from raw.inei__departments as units
order by units.ubigeo
