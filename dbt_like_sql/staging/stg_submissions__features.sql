-- A submission's own code is unique within its institution's folder; the folder stands before it.
select
    features._partition as submission,
    features.file_row,
    features._partition as layer_name,
    cast(features.file_row as bigint) as object_id,
    features._row as source_row,
    features._snapshot_id as snapshot_id,
    split_part(features._partition, '--', 1) || ':' || given(features.source_record_id) as source_record_id,
    given(features.name) as name,
    coalesce(given(features.lead_institution), split_part(features._partition, '--', 1)) as lead_institution,
    folded(features.status) as status_at_source,
    folded(features.restoration_type) as type_at_source,
    given(features.ecosystem_name) as ecosystem_at_source,
    given(features.ubigeo) as ubigeo_at_source,
    given(features.cui) as cui_at_source,
    given_date(features.start_date) as start_date,
    given_date(features.end_date) as end_date,
    given_number(features.target_ha) as target_ha,
    given_number(features.declared_ha) as declared_ha,
    coalesce(folded(features.field_checked) in ('si', 's', 'yes', 'true', 'x'), false) as is_field_checked,
    features.geometry,
    features._geometry_fault as geometry_fault
from raw.submissions__areas as features
order by features._partition, features._row
