-- Counted once however many rows it spans; generic codes are no investment.
with ranked as (
    select
        listed.*,
        row_number() over (partition by listed.cui order by listed.source_row) as place,
        count(*) over (partition by listed.cui) as row_count
    from staging.stg_invierte__investments as listed
    where listed.cui is not null and not listed.is_generic_cui
),

linked as (
    select distinct
        records.cui,
        records.initiative_id
    from core.initiative_sources as records
    where records.cui is not null
)

select
    ranked.cui,
    ranked.snip_code,
    ranked.name,
    ranked.government_level,
    ranked.sector,
    ranked.status,
    ranked.situation,
    ranked.viable_cost_pen,
    ranked.updated_cost_pen,
    ranked.accrued_pen,
    ranked.registered_date,
    ranked.viable_date,
    ranked.function_name,
    ranked.investment_type,
    ranked.typology,
    ranked.ubigeo,
    ranked.latitude,
    ranked.longitude,
    ranked.row_count,
    linked.initiative_id,
    ranked.snapshot_id
from ranked
left join linked on ranked.cui = linked.cui
where ranked.place = 1
order by ranked.cui
