-- From all net hectares to the figure of each target and framework, step by step: what is taken away and why. Steps of one framework
-- add up to its figure; frameworks are never added. The last step gives a target the ground that its initiatives share with some
-- that do not count for it.
with ground as (
    select
        areas.area_id,
        areas.net_ha,
        initiatives.status,
        coalesce(statuses.counts_as_under_restoration, false) as has_begun,
        year(initiatives.start_date) as start_year,
        initiatives.restoration_type is null or types.ferm_code is not null as is_type_of_ferm,
        coalesce(ecosystems.is_natural, false) as is_natural,
        coalesce(ecosystems.is_forest, false) as is_forest
    from core.areas as areas
    inner join core.initiatives as initiatives on areas.initiative_id = initiatives.initiative_id
    left join seeds.initiative_statuses as statuses on initiatives.status = statuses.status
    left join seeds.restoration_types as types on initiatives.restoration_type = types.restoration_type
    left join core.ecosystems as ecosystems on areas.ecosystem_code = ecosystems.ecosystem_code
    where areas.geometry_kind = 'polygon'
),

judged as (
    select
        targets.target_id as framework,
        ground.net_ha,
        coalesce(list_contains(targets.counted_statuses, ground.status), false) as is_status,
        true as is_type,
        targets.counted_from_year is null or coalesce(ground.start_year >= targets.counted_from_year, false) as is_year,
        targets.counted_ecosystem_family = 'all'
        or (targets.counted_ecosystem_family = 'natural' and ground.is_natural)
        or (targets.counted_ecosystem_family = 'forest' and ground.is_forest) as is_ecosystem
    from core.targets as targets
    cross join ground
    union all
    select
        'ferm' as framework,
        ground.net_ha,
        ground.has_begun as is_status,
        ground.is_type_of_ferm as is_type,
        true as is_year,
        true as is_ecosystem
    from ground
),

shared as (
    select
        counting.target_id as framework,
        sum(exact(counting.net_ha)) - sum(exact(areas.net_ha)) as net_ha
    from core.target_areas as counting
    inner join core.areas as areas on counting.area_id = areas.area_id
    where counting.geometry_kind = 'polygon'
    group by counting.target_id
),

steps as (
    select
        judged.framework,
        unnest([1, 2, 3, 4, 5]) as step_order,
        unnest(['all_net_ground', 'status_not_counted', 'type_not_counted', 'before_first_year', 'ecosystem_not_counted']) as step,
        unnest([
            sum(exact(judged.net_ha)),
            -sum(exact(judged.net_ha)) filter (where not judged.is_status),
            -sum(exact(judged.net_ha)) filter (where judged.is_status and not judged.is_type),
            -sum(exact(judged.net_ha)) filter (where judged.is_status and judged.is_type and not judged.is_year),
            -sum(exact(judged.net_ha)) filter (
                where judged.is_status and judged.is_type and judged.is_year and not judged.is_ecosystem
            )
        ]) as net_ha
    from judged
    group by judged.framework
    union all
    select
        shared.framework,
        6 as step_order,
        'shared_with_uncounted' as step,
        shared.net_ha
    from shared
),

closed as (
    select
        steps.framework,
        steps.step_order,
        steps.step,
        coalesce(steps.net_ha, 0) as net_ha
    from steps
    union all
    select
        steps.framework,
        7 as step_order,
        'reported' as step,
        coalesce(sum(steps.net_ha), 0) as net_ha
    from steps
    group by steps.framework
),

words as (
    select
        listed.step,
        listed.step_es,
        listed.step_en
    from (
        values
        ('all_net_ground', 'Todo el suelo neto', 'All net ground'),
        ('status_not_counted', 'Aún no empieza, o su estado no cuenta', 'Not yet begun, or its status does not count'),
        ('type_not_counted', 'Tipo de restauración que no cuenta', 'Type of restoration that does not count'),
        ('before_first_year', 'Empezó antes del primer año que cuenta', 'Began before the first year that counts'),
        ('ecosystem_not_counted', 'Ecosistema que no cuenta', 'Ecosystem that does not count'),
        ('shared_with_uncounted', 'Suelo compartido con iniciativas que no cuentan', 'Ground shared with initiatives that do not count'),
        ('reported', 'Lo que se informa', 'What is reported')
    ) as listed (step, step_es, step_en)
)

select
    closed.framework,
    coalesce(targets.target_name_es, 'FERM (FAO), polígonos') as framework_es,
    coalesce(targets.target_name_en, 'FERM (FAO), polygons') as framework_en,
    closed.step_order,
    closed.step,
    words.step_es,
    words.step_en,
    cast(closed.net_ha as double) as net_ha
from closed
inner join words on closed.step = words.step
left join core.targets as targets on closed.framework = targets.target_id
where closed.net_ha != 0 or closed.step in ('all_net_ground', 'reported')
order by closed.framework, closed.step_order
