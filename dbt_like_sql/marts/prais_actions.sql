-- UNCCD PRAIS4, table SO1.IA.T1: implemented actions, in net km² (each hectare once), linked to the targets they count for.
-- An initiative without a polygon has no extent here, its declared area is another column.
with linked as (
    select
        counting.initiative_id,
        string_agg(distinct counting.target_id, '; ' order by counting.target_id) as linked_targets
    from core.target_areas as counting
    group by counting.initiative_id
),

paid as (
    select
        parts.initiative_id,
        string_agg(distinct programmes.short_name, '; ' order by programmes.short_name) as programmes
    from core.initiative_spending as parts
    inner join core.programmes as programmes on parts.programme_code = programmes.programme_code
    where parts.accrued_pen > 0
    group by parts.initiative_id
)

select
    initiatives.initiative_id,
    initiatives.name as action_description,
    linked.linked_targets,
    institutions.institution_name as lead_institution,
    units.department_name,
    initiatives.ubigeo,
    initiatives.start_date,
    initiatives.status,
    case when initiatives.gross_ha > 0 then initiatives.net_ha / 100 end as areal_extent_km2,
    initiatives.declared_ha / 100 as declared_km2,
    coalesce(
        nullif(concat_ws('; ', 'Public budget: ' || paid.programmes, initiatives.funder), ''), 'Not reported'
    ) as source_of_funding
from core.initiatives as initiatives
left join linked on initiatives.initiative_id = linked.initiative_id
left join paid on initiatives.initiative_id = paid.initiative_id
left join core.institutions as institutions on initiatives.lead_institution_id = institutions.institution_id
left join core.admin_units as units on initiatives.ubigeo = units.ubigeo
where initiatives.counts_as_under_restoration
order by initiatives.initiative_id
