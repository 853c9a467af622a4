-- Polygons and points have the same attributes; a null geometry in the polygon layer is a record without a place.
select
    features.layer_name,
    try_cast(features.object_id as bigint) as object_id,
    features._row as source_row,
    features._snapshot_id as snapshot_id,
    given(cast(features.source_record_id as varchar)) as source_record_id,
    given(cast(features.name as varchar)) as name,
    given(cast(features.lead_institution as varchar)) as lead_institution,
    given(cast(features.status as varchar)) as status_at_source,
    given(cast(features.restoration_type as varchar)) as type_at_source,
    given(cast(features.ecosystem_name as varchar)) as ecosystem_at_source,
    given(cast(features.ubigeo as varchar)) as ubigeo_at_source,
    given(cast(features.cui as varchar)) as cui_at_source,
    given_date(features.start_date) as start_date,
    given_date(features.end_date) as end_date,
    given_number(features.target_ha) as target_ha,
    given_number(features.declared_ha) as declared_ha,
    upper(cast(features.field_checked as varchar)) in ('1', 'SI', 'SÍ') as is_field_checked,
    given(cast(features.tenure as varchar)) as tenure_at_source,
    given(cast(features.activities as varchar)) as activities_at_source,
    cast(null as boolean) as has_consent,
    cast(null as varchar) as funder,
    cast(null as decimal(18, 2)) as funded_pen,
    cast(null as integer) as report_year,
    cast(null as varchar) as source_document,
    lima_date(features._received_at) as received_on,
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
