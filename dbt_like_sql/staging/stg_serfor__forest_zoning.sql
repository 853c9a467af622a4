with shaped as (
    select
        'serfor' as source,
        features._layer_name as layer_name,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(cast(features.zone_code as varchar)) as zone_code,
        given(cast(features.zone_name as varchar)) as zone_name,
        given(cast(features.subzone_code as varchar)) as subzone_code,
        given(cast(features.subzone_name as varchar)) as subzone_name,
        given(cast(features.department as varchar)) as department_ubigeo,
        given(cast(features.legal_document as varchar)) as legal_document,
        coalesce(given(cast(features.zone_code as varchar)) = '603', false) as is_recovery_zone,
        given_number(features.declared_ha) as declared_ha,
        st_makevalid(features.geometry) as geometry,
        features._geometry_fault as geometry_fault,
        features._domain_fault as domain_fault
    from raw.serfor__forest_zoning as features
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
