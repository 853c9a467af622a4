-- Accrued soles per hectare of an initiative's own ground: what others took of shared ground makes no initiative dearer. Counted
-- are finished initiatives that began in the fiscal years we have files of, so that all their money is there; the dimension
-- `status` shows the others too, whose money or ground is not all there yet. An initiative is in one group of each dimension. The
-- shares say how much money and ground the figure rests on.
with first_year as (
    select min(lines.fiscal_year) as fiscal_year
    from core.spending as lines
),

money as (
    select
        parts.initiative_id,
        sum(parts.accrued_pen) as accrued_pen
    from core.initiative_spending as parts
    group by parts.initiative_id
),

main as (
    select
        areas.initiative_id,
        arg_max(areas.ecosystem_code, areas.geometry_ha) as ecosystem_code
    from core.areas as areas
    group by areas.initiative_id
),

described as (
    select
        initiatives.initiative_id,
        initiatives.own_ha,
        money.accrued_pen,
        money.accrued_pen > 0 and initiatives.own_ha > 0 as has_both,
        coalesce(year(initiatives.start_date) < first_year.fiscal_year, true) as has_earlier_money,
        initiatives.status = 'post_completion' as is_finished,
        unnest(['all', 'restoration_type', 'department', 'ecosystem_family', 'status']) as dimension,
        unnest([
            'all', initiatives.restoration_type, coalesce(left(initiatives.ubigeo, 2), 'none'),
            coalesce(ecosystems.ecosystem_family, 'none'), initiatives.status
        ]) as group_code
    from core.initiatives as initiatives
    cross join first_year
    left join money on initiatives.initiative_id = money.initiative_id
    left join main on initiatives.initiative_id = main.initiative_id
    left join core.ecosystems as ecosystems on main.ecosystem_code = ecosystems.ecosystem_code
),

counting as (
    select
        described.*,
        described.has_both and (described.dimension = 'status' or (described.is_finished and not described.has_earlier_money))
            as is_counted
    from described
)

select
    counting.dimension,
    counting.group_code,
    count(*) as initiative_count,
    count(*) filter (where counting.has_both and counting.has_earlier_money) as earlier_money_initiatives,
    count(*) filter (where counting.is_counted) as counted_initiatives,
    coalesce(sum(counting.accrued_pen) filter (where counting.is_counted), 0) as accrued_pen,
    coalesce(sum(exact(counting.own_ha)) filter (where counting.is_counted), 0) as own_ha,
    sum(counting.accrued_pen) filter (where counting.is_counted)
    / nullif(sum(exact(counting.own_ha)) filter (where counting.is_counted), 0) as pen_per_ha,
    quantile_cont(counting.accrued_pen / nullif(counting.own_ha, 0), 0.25) filter (where counting.is_counted)
        as lower_quartile_pen_per_ha,
    median(counting.accrued_pen / nullif(counting.own_ha, 0)) filter (where counting.is_counted) as median_pen_per_ha,
    quantile_cont(counting.accrued_pen / nullif(counting.own_ha, 0), 0.75) filter (where counting.is_counted)
        as upper_quartile_pen_per_ha,
    100 * coalesce(sum(counting.accrued_pen) filter (where counting.is_counted), 0) / nullif(sum(counting.accrued_pen), 0)
        as money_share_pct,
    100 * coalesce(sum(exact(counting.own_ha)) filter (where counting.is_counted), 0) / nullif(sum(exact(counting.own_ha)), 0)
        as ground_share_pct
from counting
group by counting.dimension, counting.group_code
order by counting.dimension, counting.group_code
