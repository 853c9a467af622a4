-- What each institution delivered and what of it counts: a hectare that two deliver is net for one of them alone, so net adds up
-- over institutions, declared and gross do not.
with under_way as (
    select
        areas.reporting_institution,
        areas.initiative_id,
        areas.declared_ha,
        areas.is_declared_basis,
        areas.geometry_ha,
        areas.net_ha
    from core.areas as areas
    inner join core.initiatives as initiatives
        on areas.initiative_id = initiatives.initiative_id and initiatives.counts_as_under_restoration
)

select
    under_way.reporting_institution,
    count(distinct under_way.initiative_id) as initiative_count,
    count(*) as area_count,
    coalesce(sum(exact(under_way.declared_ha)), 0) as stated_ha,
    coalesce(sum(exact(under_way.declared_ha)) filter (where under_way.is_declared_basis), 0) as declared_ha,
    coalesce(sum(exact(under_way.geometry_ha)), 0) as gross_ha,
    coalesce(sum(exact(under_way.net_ha)), 0) as net_ha,
    100 * sum(exact(under_way.net_ha)) / nullif(sum(exact(under_way.geometry_ha)), 0) as net_of_gross_pct
from under_way
group by under_way.reporting_institution
order by under_way.reporting_institution
