-- Every polygon that areas are cut with, in equal-area projection; the step cuts them into tiles of at most 256 vertices, once
-- a layer, so that a night pays for its areas alone. Where two protected areas share ground the stronger protection counts it;
-- buffer zones protect nothing by themselves.
select
    'district' as layer,
    units.ubigeo as code,
    cast(null as varchar) as protection,
    0 as zone_order,
    st_transform(units.geometry, 'EPSG:4326', 'EPSG:6933') as equal_area_shape
from accepted.stg_inei__districts as units
union all
select
    'ecosystem' as layer,
    mapped.ecosystem_code as code,
    cast(null as varchar) as protection,
    0 as zone_order,
    st_transform(mapped.geometry, 'EPSG:4326', 'EPSG:6933') as equal_area_shape
from accepted.stg_minam__ecosystems as mapped
where mapped.ecosystem_code is not null
union all
select
    'protected' as layer,
    coalesce(protected.area_code, protected.protected_area_id) as code,
    protected.area_kind as protection,
    case protected.area_kind when 'national' then 1 when 'regional' then 2 else 3 end as zone_order,
    st_transform(protected.geometry, 'EPSG:4326', 'EPSG:6933') as equal_area_shape
from core.protected_areas as protected
where protected.area_kind in ('national', 'regional', 'private')
union all
select
    'protected' as layer,
    coalesce(measures.source_record_id, measures.feature_key) as code,
    'oecm' as protection,
    4 as zone_order,
    st_transform(measures.geometry, 'EPSG:4326', 'EPSG:6933') as equal_area_shape
from accepted.stg_minam__oecms as measures
union all
select
    'degraded' as layer,
    'degraded' as code,
    cast(null as varchar) as protection,
    0 as zone_order,
    st_transform(polygons.geometry, 'EPSG:4326', 'EPSG:6933') as equal_area_shape
from core.degradation as polygons
inner join core.targets as targets
    on polygons.degradation_year = targets.baseline_year and targets.target_id = 'gbf_target_2'
