-- A submission's own code is unique within its institution's folder; the folder is its prefix. The original text is
-- kept beside the parsed value, so that the protocol can report what could not be read.
with written as (
    select
        features._partition as submission,
        features.file_row,
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        lima_date(features._received_at) as received_on,
        split_part(features._partition, '--', 1) as reporting_institution,
        given(features.source_record_id) as own_code,
        given(features.name) as name,
        given(features.lead_institution) as lead_institution,
        given(features.status) as status_at_source,
        given(features.restoration_type) as type_at_source,
        given(features.ecosystem_name) as ecosystem_at_source,
        given(features.ubigeo) as ubigeo_at_source,
        given(features.cui) as cui_at_source,
        given(features.start_date) as start_date_at_source,
        given(features.end_date) as end_date_at_source,
        given(features.target_ha) as target_ha_at_source,
        given(features.declared_ha) as declared_ha_at_source,
        given(features.field_checked) as field_checked_at_source,
        given(features.longitude) as longitude_at_source,
        given(features.latitude) as latitude_at_source,
        given(features.tenure) as tenure_at_source,
        given(features.activities) as activities_at_source,
        given(features.consent) as consent_at_source,
        given(features.funder) as funder,
        given(features.funded_pen) as funded_pen_at_source,
        given(features.report_year) as report_year_at_source,
        given(features.source_document) as source_document,
        given(features.remarks) as remarks,
        features.geometry,
        features._geometry_fault as geometry_fault
    from raw.submissions__areas as features
)

select
    'submissions|' || written.submission || '|' || written.source_row as row_key,
    'submissions' as source,
    written.submission,
    written.submission as layer_name,
    cast(written.file_row as bigint) as object_id,
    written.reporting_institution || ':' || written.own_code as source_record_id,
    coalesce(nullif(written.lead_institution, '[dato personal retirado]'), written.reporting_institution) as lead_institution,
    given_date(written.start_date_at_source) as start_date,
    given_date(written.end_date_at_source) as end_date,
    given_number(written.target_ha_at_source) as target_ha,
    given_number(written.declared_ha_at_source) as declared_ha,
    given_number(written.longitude_at_source) as longitude,
    given_number(written.latitude_at_source) as latitude,
    yes_or_no(written.field_checked_at_source) as is_field_checked,
    tenures.code as tenure,
    yes_or_no(written.consent_at_source) as has_consent,
    cast(given_number(written.funded_pen_at_source) as decimal(18, 2)) as funded_pen,
    try_cast(written.report_year_at_source as integer) as report_year,
    written.* exclude (submission, lead_institution)
from written
left join seeds.source_codes as tenures
    on
        tenures.source = 'submissions'
        and tenures.field = 'tenure'
        and folded(written.tenure_at_source) = tenures.source_value
order by written.submission, written.source_row
