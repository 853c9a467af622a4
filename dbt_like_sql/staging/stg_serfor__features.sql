select
    'restoration_areas' as layer_name,
    features.object_id,
    features._row as source_row,
    features._snapshot_id as snapshot_id,
    given(features.source_record_id) as source_record_id,
    given(features.name) as name,
    given(features.lead_institution) as lead_institution,
    given(features.status) as status_at_source,
    given(features.restoration_type) as type_at_source,
    given(features.ecosystem_name) as ecosystem_at_source,
    given(features.ubigeo) as ubigeo_at_source,
    given(features.cui) as cui_at_source,
    lima_date(features.start_date) as start_date,
    lima_date(features.end_date) as end_date,
    features.target_ha,
    features.declared_ha,
    features.field_checked = 1 as is_field_checked,
    features.geometry,
    features._geometry_fault as geometry_fault
from raw.serfor__restoration_areas as features
order by features._row
