-- Every investment once, with the hectares it promises and the initiative it pays.
with recovered as (
    select
        contributions.cui,
        sum(exact(contributions.gap_contribution_ha)) as gap_contribution_ha
    from core.gap_contributions as contributions
    where contributions.is_ecosystem_recovery
    group by contributions.cui
)

select
    settled.cui,
    settled.list_name,
    settled.snip_code,
    settled.name,
    settled.government_level,
    settled.sector,
    settled.status,
    settled.situation,
    settled.viable_cost_pen,
    settled.updated_cost_pen,
    settled.accrued_pen,
    settled.registered_date,
    settled.viable_date,
    settled.closed_date,
    settled.function_name,
    settled.investment_type,
    settled.typology,
    settled.ubigeo,
    settled.latitude,
    settled.longitude,
    recovered.gap_contribution_ha,
    settled.row_count,
    links.initiative_id,
    settled.snapshot_id,
    links.match_probability,
    links.match_reason
from staging.std_investments as settled
left join core.initiative_sources as links on links.record_key = 'invierte|' || settled.cui
left join recovered on settled.cui = recovered.cui
order by settled.cui
