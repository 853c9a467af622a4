-- Counted once however many rows and lists it is on: the active list first, then the closed, then the deactivated.
-- Generic codes are no investment.
with listed as (
    select
        'active' as list_name,
        1 as list_order,
        active.cui,
        active.snip_code,
        active.name,
        active.government_level,
        active.sector,
        active.status,
        active.situation,
        active.viable_cost_pen,
        active.updated_cost_pen,
        active.accrued_pen,
        active.registered_date,
        active.viable_date,
        active.function_name,
        active.investment_type,
        active.typology,
        active.ubigeo,
        active.source_row,
        active.snapshot_id,
        active.latitude,
        active.longitude,
        cast(null as date) as closed_date
    from accepted.stg_invierte__investments as active
    union all
    select
        'closed' as list_name,
        2 as list_order,
        closed.cui,
        closed.snip_code,
        closed.name,
        closed.government_level,
        closed.sector,
        closed.status,
        closed.situation,
        closed.viable_cost_pen,
        closed.updated_cost_pen,
        closed.accrued_pen,
        closed.registered_date,
        closed.viable_date,
        closed.function_name,
        closed.investment_type,
        closed.typology,
        closed.ubigeo,
        closed.source_row,
        closed.snapshot_id,
        closed.latitude,
        closed.longitude,
        closed.closed_date
    from accepted.stg_invierte__closed as closed
    union all
    select
        'deactivated' as list_name,
        3 as list_order,
        deactivated.cui,
        deactivated.snip_code,
        deactivated.name,
        deactivated.government_level,
        deactivated.sector,
        deactivated.status,
        deactivated.situation,
        deactivated.viable_cost_pen,
        deactivated.updated_cost_pen,
        deactivated.accrued_pen,
        deactivated.registered_date,
        deactivated.viable_date,
        deactivated.function_name,
        deactivated.investment_type,
        deactivated.typology,
        deactivated.ubigeo,
        deactivated.source_row,
        deactivated.snapshot_id,
        cast(null as double) as latitude,
        cast(null as double) as longitude,
        cast(null as date) as closed_date
    from accepted.stg_invierte__deactivated as deactivated
),

ranked as (
    select
        listed.*,
        row_number() over (partition by listed.cui order by listed.list_order, listed.source_row) as place,
        count(*) over (partition by listed.cui) as row_count
    from listed
    left join seeds.generic_cuis as generic on listed.cui = generic.cui
    where listed.cui is not null and generic.cui is null
)

select
    ranked.cui,
    ranked.list_name,
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
    ranked.closed_date,
    ranked.function_name,
    ranked.investment_type,
    ranked.typology,
    ranked.ubigeo,
    ranked.latitude,
    ranked.longitude,
    ranked.row_count,
    ranked.snapshot_id
from ranked
where ranked.place = 1
order by ranked.cui
