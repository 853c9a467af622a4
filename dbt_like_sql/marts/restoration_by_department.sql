-- Departments as the sum of their districts; an initiative that lies in several districts counts once in its department.
with counted as (
    select
        left(allocations.ubigeo, 2) as department_ubigeo,
        count(distinct allocations.initiative_id) as initiative_count
    from core.area_allocations as allocations
    inner join core.initiatives as initiatives
        on allocations.initiative_id = initiatives.initiative_id and initiatives.counts_as_under_restoration
    group by left(allocations.ubigeo, 2)
),

summed as (
    select
        left(districts.ubigeo, 2) as department_ubigeo,
        sum(exact(districts.declared_ha)) as declared_ha,
        sum(exact(districts.gross_ha)) as gross_ha,
        sum(exact(districts.net_ha)) as net_ha,
        sum(exact(districts.net_degraded_ha)) as net_degraded_ha,
        sum(exact(districts.net_protected_ha)) as net_protected_ha
    from marts.restoration_by_district as districts
    group by left(districts.ubigeo, 2)
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
    coalesce(counted.initiative_count, 0) as initiative_count,
    coalesce(summed.declared_ha, 0) as declared_ha,
    coalesce(summed.gross_ha, 0) as gross_ha,
    coalesce(summed.net_ha, 0) as net_ha,
    coalesce(summed.net_degraded_ha, 0) as net_degraded_ha,
    coalesce(summed.net_protected_ha, 0) as net_protected_ha,
    100 * coalesce(summed.net_ha, 0) / nullif(sum(summed.net_ha) over (), 0) as share_of_net_pct
from departments
left join summed on departments.department_ubigeo is not distinct from summed.department_ubigeo
left join counted on departments.department_ubigeo is not distinct from counted.department_ubigeo
order by departments.department_ubigeo nulls last
