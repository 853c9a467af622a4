-- Net hectares where they lie; declared and gross by the main district of each area. What lies in no district (sea or border)
-- is a row of its own.
with counted as (
    select initiatives.initiative_id
    from core.initiatives as initiatives
    inner join seeds.initiative_statuses as statuses
        on initiatives.status = statuses.status and statuses.counts_as_under_restoration
),

net as (
    select
        left(allocations.ubigeo, 2) as department_ubigeo,
        count(distinct allocations.initiative_id) as initiative_count,
        sum(exact(allocations.net_ha)) as net_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.was_degraded) as net_degraded_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.protection != 'none') as net_protected_ha
    from core.area_allocations as allocations
    inner join counted on allocations.initiative_id = counted.initiative_id
    group by left(allocations.ubigeo, 2)
),

stated as (
    select
        left(areas.ubigeo, 2) as department_ubigeo,
        sum(exact(areas.declared_ha)) filter (where areas.is_declared_basis) as declared_ha,
        sum(exact(areas.geometry_ha)) as gross_ha
    from core.areas as areas
    inner join counted on areas.initiative_id = counted.initiative_id
    group by left(areas.ubigeo, 2)
),

departments as (
    select
        units.ubigeo as department_ubigeo,
        units.department_name
    from core.admin_units as units
    where units.unit_level = 'department'
    union all
    select
        cast(null as varchar) as department_ubigeo,
        'Fuera de todo distrito' as department_name
)

select
    departments.department_ubigeo,
    departments.department_name,
    coalesce(net.initiative_count, 0) as initiative_count,
    coalesce(stated.declared_ha, 0) as declared_ha,
    coalesce(stated.gross_ha, 0) as gross_ha,
    coalesce(net.net_ha, 0) as net_ha,
    coalesce(net.net_degraded_ha, 0) as net_degraded_ha,
    coalesce(net.net_protected_ha, 0) as net_protected_ha,
    100 * coalesce(net.net_ha, 0) / nullif(sum(net.net_ha) over (), 0) as share_of_net_pct
from departments
left join net on departments.department_ubigeo is not distinct from net.department_ubigeo
left join stated on departments.department_ubigeo is not distinct from stated.department_ubigeo
order by departments.department_ubigeo nulls last
