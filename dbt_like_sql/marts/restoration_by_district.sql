-- Net hectares where they lie; declared and gross by the main district of each area. What lies in no district (sea or border) is
-- a row of its own; districts without restoration have none.
with net as (
    select
        allocations.ubigeo,
        count(distinct allocations.initiative_id) as initiative_count,
        sum(exact(allocations.net_ha)) as net_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.was_degraded) as net_degraded_ha,
        sum(exact(allocations.net_ha)) filter (where allocations.protection != 'none') as net_protected_ha
    from core.area_allocations as allocations
    inner join core.initiatives as counted
        on allocations.initiative_id = counted.initiative_id and counted.counts_as_under_restoration
    group by allocations.ubigeo
),

stated as (
    select
        areas.ubigeo,
        sum(exact(areas.declared_ha)) filter (where areas.is_declared_basis) as declared_ha,
        sum(exact(areas.geometry_ha)) as gross_ha
    from core.areas as areas
    inner join core.initiatives as counted
        on areas.initiative_id = counted.initiative_id and counted.counts_as_under_restoration
    group by areas.ubigeo
)

select
    coalesce(net.ubigeo, stated.ubigeo) as ubigeo,
    units.department_name,
    units.province_name,
    coalesce(units.unit_name, 'Fuera de todo distrito') as district_name,
    coalesce(net.initiative_count, 0) as initiative_count,
    coalesce(stated.declared_ha, 0) as declared_ha,
    coalesce(stated.gross_ha, 0) as gross_ha,
    coalesce(net.net_ha, 0) as net_ha,
    coalesce(net.net_degraded_ha, 0) as net_degraded_ha,
    coalesce(net.net_protected_ha, 0) as net_protected_ha
from net
full join stated on net.ubigeo is not distinct from stated.ubigeo
left join core.admin_units as units on coalesce(net.ubigeo, stated.ubigeo) = units.ubigeo and units.unit_level = 'district'
order by ubigeo nulls last
