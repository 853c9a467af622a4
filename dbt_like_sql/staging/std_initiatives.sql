-- One initiative has a feature for each polygon; its attributes are those of the feature with the lowest object id.
with features as (
    select
        'minam' as source,
        minam.*
    from staging.stg_minam__features as minam
    union all by name
    select
        'serfor' as source,
        serfor.*
    from staging.stg_serfor__features as serfor
    union all by name
    select
        'submissions' as source,
        submitted.* exclude (submission, file_row)
    from staging.stg_submissions__features as submitted
),

records as (
    select
        features.source,
        features.source_record_id,
        coalesce(features.source_record_id, features.layer_name || ' row ' || features.source_row) as record_name,
        arg_min(features.name, features.object_id) as name,
        arg_min(features.lead_institution, features.object_id) as lead_institution,
        arg_min(features.status_at_source, features.object_id) as status_at_source,
        arg_min(features.type_at_source, features.object_id) as type_at_source,
        arg_min(features.ecosystem_at_source, features.object_id) as ecosystem_at_source,
        arg_min(features.ubigeo_at_source, features.object_id) as ubigeo_at_source,
        max(features.cui_at_source) as cui_at_source,
        min(features.start_date) as start_date,
        max(features.end_date) as end_date,
        max(features.target_ha) as target_ha,
        bool_or(coalesce(features.is_field_checked, false)) as is_field_checked,
        count(*) as feature_count,
        min(features.snapshot_id) as snapshot_id
    from features
    group by all
)

select
    records.source || '|' || records.record_name as record_key,
    records.source,
    records.source_record_id,
    records.name,
    records.lead_institution,
    records.status_at_source,
    statuses.code as status,
    records.type_at_source,
    types.code as restoration_type,
    records.ecosystem_at_source,
    ecosystems.ecosystem_code,
    records.ubigeo_at_source,
    districts.ubigeo,
    coalesce(records.ubigeo_at_source != districts.ubigeo, false) as is_ubigeo_repaired,
    records.cui_at_source,
    case when generic.cui is null and regexp_full_match(records.cui_at_source, '2\d{6}') then records.cui_at_source end as cui,
    generic.cui is not null as is_generic_cui,
    records.start_date,
    records.end_date,
    records.target_ha,
    records.is_field_checked,
    records.feature_count,
    records.snapshot_id
from records
left join seeds.source_codes as statuses
    on
        records.source = statuses.source
        and statuses.field = 'status'
        and records.status_at_source = statuses.source_value
left join seeds.source_codes as types
    on
        records.source = types.source
        and types.field = 'restoration_type'
        and records.type_at_source = types.source_value
left join staging.std_ecosystem_names as ecosystems on folded(records.ecosystem_at_source) = ecosystems.name_key
-- both registers declare INEI codes, so a missing sixth digit is the leading zero that a spreadsheet ate
left join seeds.districts_inei_2025 as districts on lpad(records.ubigeo_at_source, 6, '0') = districts.ubigeo
left join seeds.generic_cuis as generic on records.cui_at_source = generic.cui
order by record_key
