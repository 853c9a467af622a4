-- What counts for which target, by the target's own rule: status, first year, family of ecosystems. Targets overlap by
-- definition. The net hectares of an area are those it adds to its target: where two counted areas share ground, the
-- one that began earlier counts it, then the one with the lower `turn`: the ground of a target adds up year by year.
with counted as (
    select
        targets.target_id,
        areas.area_id,
        areas.initiative_id,
        year(initiatives.start_date) as start_year,
        areas.evidence_class,
        areas.geometry_kind,
        areas.declared_ha,
        areas.is_declared_basis,
        areas.geometry_ha,
        areas.is_witness,
        row_number() over (
            partition by targets.target_id
            order by year(initiatives.start_date) nulls last, areas.turn
        ) as place
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
),

both_ways as (
    select
        unnest([pairs.area_id_a, pairs.area_id_b]) as area_id,
        unnest([pairs.area_id_b, pairs.area_id_a]) as other_id
    from core.shared_ground as pairs
),

sharing as (
    select distinct both_ways.area_id from both_ways
),

taken as (
    select
        later.target_id,
        later.area_id,
        st_union_agg(shapes.equal_area_shape order by shapes.area_id) as shape
    from counted as later
    inner join both_ways on later.area_id = both_ways.area_id
    inner join counted as earlier
        on
            later.target_id = earlier.target_id
            and both_ways.other_id = earlier.area_id
            and later.place > earlier.place
            and not earlier.is_witness
    inner join core.area_shapes as shapes on earlier.area_id = shapes.area_id
    group by later.target_id, later.area_id
)

select
    counted.target_id,
    counted.area_id,
    counted.initiative_id,
    counted.start_year,
    counted.evidence_class,
    counted.geometry_kind,
    counted.declared_ha,
    counted.is_declared_basis,
    counted.geometry_ha,
    case
        when counted.geometry_kind != 'polygon' then null
        when counted.is_witness then 0
        when taken.shape is null then counted.geometry_ha
        else st_area(st_difference(shapes.equal_area_shape, taken.shape)) / 10000
    end as net_ha,
    sharing.area_id is not null as shares_ground,
    counted.is_witness
from counted
inner join core.area_shapes as shapes on counted.area_id = shapes.area_id
left join taken on counted.target_id = taken.target_id and counted.area_id = taken.area_id
left join sharing on counted.area_id = sharing.area_id
order by counted.target_id, counted.area_id
