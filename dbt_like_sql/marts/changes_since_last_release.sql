-- Differences from the previous release, row by row, with the reason. Closed fiscal years do change: they are marked.
-- The first release has none. A target's figures change because its initiatives did: see the rows of the initiatives.
with before_existed as (
    select count(*) > 0 as yes from previous.core__spending
),

spending_now as (
    select
        totals.fiscal_year,
        totals.programme_code,
        measures.measure,
        sum(
            case measures.measure
                when 'initial_pen' then totals.initial_pen
                when 'modified_pen' then totals.modified_pen
                when 'certified_pen' then totals.certified_pen
                when 'accrued_pen' then totals.accrued_pen
                when 'paid_pen' then totals.paid_pen
            end
        ) as amount
    from core.spending as totals
    cross join seeds.reconciliation_tolerances as measures
    group by all
),

spending_before as (
    select
        totals.fiscal_year,
        totals.programme_code,
        measures.measure,
        sum(
            case measures.measure
                when 'initial_pen' then totals.initial_pen
                when 'modified_pen' then totals.modified_pen
                when 'certified_pen' then totals.certified_pen
                when 'accrued_pen' then totals.accrued_pen
                when 'paid_pen' then totals.paid_pen
            end
        ) as amount
    from previous.core__spending as totals
    cross join seeds.reconciliation_tolerances as measures
    group by all
),

last_year as (
    select max(spent.fiscal_year) as fiscal_year from core.spending as spent
),

spending_changes as (
    select
        'spending' as subject,
        coalesce(now.fiscal_year, earlier.fiscal_year) || '|' || coalesce(now.programme_code, earlier.programme_code) as record_key,
        'PP ' || coalesce(now.programme_code, earlier.programme_code) as label,
        coalesce(now.measure, earlier.measure) as measure,
        coalesce(now.fiscal_year, earlier.fiscal_year) as fiscal_year,
        coalesce(now.fiscal_year, earlier.fiscal_year) < last_year.fiscal_year as is_closed_year,
        cast(earlier.amount as varchar) as value_before,
        cast(now.amount as varchar) as value_after,
        cast(coalesce(now.amount, 0) - coalesce(earlier.amount, 0) as double) as difference,
        'S/' as unit,
        case when earlier.amount is null then 'new_record' when now.amount is null then 'withdrawn' else 'revised_by_source' end as reason
    from spending_now as now
    full join spending_before as earlier
        on
            now.fiscal_year = earlier.fiscal_year
            and now.programme_code = earlier.programme_code
            and now.measure = earlier.measure
    cross join last_year
    where now.amount is distinct from earlier.amount
),

initiatives_now as (
    select
        initiatives.initiative_id,
        initiatives.name,
        unnest(['status', 'target_ha', 'declared_ha', 'gross_ha', 'net_ha']) as measure,
        unnest([
            initiatives.status, cast(round(initiatives.target_ha, 4) as varchar), cast(round(initiatives.declared_ha, 4) as varchar),
            cast(round(initiatives.gross_ha, 4) as varchar), cast(round(initiatives.net_ha, 4) as varchar)
        ]) as reported
    from core.initiatives as initiatives
),

initiatives_before as (
    select
        initiatives.initiative_id,
        initiatives.name,
        unnest(['status', 'target_ha', 'declared_ha', 'gross_ha', 'net_ha']) as measure,
        unnest([
            initiatives.status, cast(round(initiatives.target_ha, 4) as varchar), cast(round(initiatives.declared_ha, 4) as varchar),
            cast(round(initiatives.gross_ha, 4) as varchar), cast(round(initiatives.net_ha, 4) as varchar)
        ]) as reported
    from previous.core__initiatives as initiatives
),

-- changes in the records of an initiative: which were added, from where, which left, to where
moves as (
    select
        coalesce(now.record_key, earlier.record_key) as record_key,
        now.initiative_id as now_in,
        earlier.initiative_id as before_in
    from core.initiative_sources as now
    full join previous.core__initiative_sources as earlier on now.record_key = earlier.record_key
    where now.initiative_id is distinct from earlier.initiative_id
),

told_of as (
    select
        moves.now_in as initiative_id,
        case when moves.before_in is null then 'new_record' else 'linked' end as reason,
        case when moves.before_in is null then 2 else 1 end as weight
    from moves
    where moves.now_in is not null
    union all
    select
        moves.before_in as initiative_id,
        case when moves.now_in is null then 'withdrawn' else 'split' end as reason,
        case when moves.now_in is null then 2 else 1 end as weight
    from moves
    where moves.before_in is not null
    union all
    select
        areas.initiative_id,
        'repaired' as reason,
        3 as weight
    from core.areas as areas
    left join previous.core__areas as earlier on areas.area_id = earlier.area_id
    where areas.is_repaired and not coalesce(earlier.is_repaired, false)
),

main_reason as (
    select
        told_of.initiative_id,
        arg_min(told_of.reason, told_of.weight) as reason
    from told_of
    group by told_of.initiative_id
),

-- an initiative that appears with a record known before was split from another; one that is gone although its record
-- still exists was merged
came_out_of as (
    select distinct moves.now_in as initiative_id from moves
    where moves.now_in is not null and moves.before_in is not null
),

went_into as (
    select distinct moves.before_in as initiative_id from moves
    where moves.now_in is not null and moves.before_in is not null
),

said_itself as (
    select distinct coalesce(now.initiative_id, earlier.initiative_id) as initiative_id
    from initiatives_now as now
    full join initiatives_before as earlier on now.initiative_id = earlier.initiative_id and now.measure = earlier.measure
    where now.reported is distinct from earlier.reported and coalesce(now.measure, earlier.measure) != 'net_ha'
),

