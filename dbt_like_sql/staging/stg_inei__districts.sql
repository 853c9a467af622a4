select
    districts.ubigeo,
    'inei' as source,
    'district' as unit_level,
    districts.department_name,
    districts.province_name,
    districts.district_name,
    districts.geometry,
    districts._snapshot_id as snapshot_id,
    hectares(districts.geometry) as area_ha
from raw.inei__districts as districts
order by districts.ubigeo
