-- District and ecosystem of each area by the largest share of its ground; a point's are those it lies in.
with placed_shapes as materialized (
    select
        shapes.area_id,
        coalesce(shapes.equal_area_shape, st_transform(shapes.geometry, 'EPSG:4326', 'EPSG:6933')) as shape
    from core.area_shapes as shapes
    where shapes.geometry is not null
),

tiles as materialized (
    select
        cut.layer,
        cut.code,
        cut.equal_area_shape as shape
    from core.ground_tiles as cut
    where cut.layer in ('district', 'ecosystem')
),

-- a layer may say one code in several polygons and tiles: their shares of one area add up
shares as (
    select
        placed_shapes.area_id,
        tiles.layer,
        tiles.code,
        sum(exact(
            case
                when st_covers(tiles.shape, placed_shapes.shape) then st_area(placed_shapes.shape)
                else st_area(st_intersection(tiles.shape, placed_shapes.shape))
            end
        )) as share
    from placed_shapes
    inner join tiles on st_intersects(tiles.shape, placed_shapes.shape)
    group by placed_shapes.area_id, tiles.layer, tiles.code
),

best as (
    select
        shares.area_id,
        shares.layer,
        shares.code
    from shares
    qualify row_number() over (partition by shares.area_id, shares.layer order by shares.share desc, shares.code) = 1
)

select
    placed_shapes.area_id,
    max(best.code) filter (where best.layer = 'district') as ubigeo,
    max(best.code) filter (where best.layer = 'ecosystem') as ecosystem_code
from placed_shapes
left join best on placed_shapes.area_id = best.area_id
group by placed_shapes.area_id
order by placed_shapes.area_id
