-- Codes repeat (95 on 104 rows at the source): a row is a feature, not an area.
with shaped as (
    select
        'national' as area_kind,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.area_code as varchar)) as area_code,
        given(cast(features.name as varchar)) as name,
        given(cast(features.category as varchar)) as category,
        given(cast(features.created_by as varchar)) as created_by,
        given_date(features.created_on) as created_date,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.sernanp__national_areas as features
    union all
    select
        'regional' as area_kind,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.area_code as varchar)) as area_code,
        given(cast(features.name as varchar)) as name,
        given(cast(features.category as varchar)) as category,
        given(cast(features.created_by as varchar)) as created_by,
        given_date(features.created_on) as created_date,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.sernanp__regional_areas as features
    union all
    select
        'private' as area_kind,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.area_code as varchar)) as area_code,
        given(cast(features.name as varchar)) as name,
        given(cast(features.category as varchar)) as category,
        given(cast(features.created_by as varchar)) as created_by,
        given_date(features.created_on) as created_date,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.sernanp__private_areas as features
    union all
    select
        'buffer_zone' as area_kind,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.area_code as varchar)) as area_code,
        given(cast(features.name as varchar)) as name,
        given(cast('ZA' as varchar)) as category,
        given(cast(null as varchar)) as created_by,
        given_date(null) as created_date,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.sernanp__buffer_zones as features
)

select
    'sernanp|' || shaped.layer_name || '|' || shaped.source_row as feature_key,
    'sernanp' as source,
    shaped.*,
    hectares(shaped.geometry) as area_ha,
    st_xmin(shaped.geometry) as lon_min,
    st_xmax(shaped.geometry) as lon_max,
    st_ymin(shaped.geometry) as lat_min,
    st_ymax(shaped.geometry) as lat_max
from shaped
order by shaped.area_kind, shaped.source_row
