with shaped as (
    select
        'minam' as source,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.source_record_id as varchar)) as source_record_id,
        given(cast(features.name as varchar)) as name,
        given(cast(features.directorate as varchar)) as directorate,
        given(cast(features.category as varchar)) as category,
        given(cast(features.status as varchar)) as status_at_source,
        given(cast(features.ubigeo as varchar)) as ubigeo_at_source,
        cast(null as double) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.minam__interventions as features
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