initiative_changes as (
    select
        'initiatives' as subject,
        coalesce(now.initiative_id, earlier.initiative_id) as record_key,
        coalesce(now.name, earlier.name) as label,
        coalesce(now.measure, earlier.measure) as measure,
        cast(null as integer) as fiscal_year,
        false as is_closed_year,
        earlier.reported as value_before,
        now.reported as value_after,
        coalesce(try_cast(now.reported as double), 0) - coalesce(try_cast(earlier.reported as double), 0) as difference,
        case when coalesce(now.measure, earlier.measure) != 'status' then 'ha' end as unit,
        case
            when earlier.initiative_id is null and came_out_of.initiative_id is not null then 'split'
            when earlier.initiative_id is null then 'new_record'
            when now.initiative_id is null and went_into.initiative_id is not null then 'linked'
            when now.initiative_id is null then 'withdrawn'
            when main_reason.reason is not null then main_reason.reason
            when said_itself.initiative_id is not null then 'revised_by_source'
            else 'shared_ground'
        end as reason
    from initiatives_now as now
    full join initiatives_before as earlier
        on now.initiative_id = earlier.initiative_id and now.measure = earlier.measure
    left join main_reason on coalesce(now.initiative_id, earlier.initiative_id) = main_reason.initiative_id
    left join came_out_of on now.initiative_id = came_out_of.initiative_id
    left join went_into on earlier.initiative_id = went_into.initiative_id
    left join said_itself on coalesce(now.initiative_id, earlier.initiative_id) = said_itself.initiative_id
    where now.reported is distinct from earlier.reported
),

progress_now as (
    select
        progress.target_id,
        progress.target_name_es,
        unnest(['declared_ha', 'gross_ha', 'net_ha']) as measure,
        unnest([progress.declared_ha, progress.gross_ha, progress.net_ha]) as reported
    from marts.progress_to_targets as progress
    where progress.is_latest
),

progress_before as (
    select
        progress.target_id,
        unnest(['declared_ha', 'gross_ha', 'net_ha']) as measure,
        unnest([progress.declared_ha, progress.gross_ha, progress.net_ha]) as reported
    from previous.marts__progress_to_targets as progress
    where progress.is_latest
),

progress_changes as (
    select
        'progress' as subject,
        now.target_id as record_key,
        now.target_name_es as label,
        now.measure,
        cast(null as integer) as fiscal_year,
        false as is_closed_year,
        cast(round(earlier.reported, 4) as varchar) as value_before,
        cast(round(now.reported, 4) as varchar) as value_after,
        now.reported - coalesce(earlier.reported, 0) as difference,
        'ha' as unit,
        'sum_of_initiatives' as reason
    from progress_now as now
    left join progress_before as earlier on now.target_id = earlier.target_id and now.measure = earlier.measure
    where round(now.reported, 4) is distinct from round(earlier.reported, 4)
),

investment_changes as (
    select
        'investments' as subject,
        coalesce(now.cui, earlier.cui) as record_key,
        coalesce(now.name, earlier.name) as label,
        'updated_cost_pen' as measure,
        cast(null as integer) as fiscal_year,
        false as is_closed_year,
        cast(earlier.updated_cost_pen as varchar) as value_before,
        cast(now.updated_cost_pen as varchar) as value_after,
        cast(coalesce(now.updated_cost_pen, 0) - coalesce(earlier.updated_cost_pen, 0) as double) as difference,
        'S/' as unit,
        case when earlier.cui is null then 'new_record' when now.cui is null then 'withdrawn' else 'revised_by_source' end as reason
    from core.investments as now
    full join previous.core__investments as earlier on now.cui = earlier.cui
    where now.updated_cost_pen is distinct from earlier.updated_cost_pen or now.cui is null or earlier.cui is null
),

degradation_now as (
    select
        polygons.degradation_year,
        sum(exact(polygons.area_ha)) as area_ha
    from core.degradation as polygons
    group by polygons.degradation_year
),

degradation_before as (
    select
        polygons.degradation_year,
        sum(exact(polygons.area_ha)) as area_ha
    from previous.core__degradation as polygons
    group by polygons.degradation_year
),

degradation_changes as (
    select
        'degradation' as subject,
        cast(coalesce(now.degradation_year, earlier.degradation_year) as varchar) as record_key,
        'Degradación ' || coalesce(now.degradation_year, earlier.degradation_year) as label,
        'area_ha' as measure,
        cast(null as integer) as fiscal_year,
        false as is_closed_year,
        cast(earlier.area_ha as varchar) as value_before,
        cast(now.area_ha as varchar) as value_after,
        cast(coalesce(now.area_ha, 0) - coalesce(earlier.area_ha, 0) as double) as difference,
        'ha' as unit,
        case when earlier.area_ha is null then 'new_record' when now.area_ha is null then 'withdrawn' else 'revised_by_source' end as reason
    from degradation_now as now
    full join degradation_before as earlier on now.degradation_year = earlier.degradation_year
    where now.area_ha is distinct from earlier.area_ha
),

changes as (
    select * from spending_changes
    union all
    select * from initiative_changes
    union all
    select * from progress_changes
    union all
    select * from investment_changes
    union all
    select * from degradation_changes
)

select
    changes.subject,
    changes.record_key,
    changes.label,
    changes.measure,
    changes.fiscal_year,
    coalesce(changes.is_closed_year, false) as is_closed_year,
    case
        when changes.value_before is null then 'added'
        when changes.value_after is null then 'removed'
        else 'revised'
    end as change_kind,
    changes.value_before,
    changes.value_after,
    changes.difference,
    changes.unit,
    changes.reason
from changes
cross join before_existed
where before_existed.yes
order by changes.subject, changes.record_key, changes.measure
