-- Our sums beside the official ones, measure by measure. No official total yet is not a difference.
with ours as (
    select
        spent.fiscal_year,
        spent.programme_code,
        measures.measure,
        sum(
            case measures.measure
                when 'initial_pen' then spent.initial_pen
                when 'modified_pen' then spent.modified_pen
                when 'certified_pen' then spent.certified_pen
                when 'accrued_pen' then spent.accrued_pen
                when 'paid_pen' then spent.paid_pen
            end
        ) as ours_pen
    from core.spending as spent
    cross join seeds.reconciliation_tolerances as measures
    group by all
),

official as (
    select
        totals.fiscal_year,
        totals.programme_code,
        measures.measure,
        case measures.measure
            when 'initial_pen' then totals.initial_pen
            when 'modified_pen' then totals.modified_pen
            when 'certified_pen' then totals.certified_pen
            when 'accrued_pen' then totals.accrued_pen
            when 'paid_pen' then totals.paid_pen
        end as official_pen
    from seeds.budget_control_totals as totals
    cross join seeds.reconciliation_tolerances as measures
),

national_ours as (
    select
        totals.fiscal_year,
        measures.measure,
        sum(case measures.measure when 'initial_pen' then totals.initial_pen else totals.modified_pen end) as ours_pen
    from staging.stg_mef__programme_totals as totals
    cross join seeds.reconciliation_tolerances as measures
    where measures.measure in ('initial_pen', 'modified_pen')
    group by all
),

compared as (
    select
        'programme' as scope,
        ours.fiscal_year,
        ours.programme_code,
        ours.measure,
        ours.ours_pen,
        official.official_pen
    from ours
    left join official
        on
            ours.fiscal_year = official.fiscal_year
            and ours.programme_code = official.programme_code
            and ours.measure = official.measure
    union all
    select
        'national' as scope,
        national_ours.fiscal_year,
        cast(null as varchar) as programme_code,
        national_ours.measure,
        national_ours.ours_pen,
        totals.amount_pen as official_pen
    from national_ours
    inner join seeds.national_control_totals as totals
        on national_ours.fiscal_year = totals.fiscal_year and national_ours.measure = totals.measure
)

select
    compared.scope,
    compared.fiscal_year,
    compared.programme_code,
    compared.measure,
    compared.ours_pen,
    compared.official_pen,
    compared.ours_pen - compared.official_pen as difference_pen,
    100 * abs(compared.ours_pen - compared.official_pen) / nullif(compared.official_pen, 0) as difference_pct,
    tolerances.warn_above_pct,
    tolerances.block_above_pct,
    case
        when compared.official_pen is null then 'no_official_total'
        when compared.ours_pen = compared.official_pen then 'equal'
        when
            100 * abs(compared.ours_pen - compared.official_pen) > tolerances.block_above_pct * compared.official_pen
            then 'block'
        when
            100 * abs(compared.ours_pen - compared.official_pen) > tolerances.warn_above_pct * compared.official_pen
            then 'warn'
        else 'within_tolerance'
    end as status
from compared
left join seeds.reconciliation_tolerances as tolerances on compared.measure = tolerances.measure
order by compared.scope, compared.fiscal_year, compared.programme_code, compared.measure
