select
    polygons.degradation_year,
    'D' || left(md5(st_aswkb(st_normalize(polygons.geometry))), 15) as degradation_id,
    polygons.degree,
    polygons.geometry,
    polygons.area_ha,
    polygons.snapshot_id
from staging.stg_minam__degradation as polygons
order by degradation_id, polygons.source_row
