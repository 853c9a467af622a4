-- Containment included: what counts is the shared area, not the kind of contact.
-- The touching pairs are found first and alone: with any further condition on the join DuckDB 1.5.5 compares all pairs
-- with all (seen 2026-11-23: 1.1 s against 0.01 s at 3,181 areas).
with touching as materialized (
    select
        first_area.area_id as area_id_a,
        second_area.area_id as area_id_b
    from core.area_shapes as first_area
    inner join core.area_shapes as second_area
        on st_intersects(first_area.equal_area_shape, second_area.equal_area_shape)
),

pairs as (
    select
        touching.area_id_a,
        touching.area_id_b,
        first_area.initiative_id as initiative_id_a,
        second_area.initiative_id as initiative_id_b,
        first_area.source as source_a,
        second_area.source as source_b,
        least(first_area.geometry_ha, second_area.geometry_ha) as smaller_ha,
        case
            when first_area.status_order != second_area.status_order then 'status'
            when first_area.evidence_class != second_area.evidence_class then 'evidence_class'
            when
                coalesce(first_area.start_date, date '9999-12-31') != coalesce(second_area.start_date, date '9999-12-31')
                then 'earlier_start'
            when first_area.vertices_per_ha != second_area.vertices_per_ha then 'finer_geometry'
            else 'id'
        end as rule,
        st_area(st_intersection(first_area.equal_area_shape, second_area.equal_area_shape)) / 10000 as overlap_ha
    from touching
    inner join core.area_shapes as first_area on touching.area_id_a = first_area.area_id
    inner join core.area_shapes as second_area on touching.area_id_b = second_area.area_id
    where first_area.turn < second_area.turn
)

select
    pairs.area_id_a,
    pairs.area_id_b,
    pairs.initiative_id_a,
    pairs.initiative_id_b,
    pairs.source_a,
    pairs.source_b,
    pairs.initiative_id_a = pairs.initiative_id_b as is_same_initiative,
    pairs.overlap_ha,
    pairs.overlap_ha / pairs.smaller_ha as share_of_smaller,
    pairs.area_id_a as counted_for,
    pairs.rule
from pairs
where pairs.overlap_ha > 0
order by pairs.area_id_a, pairs.area_id_b
