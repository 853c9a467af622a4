-- One row for each discrete polygon, point or record without a place. Repair before area; both areas are kept.
with features as (
    select
        'minam' as source,
        'minam' as reporting_institution,
        minam.layer_name,
        minam.source_row,
        minam.source_record_id,
        minam.declared_ha,
        minam.geometry,
        minam.geometry_fault,
        minam.ubigeo_at_source,
        minam.snapshot_id
    from staging.stg_minam__features as minam
    union all
    select
        'serfor' as source,
        'serfor' as reporting_institution,
        serfor.layer_name,
        serfor.source_row,
        serfor.source_record_id,
        serfor.declared_ha,
        serfor.geometry,
        serfor.geometry_fault,
        serfor.ubigeo_at_source,
        serfor.snapshot_id
    from staging.stg_serfor__features as serfor
    union all
    select
        'submissions' as source,
        submitted.reporting_institution,
        submitted.layer_name,
        submitted.source_row,
        submitted.source_record_id,
        submitted.declared_ha,
        submitted.geometry,
        submitted.geometry_fault,
        submitted.ubigeo_at_source,
        submitted.snapshot_id
    from accepted.stg_submissions__features as submitted
),

repaired as (
    select
        features.*,
        features.source || '|' || features.layer_name || '|' || features.source_row as feature_key,
        features.source
        || '|'
        || coalesce(features.source_record_id, features.layer_name || ' row ' || features.source_row) as record_key,
        case when st_isvalid(features.geometry) then features.geometry else st_makevalid(features.geometry) end as whole,
        coalesce(not st_isvalid(features.geometry), false) as is_repaired,
        hectares(features.geometry) as source_ha,
        st_xmin(features.geometry) as lon_min,
        st_xmax(features.geometry) as lon_max,
        st_ymin(features.geometry) as lat_min,
        st_ymax(features.geometry) as lat_max
    from features
),

measured as (
    select
        repaired.*,
        case
            when repaired.whole is null then 'admin_unit'
            when st_geometrytype(repaired.whole) = 'POINT' then 'point'
            else 'polygon'
        end as geometry_kind,
        case when st_geometrytype(repaired.whole) != 'POINT' then hectares(repaired.whole) end as feature_ha
    from repaired
),

-- st_dump of a polygon is the polygon; lines and points that a repair leaves have no area
parts as (
    select
        measured.feature_key,
        unnest(
            list_filter(
                list_transform(st_dump(measured.whole), lambda d: d.geom),
                lambda g: measured.geometry_kind = 'point' or st_geometrytype(g) = 'POLYGON'
            )
        ) as geometry
    from measured
    where measured.whole is not null
),

numbered as (
    select
        parts.feature_key,
        parts.geometry,
        md5(st_aswkb(st_normalize(parts.geometry))) as shape_hash,
        row_number() over (
            partition by parts.feature_key
            order by hectares(parts.geometry) desc, md5(st_aswkb(st_normalize(parts.geometry)))
        ) as part_number
    from parts
),

shaped as (
    select
        measured.* exclude (geometry, whole),
        numbered.geometry,
        coalesce(numbered.shape_hash, 'none') as shape_hash,
        coalesce(numbered.part_number, 1) as part_number,
        case when measured.geometry_kind = 'polygon' then hectares(numbered.geometry) end as geometry_ha,
        case when measured.geometry_kind = 'polygon' then st_npoints(numbered.geometry) end as vertex_count
    from measured
    left join numbered on measured.feature_key = numbered.feature_key
),

-- an area is named by its record and its shape, since object ids change with every republication
named as (
    select
        shaped.*,
        row_number() over (
            partition by shaped.record_key, shaped.shape_hash
            order by shaped.layer_name, shaped.source_row, shaped.part_number
        ) as copy_number,
        dense_rank() over (partition by shaped.source, shaped.shape_hash order by shaped.record_key) as record_number
    from shaped
),

-- how much ground a code names: its district, or all districts of its department where the code is of none
districts as (
    select
        units.ubigeo,
        units.geometry,
        hectares(units.geometry) as place_ha
    from accepted.stg_inei__districts as units
),

departments as (
    select
        left(districts.ubigeo, 2) as department,
        sum(exact(districts.place_ha)) as place_ha
    from districts
    group by left(districts.ubigeo, 2)
)

select
    'A' || left(md5(named.record_key || '|' || named.shape_hash || '|' || named.copy_number), 15) as area_id,
    named.record_key,
    named.source,
    named.reporting_institution,
    named.source_record_id,
    named.layer_name,
    named.source_row,
    named.part_number,
    named.geometry_kind,
    case
        when named.geometry_kind = 'polygon' and coalesce(records.is_field_checked, false) then 'A'
        when named.geometry_kind = 'polygon' then 'B'
        when named.geometry_kind = 'point' then 'C'
        else 'D'
    end as evidence_class,
    named.geometry,
    named.geometry_fault,
    named.is_repaired,
    named.source_ha,
    named.feature_ha,
    named.geometry_ha,
    named.declared_ha as feature_declared_ha,
    case
        when named.geometry_kind = 'polygon' and named.feature_ha > 0
            then named.declared_ha * named.geometry_ha / named.feature_ha
        else named.declared_ha
    end as declared_ha,
    named.lon_min,
    named.lon_max,
    named.lat_min,
    named.lat_max,
    records.ubigeo as declared_ubigeo,
    named.copy_number > 1 as is_exact_copy,
    named.geometry_kind = 'polygon' and named.record_number > 1 as is_copy_of_another_record,
    named.vertex_count,
    case when named.geometry_kind != 'admin_unit' then st_intersects(districts.geometry, named.geometry) end
        as touches_declared_district,
    coalesce(districts.place_ha, departments.place_ha) as declared_place_ha,
    records.record_key is not null as has_accepted_record,
    named.snapshot_id
from named
left join accepted.std_initiatives as records on named.record_key = records.record_key
left join districts on records.ubigeo = districts.ubigeo
left join departments on left(records.ubigeo, 2) = departments.department
order by area_id
