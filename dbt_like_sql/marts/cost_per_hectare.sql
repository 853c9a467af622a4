-- Accrued soles per net hectare, over the initiatives of which both are known: money since the first fiscal year of the
-- files, ground as drawn. An initiative is in one group of each dimension. The shares say how much money and ground the
-- figure is based on.
with money as (
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
        initiatives.net_ha,
        money.accrued_pen,
        money.accrued_pen > 0 and initiatives.net_ha > 0 as has_both,
        unnest(['all', 'restoration_type', 'department', 'ecosystem_family']) as dimension,
        unnest([
            'all', initiatives.restoration_type, coalesce(left(initiatives.ubigeo, 2), 'none'),
            coalesce(ecosystems.ecosystem_family, 'none')
        ]) as group_code
    from core.initiatives as initiatives
    left join money on initiatives.initiative_id = money.initiative_id
    left join main on initiatives.initiative_id = main.initiative_id
    left join core.ecosystems as ecosystems on main.ecosystem_code = ecosystems.ecosystem_code
)

select
    described.dimension,
    described.group_code,
    count(*) as initiative_count,
    count(*) filter (where described.has_both) as counted_initiatives,
    coalesce(sum(described.accrued_pen) filter (where described.has_both), 0) as accrued_pen,
    coalesce(sum(exact(described.net_ha)) filter (where described.has_both), 0) as net_ha,
    sum(described.accrued_pen) filter (where described.has_both)
    / nullif(sum(exact(described.net_ha)) filter (where described.has_both), 0) as pen_per_ha,
    median(described.accrued_pen / nullif(described.net_ha, 0)) filter (where described.has_both) as median_pen_per_ha,
    100 * coalesce(sum(described.accrued_pen) filter (where described.has_both), 0) / nullif(sum(described.accrued_pen), 0)
        as money_share_pct,
    100 * coalesce(sum(exact(described.net_ha)) filter (where described.has_both), 0) / nullif(sum(exact(described.net_ha)), 0)
        as ground_share_pct
from described
group by described.dimension, described.group_code
order by described.dimension, described.group_code
