-- What adding targets would count twice: the ground that counts for both of two targets. What counts for which is in
-- core.target_areas.
with counted as (
    select
        counting.target_id,
        areas.area_id,
        areas.declared_ha,
        areas.is_declared_basis,
        areas.geometry_ha
    from core.target_areas as counting
    inner join core.areas as areas on counting.area_id = areas.area_id
),

sharing as (
    select pairs.area_id_a as area_id from core."overlaps" as pairs
    union
    select pairs.area_id_b as area_id from core."overlaps" as pairs
),

shared as (
    select
        first_target.target_id as target_id_a,
        second_target.target_id as target_id_b,
        count(*) as area_count,
        sum(exact(first_target.declared_ha)) filter (where first_target.is_declared_basis) as declared_ha,
        sum(exact(first_target.geometry_ha)) as gross_ha,
        coalesce(sum(exact(first_target.geometry_ha)) filter (where sharing.area_id is null), 0)
        + coalesce(
            st_area(
                st_union_agg(shapes.equal_area_shape order by shapes.area_id) filter (where sharing.area_id is not null)
            ) / 10000,
            0
        ) as net_ha
    from counted as first_target
    inner join counted as second_target
        on first_target.area_id = second_target.area_id and first_target.target_id < second_target.target_id
    inner join core.area_shapes as shapes on first_target.area_id = shapes.area_id
    left join sharing on first_target.area_id = sharing.area_id
    group by first_target.target_id, second_target.target_id
)

select
    shared.target_id_a,
    shared.target_id_b,
    shared.area_count,
    coalesce(shared.declared_ha, 0) as declared_ha,
    coalesce(shared.gross_ha, 0) as gross_ha,
    shared.net_ha,
    100 * shared.net_ha / nullif(least(first_progress.net_ha, second_progress.net_ha), 0) as share_of_smaller_pct
from shared
inner join marts.progress_to_targets as first_progress on shared.target_id_a = first_progress.target_id
inner join marts.progress_to_targets as second_progress on shared.target_id_b = second_progress.target_id
order by shared.target_id_a, shared.target_id_b
