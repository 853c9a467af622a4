with shaped as (
    select
        'minam' as source,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.source_record_id as varchar)) as source_record_id,
        given(cast(features.name as varchar)) as name,
        given(cast(features.category as varchar)) as category,
        given_date(features.recognised_on) as recognised_date,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.minam__oecms as features
)

select
    shaped.source || '|' || shaped.layer_name || '|' || shaped.source_row as feature_key,
    shaped.*,
    hectares(shaped.geometry) as area_ha,
    st_xmin(shaped.geometry) as lon_min,
    st_xmax(shaped.geometry) as lon_max,
    st_ymin(shaped.geometry) as lat_min,
    st_ymax(shaped.geometry) as lat_max
from shaped
order by shaped.layer_name, shaped.source_row
