-- What counts for which target, by the target's own rule: status, first year, family of ecosystems. Targets overlap by definition.
select
    targets.target_id,
    areas.area_id
from core.targets as targets
inner join core.initiatives as initiatives
    on
        list_contains(targets.counted_statuses, initiatives.status)
        and (
            targets.counted_from_year is null
            or year(initiatives.start_date) >= targets.counted_from_year
        )
inner join core.areas as areas on initiatives.initiative_id = areas.initiative_id
left join core.ecosystems as ecosystems on areas.ecosystem_code = ecosystems.ecosystem_code
where
    targets.counted_ecosystem_family = 'all'
    or (targets.counted_ecosystem_family = 'natural' and ecosystems.is_natural)
    or (targets.counted_ecosystem_family = 'forest' and ecosystems.is_forest)
order by targets.target_id, areas.area_id
