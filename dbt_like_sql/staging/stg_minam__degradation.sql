with shaped as (
    select
        'minam' as source,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(features.degree) as degree,
        cast(null as double) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        cast(features._partition as integer) as degradation_year,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.minam__degradation as features
)

select
    shaped.source || '|degradation|' || shaped.degradation_year || '|' || shaped.source_row as feature_key,
    shaped.*,
    hectares(shaped.geometry) as area_ha,
    st_xmin(shaped.geometry) as lon_min,
    st_xmax(shaped.geometry) as lon_max,
    st_ymin(shaped.geometry) as lat_min,
    st_ymax(shaped.geometry) as lat_max
from shaped
order by shaped.degradation_year, shaped.source_row
