-- One initiative has a feature for each polygon; its attributes are those of the feature with the lowest object id.
with features as (
    select
        'minam' as source,
        'minam' as reporting_institution,
        minam.source_record_id,
        minam.name,
        minam.lead_institution,
        minam.status_at_source,
        minam.type_at_source,
        minam.ecosystem_at_source,
        minam.ubigeo_at_source,
        minam.cui_at_source,
        minam.start_date,
        minam.end_date,
        minam.target_ha,
        minam.declared_ha,
        minam.is_field_checked,
        minam.tenure_at_source,
        minam.activities_at_source,
        minam.has_consent,
        minam.funder,
        minam.funded_pen,
        minam.report_year,
        minam.source_document,
        minam.received_on,
        minam.object_id,
        minam.layer_name,
        minam.source_row,
        minam.snapshot_id
    from staging.stg_minam__features as minam
    union all
    select
        'serfor' as source,
        'serfor' as reporting_institution,
        serfor.source_record_id,
        serfor.name,
        serfor.lead_institution,
        serfor.status_at_source,
        serfor.type_at_source,
        serfor.ecosystem_at_source,
        serfor.ubigeo_at_source,
        serfor.cui_at_source,
        serfor.start_date,
        serfor.end_date,
        serfor.target_ha,
        serfor.declared_ha,
        serfor.is_field_checked,
        serfor.tenure_at_source,
        serfor.activities_at_source,
        serfor.has_consent,
        serfor.funder,
        serfor.funded_pen,
        serfor.report_year,
        serfor.source_document,
        serfor.received_on,
        serfor.object_id,
        serfor.layer_name,
        serfor.source_row,
        serfor.snapshot_id
    from staging.stg_serfor__features as serfor
    union all
    select
        'submissions' as source,
        submitted.reporting_institution,
        submitted.source_record_id,
        submitted.name,
        submitted.lead_institution,
        folded(submitted.status_at_source) as status_at_source,
        folded(submitted.type_at_source) as type_at_source,
        submitted.ecosystem_at_source,
        submitted.ubigeo_at_source,
        submitted.cui_at_source,
        submitted.start_date,
        submitted.end_date,
        submitted.target_ha,
        submitted.declared_ha,
        submitted.is_field_checked,
        folded(submitted.tenure_at_source) as tenure_at_source,
        submitted.activities_at_source,
        submitted.has_consent,
        submitted.funder,
        submitted.funded_pen,
        submitted.report_year,
        submitted.source_document,
        submitted.received_on,
        submitted.object_id,
        submitted.layer_name,
        submitted.source_row,
        submitted.snapshot_id
    from accepted.stg_submissions__features as submitted
    union all
    select
        'ferm' as source,
        'ferm' as reporting_institution,
        ferm.source_record_id,
        ferm.name,
        try_cast(ferm.organizations as json) ->> '$[0].name' as lead_institution,
        ferm.status_at_source,
        ferm.type_at_source,
        cast(null as varchar) as ecosystem_at_source,
        cast(null as varchar) as ubigeo_at_source,
        cast(null as varchar) as cui_at_source,
        make_date(ferm.starting_year, 1, 1) as start_date,
        make_date(ferm.ending_year, 12, 31) as end_date,
        cast(null as double) as target_ha,
        ferm.declared_ha,
        false as is_field_checked,
        cast(null as varchar) as tenure_at_source,
        cast(null as varchar) as activities_at_source,
        cast(null as boolean) as has_consent,
        cast(null as varchar) as funder,
        cast(null as decimal(18, 2)) as funded_pen,
        cast(null as integer) as report_year,
        ferm.url as source_document,
        cast(null as date) as received_on,
        ferm.source_row as object_id,
        'FERM' as layer_name,
        ferm.source_row,
        ferm.snapshot_id
    from accepted.stg_ferm__initiatives as ferm
    where ferm.is_in_peru
),

records as (
    select
        features.source,
        features.reporting_institution,
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
        sum(exact(features.declared_ha)) as declared_ha,
        arg_min(features.tenure_at_source, features.object_id) as tenure_at_source,
        string_agg(features.activities_at_source, ';' order by features.object_id) as activities_at_source,
        bool_or(features.has_consent) as has_consent,
        arg_min(features.funder, features.object_id) as funder,
        max(features.funded_pen) as funded_pen,
        max(features.report_year) as report_year,
        arg_min(features.source_document, features.object_id) as source_document,
        max(features.received_on) as received_on,
        bool_or(coalesce(features.is_field_checked, false)) as is_field_checked,
        count(*) as feature_count,
        min(features.snapshot_id) as snapshot_id
    from features
    group by all
),

known_activities as (
    select list(activities.activity_code) as codes from seeds.restoration_activities as activities
),

named_activities as (
    select
        records.source,
        records.record_name,
        list_sort(list_distinct(list_filter(
            list_transform(string_split_regex(records.activities_at_source, '[;,]'), lambda a: trim(a)), lambda a: a != ''
        ))) as named
    from records
    where records.activities_at_source is not null
)

select
    records.source || '|' || records.record_name as record_key,
    records.source,
    records.reporting_institution,
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
    records.declared_ha,
    tenures.code as tenure,
    list_filter(named_activities.named, lambda a: list_contains(known_activities.codes, a)) as activity_codes,
    list_filter(named_activities.named, lambda a: not list_contains(known_activities.codes, a)) as unknown_activities,
    records.has_consent,
    records.funder,
    records.funded_pen,
    records.report_year,
    records.source_document,
    records.received_on,
    records.is_field_checked,
    records.feature_count,
    records.snapshot_id
from records
cross join known_activities
left join named_activities
    on records.source = named_activities.source and records.record_name = named_activities.record_name
left join seeds.source_codes as tenures
    on
        records.source = tenures.source
        and tenures.field = 'tenure'
        and records.tenure_at_source = tenures.source_value
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
-- both registers declare INEI codes, so a missing sixth digit is the leading zero that a spreadsheet removed
left join seeds.districts_inei_2025 as districts on lpad(records.ubigeo_at_source, 6, '0') = districts.ubigeo
left join seeds.generic_cuis as generic on records.cui_at_source = generic.cui
order by record_key
