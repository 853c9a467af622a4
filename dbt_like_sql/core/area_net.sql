-- Each hectare once: an area keeps what no area with an earlier turn has taken; one that draws ground again keeps none.
with taken as (
    select
        pairs.area_id_b as area_id,
        st_union_agg(earlier.equal_area_shape order by earlier.area_id) as shape
    from core.shared_ground as pairs
    inner join core.area_shapes as earlier on pairs.area_id_a = earlier.area_id
    anti join core.area_witnesses as witnesses on earlier.area_id = witnesses.area_id
    group by pairs.area_id_b
),

kept as (
    select
        shapes.area_id,
        case
            when witnesses.area_id is not null then polygons_of(st_difference(shapes.equal_area_shape, shapes.equal_area_shape))
            when taken.shape is null then shapes.equal_area_shape
            else polygons_of(st_difference(shapes.equal_area_shape, taken.shape))
        end as equal_area_shape,
        case when taken.shape is null and witnesses.area_id is null then shapes.geometry_ha end as whole_ha
    from core.area_shapes as shapes
    left join core.area_witnesses as witnesses on shapes.area_id = witnesses.area_id
    left join taken on shapes.area_id = taken.area_id
    where shapes.geometry_kind = 'polygon'
)

select
    kept.area_id,
    kept.equal_area_shape,
    coalesce(kept.whole_ha, st_area(kept.equal_area_shape) / 10000) as net_ha
from kept
order by kept.area_id
