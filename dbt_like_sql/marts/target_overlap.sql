-- What adding targets would count twice: the ground that counts for both of two targets. What counts for which is in
-- core.target_areas.
with shared as (
    select
        first_target.target_id as target_id_a,
        second_target.target_id as target_id_b,
        count(*) as area_count,
        sum(exact(first_target.declared_ha)) filter (where first_target.is_declared_basis) as declared_ha,
        sum(exact(first_target.geometry_ha)) as gross_ha,
        coalesce(sum(exact(first_target.geometry_ha)) filter (where not first_target.shares_ground), 0)
        + coalesce(
            st_area(
                st_union_agg(shapes.equal_area_shape order by shapes.area_id)
                filter (where first_target.shares_ground and not first_target.is_witness)
            ) / 10000,
            0
        ) as net_ha
    from core.target_areas as first_target
    inner join core.target_areas as second_target
        on first_target.area_id = second_target.area_id and first_target.target_id < second_target.target_id
    inner join core.area_shapes as shapes on first_target.area_id = shapes.area_id
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
inner join marts.progress_to_targets as first_progress
    on shared.target_id_a = first_progress.target_id and first_progress.is_latest
inner join marts.progress_to_targets as second_progress
    on shared.target_id_b = second_progress.target_id and second_progress.is_latest
order by shared.target_id_a, shared.target_id_b
