-- The restorative continuum, step by step; FERM counts its last two. What is in preparation is in separate columns and
-- not counted. Initiatives whose registries name no type of restoration are on a step `unknown`, so that none is lost.
with steps as (
    select distinct
        types.continuum_step,
        types.continuum_order,
        types.ferm_code is not null as is_counted_by_ferm
    from seeds.restoration_types as types
    union all
    select
        'unknown' as continuum_step,
        0 as continuum_order,
        false as is_counted_by_ferm
),

ground as (
    select
        coalesce(initiatives.continuum_step, 'unknown') as continuum_step,
        coalesce(initiatives.counts_as_under_restoration, false) as counts_as_under_restoration,
        count(distinct initiatives.initiative_id) as initiative_count,
        sum(exact(initiatives.declared_ha)) as declared_ha,
        sum(exact(initiatives.gross_ha)) as gross_ha,
        sum(exact(initiatives.net_ha)) as net_ha
    from core.initiatives as initiatives
    group by coalesce(initiatives.continuum_step, 'unknown'), coalesce(initiatives.counts_as_under_restoration, false)
)

select
    steps.continuum_step,
    steps.continuum_order,
    steps.is_counted_by_ferm,
    coalesce(under_way.initiative_count, 0) as initiative_count,
    coalesce(under_way.declared_ha, 0) as declared_ha,
    coalesce(under_way.gross_ha, 0) as gross_ha,
    coalesce(under_way.net_ha, 0) as net_ha,
    100 * coalesce(under_way.net_ha, 0) / nullif(sum(under_way.net_ha) over (), 0) as share_of_net_pct,
    coalesce(preparing.initiative_count, 0) as preparing_count,
    coalesce(preparing.net_ha, 0) as preparing_net_ha
from steps
left join ground as under_way on steps.continuum_step = under_way.continuum_step and under_way.counts_as_under_restoration
left join ground as preparing on steps.continuum_step = preparing.continuum_step and not preparing.counts_as_under_restoration
where steps.continuum_step != 'unknown' or under_way.initiative_count > 0 or preparing.initiative_count > 0
order by steps.continuum_order
