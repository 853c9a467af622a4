-- What adding the targets would claim, and what the ground says: areas that count for at least one target, each hectare once.
with counted as (
    select
        counting.area_id,
        any_value(counting.declared_ha) as declared_ha,
        any_value(counting.is_declared_basis) as is_declared_basis,
        any_value(counting.geometry_ha) as geometry_ha,
        any_value(counting.shares_ground) as shares_ground,
        any_value(counting.is_witness) as is_witness,
        count(*) as target_count
    from core.target_areas as counting
    group by counting.area_id
),

ground as (
    select
        sum(exact(counted.declared_ha)) filter (where counted.is_declared_basis) as declared_ha,
        sum(exact(counted.geometry_ha)) as gross_ha,
        coalesce(sum(exact(counted.geometry_ha)) filter (where not counted.shares_ground), 0)
        + coalesce(
            st_area(
                st_union_agg(shapes.equal_area_shape order by shapes.area_id)
                filter (where counted.shares_ground and not counted.is_witness)
            ) / 10000,
            0
        ) as net_ha,
        count(*) as area_count,
        count(*) filter (where counted.target_count > 1) as counted_more_than_once
    from counted
    inner join core.area_shapes as shapes on counted.area_id = shapes.area_id
),

claims as (
    select
        count(*) as target_count,
        sum(exact(progress.target_ha)) as sum_of_targets_ha,
        max(progress.target_ha) as largest_target_ha,
        sum(exact(progress.net_ha)) as claimed_ha,
        max(progress.data_as_of) as data_as_of
    from marts.progress_to_targets as progress
    where progress.is_latest
)

select
    claims.target_count,
    claims.sum_of_targets_ha,
    claims.largest_target_ha,
    claims.claimed_ha,
    coalesce(ground.declared_ha, 0) as declared_ha,
    coalesce(ground.gross_ha, 0) as gross_ha,
    ground.net_ha,
    claims.claimed_ha - ground.net_ha as claimed_too_much_ha,
    claims.claimed_ha / nullif(ground.net_ha, 0) as times_claimed,
    100 * ground.net_ha / claims.largest_target_ha as share_of_largest_pct,
    ground.area_count,
    ground.counted_more_than_once,
    claims.data_as_of
from ground
cross join claims
