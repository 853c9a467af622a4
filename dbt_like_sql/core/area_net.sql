-- Each hectare once: an area keeps the ground that no area of higher precedence (lower `turn`) has.
with taken as (
    select
        pairs.area_id_b as area_id,
        st_union_agg(earlier.equal_area_shape order by earlier.area_id) as shape
    from core.shared_ground as pairs
    inner join core.area_shapes as earlier on pairs.area_id_a = earlier.area_id
    group by pairs.area_id_b
),

kept as (
    select
        shapes.area_id,
        case
            when taken.shape is null then shapes.equal_area_shape
            else polygons_of(st_difference(shapes.equal_area_shape, taken.shape))
        end as equal_area_shape,
        case when taken.shape is null then shapes.geometry_ha end as whole_ha
    from core.area_shapes as shapes
    left join taken on shapes.area_id = taken.area_id
    where shapes.geometry_kind = 'polygon'
)

select
    kept.area_id,
    kept.equal_area_shape,
    coalesce(kept.whole_ha, st_area(kept.equal_area_shape) / 10000) as net_ha
from kept
order by kept.area_id
