-- The archive is an older vintage: what it lacks is new since, what only it has is retired.
select
    units.ubigeo,
    'inei' as source,
    'district' as unit_level,
    units.district_name,
    units.geometry,
    units._snapshot_id as snapshot_id,
    hectares(units.geometry) as area_ha
from raw.inei__district_file as units
order by units.ubigeo
