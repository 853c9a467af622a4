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

-- the total that each institution states, beside what was accepted of it and the area of its polygons
stated as (
    select
        received.reporting_institution,
        sum(exact(received.declared_ha)) as declared_ha
    from staging.std_areas as received
    group by received.reporting_institution
),

accepted_ground as (
    select
        kept.reporting_institution,
        sum(exact(kept.declared_ha)) as declared_ha,
        sum(exact(kept.declared_ha)) filter (where kept.geometry_kind = 'polygon') as declared_of_polygons_ha,
        sum(exact(kept.geometry_ha)) as drawn_ha
    from accepted.std_areas as kept
    group by kept.reporting_institution
),

hectares_compared as (
    select
        stated.reporting_institution,
        tolerances.measure,
        tolerances.warn_above_pct,
        case
            when tolerances.measure = 'declared_ha' then coalesce(accepted_ground.declared_ha, 0)
            else accepted_ground.drawn_ha
        end as ours_ha,
        case
            when tolerances.measure = 'declared_ha' then stated.declared_ha
            else accepted_ground.declared_of_polygons_ha
        end as official_ha
    from stated
    left join accepted_ground on stated.reporting_institution = accepted_ground.reporting_institution
    cross join seeds.hectare_tolerances as tolerances
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
    cast(null as varchar) as reporting_institution,
    compared.fiscal_year,
    compared.programme_code,
    compared.measure,
    compared.ours_pen,
    compared.official_pen,
    compared.ours_pen - compared.official_pen as difference_pen,
    100 * abs(compared.ours_pen - compared.official_pen) / nullif(compared.official_pen, 0) as difference_pct,
    cast(null as double) as ours_ha,
    cast(null as double) as official_ha,
    cast(null as double) as difference_ha,
    tolerances.warn_above_pct,
    tolerances.block_above_pct,
    case
        when compared.official_pen is null then 'no_official_total'
        when compared.ours_pen = compared.official_pen then 'equal'
        -- the page shows soles without decimals
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
union all
select
    'institution' as scope,
    hectares.reporting_institution,
    cast(null as integer) as fiscal_year,
    cast(null as varchar) as programme_code,
    hectares.measure,
    cast(null as decimal(18, 2)) as ours_pen,
    cast(null as decimal(18, 2)) as official_pen,
    cast(null as decimal(18, 2)) as difference_pen,
    100 * abs(hectares.ours_ha - hectares.official_ha) / nullif(hectares.official_ha, 0) as difference_pct,
    hectares.ours_ha,
    hectares.official_ha,
    hectares.ours_ha - hectares.official_ha as difference_ha,
    hectares.warn_above_pct,
    cast(null as double) as block_above_pct,
    case
        when hectares.official_ha is null or hectares.ours_ha is null then 'no_official_total'
        when hectares.ours_ha = hectares.official_ha then 'equal'
        when 100 * abs(hectares.ours_ha - hectares.official_ha) > hectares.warn_above_pct * hectares.official_ha then 'warn'
        else 'within_tolerance'
    end as status
from hectares_compared as hectares
order by scope, reporting_institution, fiscal_year, programme_code, measure
