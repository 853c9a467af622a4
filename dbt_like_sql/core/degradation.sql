-- Every year published; years are states of the same ground and are never added.
select
    polygons.degradation_year,
    'D' || left(md5(st_aswkb(st_normalize(polygons.geometry))), 15) as degradation_id,
    polygons.degree,
    polygons.geometry,
    polygons.area_ha,
    polygons.degradation_year = max(polygons.degradation_year) over () as is_latest,
    polygons.snapshot_id
from accepted.stg_minam__degradation as polygons
order by polygons.degradation_year, degradation_id, polygons.source_row
