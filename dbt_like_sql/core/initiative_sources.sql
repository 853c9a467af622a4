-- Every record that was linked to an initiative, with the strongest reason. An investment contributes its CUI only.
with members as (
    select
        ids.record_key,
        ids.initiative_id
    from core.initiative_ids as ids
    where ids.until is null
),

ties as (
    select
        links.record_key_a as record_key,
        links.record_key_b as other_key,
        links.match_probability,
        links.decided_by,
        links.reason_es
    from core.record_links as links
    where links.outcome = 'linked'
    union all
    select
        links.record_key_b as record_key,
        links.record_key_a as other_key,
        links.match_probability,
        links.decided_by,
        links.reason_es
    from core.record_links as links
    where links.outcome = 'linked'
),

strongest as (
    select
        ties.record_key,
        case when ties.decided_by = 'model' then ties.match_probability else 1.0 end as match_probability,
        ties.reason_es || ' (' || ties.other_key || ')' as match_reason
    from ties
    qualify
        row_number() over (
            partition by ties.record_key
            order by ties.decided_by = 'model', ties.match_probability desc nulls first, ties.other_key
        ) = 1
)

select
    members.initiative_id,
    records.record_key,
    records.source,
    records.source_record_id,
    coalesce(reported.snapshot_id, investments.snapshot_id) as snapshot_id,
    records.name,
    reported.lead_institution,
    reported.status,
    reported.restoration_type,
    reported.ecosystem_code as declared_ecosystem_code,
    reported.ubigeo as declared_ubigeo,
    records.cui,
    reported.start_date,
    reported.end_date,
    reported.target_ha,
    reported.declared_ha,
    reported.is_field_checked,
    reported.tenure,
    reported.activity_codes,
    reported.has_consent,
    reported.funder,
    reported.funded_pen,
    reported.report_year,
    reported.source_document,
    records.registry as reporting_institution,
    known.trust_order,
    row_number() over (partition by members.initiative_id order by known.trust_order, records.record_key) as trust_place,
    coalesce(strongest.match_probability, 1.0) as match_probability,
    coalesce(strongest.match_reason, 'único registro conocido') as match_reason
from members
inner join core.linkage_records as records on members.record_key = records.record_key
inner join seeds.institutions as known on records.source = known.institution_id
left join accepted.std_initiatives as reported on members.record_key = reported.record_key
left join staging.std_investments as investments on members.record_key = 'invierte|' || investments.cui
left join strongest on members.record_key = strongest.record_key
order by members.initiative_id, records.record_key
