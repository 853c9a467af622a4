-- Records that share a CUI which is not generic, or a registry's own id, are one initiative.
with keyed as (
    select
        records.*,
        coalesce('cui|' || records.cui, records.record_key) as initiative_key
    from accepted.std_initiatives as records
)

select
    'INI-' || upper(left(md5(keyed.initiative_key), 10)) as initiative_id,
    keyed.record_key,
    keyed.source,
    keyed.source_record_id,
    keyed.snapshot_id,
    keyed.name,
    keyed.lead_institution,
    keyed.status,
    keyed.restoration_type,
    keyed.ecosystem_code as declared_ecosystem_code,
    keyed.ubigeo as declared_ubigeo,
    keyed.cui,
    keyed.start_date,
    keyed.end_date,
    keyed.target_ha,
    keyed.is_field_checked,
    keyed.tenure,
    keyed.activity_codes,
    keyed.has_consent,
    keyed.funder,
    keyed.funded_pen,
    keyed.report_year,
    keyed.source_document,
    keyed.reporting_institution,
    known.trust_order,
    1.0 as match_probability,
    case
        when count(*) over (partition by keyed.initiative_key) > 1 then 'mismo CUI ' || keyed.cui
        else 'único registro conocido'
    end as match_reason
from keyed
inner join seeds.institutions as known on keyed.source = known.institution_id
order by initiative_id, keyed.record_key
