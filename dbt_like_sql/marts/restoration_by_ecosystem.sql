-- What is under restoration against what is degraded, class by class: the 36 of the national map, the transformed covers, and
-- what lies outside the map. Declared and gross hectares go to the main ecosystem of each area, net hectares to where they lie.
with net as (
    select
        allocations.ecosystem_code,
        count(distinct allocations.initiative_id) as initiative_count,
        sum(exact(allocations.net_ha)) as net_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.was_degraded) as net_degraded_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.protection != 'none') as net_protected_ha
    from core.area_allocations as allocations
    inner join core.initiatives as counted
        on allocations.initiative_id = counted.initiative_id and counted.counts_as_under_restoration
    group by allocations.ecosystem_code
),

stated as (
    select
        areas.ecosystem_code,
        sum(exact(areas.declared_ha)) filter (where areas.is_declared_basis) as declared_ha,
        sum(exact(areas.geometry_ha)) as gross_ha
    from core.areas as areas
    inner join core.initiatives as counted
        on areas.initiative_id = counted.initiative_id and counted.counts_as_under_restoration
    group by areas.ecosystem_code
),

classes as (
    select
        ecosystems.ecosystem_code,
        ecosystems.ecosystem_name,
        ecosystems.region_group,
        ecosystems.ecosystem_family,
        ecosystems.is_natural,
        ecosystems.is_forest,
        ecosystems.get_efg_code,
        ecosystems.get_confidence,
        ecosystems.degraded_2019_ha,
        ecosystems.mapped_ha
    from core.ecosystems as ecosystems
    union all
    select
        cast(null as varchar) as ecosystem_code,
        'Fuera del mapa de ecosistemas' as ecosystem_name,
        cast(null as varchar) as region_group,
        cast(null as varchar) as ecosystem_family,
        cast(null as boolean) as is_natural,
        cast(null as boolean) as is_forest,
        cast(null as varchar) as get_efg_code,
        cast(null as varchar) as get_confidence,
        cast(null as double) as degraded_2019_ha,
        cast(null as double) as mapped_ha
)

select
    classes.ecosystem_code,
    classes.ecosystem_name,
    classes.region_group,
    classes.ecosystem_family,
    classes.is_natural,
    classes.is_forest,
    classes.get_efg_code,
    classes.get_confidence,
    classes.mapped_ha,
    classes.degraded_2019_ha,
    coalesce(net.initiative_count, 0) as initiative_count,
    coalesce(stated.declared_ha, 0) as declared_ha,
    coalesce(stated.gross_ha, 0) as gross_ha,
    coalesce(net.net_ha, 0) as net_ha,
    coalesce(net.net_degraded_ha, 0) as net_degraded_ha,
    coalesce(net.net_protected_ha, 0) as net_protected_ha,
    100 * coalesce(net.net_ha, 0) / nullif(classes.degraded_2019_ha, 0) as net_of_degraded_pct,
    100 * coalesce(net.net_ha, 0) / nullif(sum(net.net_ha) over (), 0) as share_of_net_pct,
    100 * classes.degraded_2019_ha / nullif(sum(classes.degraded_2019_ha) over (), 0) as share_of_degraded_pct
from classes
left join net on classes.ecosystem_code is not distinct from net.ecosystem_code
left join stated on classes.ecosystem_code is not distinct from stated.ecosystem_code
order by classes.ecosystem_code nulls last
