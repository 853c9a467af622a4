with shaped as (
    select
        'minam' as source,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        features.ecosystem_name as name_at_source,
        cast(null as double) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.minam__ecosystems as features
)

select
    shaped.source || '|ecosystems|' || shaped.source_row as feature_key,
    shaped.*,
    names.ecosystem_code,
    hectares(shaped.geometry) as area_ha,
    st_xmin(shaped.geometry) as lon_min,
    st_xmax(shaped.geometry) as lon_max,
    st_ymin(shaped.geometry) as lat_min,
    st_ymax(shaped.geometry) as lat_max
from shaped
left join staging.std_ecosystem_names as names on folded(shaped.name_at_source) = names.name_key
order by shaped.source_row
