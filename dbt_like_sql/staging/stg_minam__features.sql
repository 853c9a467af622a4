-- Polygons and points have the same attributes; a null geometry in the polygon layer is a record without a place.
select
    features.layer_name,
    features.object_id,
    features._row as source_row,
    features._snapshot_id as snapshot_id,
    given(features.source_record_id) as source_record_id,
    given(features.name) as name,
    given(features.lead_institution) as lead_institution,
    cast(features.status as varchar) as status_at_source,
    cast(features.restoration_type as varchar) as type_at_source,
    given(features.ecosystem_name) as ecosystem_at_source,
    given(features.ubigeo) as ubigeo_at_source,
    given(features.cui) as cui_at_source,
    lima_date(features.start_date) as start_date,
    lima_date(features.end_date) as end_date,
    features.target_ha,
    features.declared_ha,
    upper(features.field_checked) = 'SI' as is_field_checked,
    features.geometry,
    features._geometry_fault as geometry_fault
from (
    select
        'recovery_areas' as layer_name,
        polygons.*
    from raw.minam__recovery_areas as polygons
    union all by name
    select
        'recovery_points' as layer_name,
        points.*
    from raw.minam__recovery_points as points
) as features
order by features.layer_name, features._row
