-- Our sums beside the official ones, measure by measure, and beside two other products of MEF: the long file and
-- Consulta Amigable. No official total yet is not a difference.
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

monthly as (
    select
        totals.fiscal_year,
        totals.programme_code,
        sum(totals.initial_pen) as initial_pen,
        sum(totals.modified_pen) as modified_pen,
        sum(totals.certified_pen) as certified_pen,
        sum(totals.accrued_pen) as accrued_pen,
        sum(totals.paid_pen) as paid_pen
    from accepted.stg_mef__monthly_totals as totals
    group by all
),

witnesses as (
    select
        'long_file' as scope,
        monthly.fiscal_year,
        monthly.programme_code,
        measures.measure,
        case measures.measure
            when 'initial_pen' then monthly.initial_pen
            when 'modified_pen' then monthly.modified_pen
            when 'certified_pen' then monthly.certified_pen
            when 'accrued_pen' then monthly.accrued_pen
            when 'paid_pen' then monthly.paid_pen
        end as official_pen
    from monthly
    cross join seeds.reconciliation_tolerances as measures
    union all
    select
        'consulta_amigable' as scope,
        pages.fiscal_year,
        pages.programme_code,
        measures.measure,
        case measures.measure
            when 'initial_pen' then pages.initial_pen
            when 'modified_pen' then pages.modified_pen
            when 'certified_pen' then pages.certified_pen
            when 'accrued_pen' then pages.accrued_pen
            when 'paid_pen' then pages.paid_pen
        end as official_pen
    from accepted.stg_mef__consulta_amigable as pages
    cross join seeds.reconciliation_tolerances as measures
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
    union all
    select
        witnesses.scope,
        ours.fiscal_year,
        ours.programme_code,
        ours.measure,
        ours.ours_pen,
        witnesses.official_pen
    from ours
    inner join witnesses
        on
            ours.fiscal_year = witnesses.fiscal_year
            and ours.programme_code = witnesses.programme_code
            and ours.measure = witnesses.measure
    where witnesses.official_pen is not null
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
        -- the page shows whole soles
        when compared.scope = 'consulta_amigable' and abs(compared.ours_pen - compared.official_pen) <= 1 then 'equal'
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
