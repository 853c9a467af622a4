-- District and ecosystem of each area by the largest share of its ground; a point's are those it lies in.
with placed_districts as (
    select
        shapes.area_id,
        units.ubigeo,
        case
            when st_covers(units.geometry, shapes.geometry) then 1e12
            else st_area(st_intersection(units.geometry, shapes.geometry))
        end as share
    from core.area_shapes as shapes
    inner join accepted.stg_inei__districts as units on st_intersects(units.geometry, shapes.geometry)
),

placed_ecosystems as (
    select
        shapes.area_id,
        mapped.ecosystem_code,
        case
            when st_covers(mapped.geometry, shapes.geometry) then 1e12
            else st_area(st_intersection(mapped.geometry, shapes.geometry))
        end as share
    from core.area_shapes as shapes
    inner join accepted.stg_minam__ecosystems as mapped on st_intersects(mapped.geometry, shapes.geometry)
),

-- an ecosystem may come in several polygons: their shares of one area add up
ecosystem_shares as (
    select
        placed_ecosystems.area_id,
        placed_ecosystems.ecosystem_code,
        sum(placed_ecosystems.share) as share
    from placed_ecosystems
    where placed_ecosystems.ecosystem_code is not null
    group by all
),

best_district as (
    select
        placed_districts.area_id,
        placed_districts.ubigeo
    from placed_districts
    qualify
        row_number() over (
            partition by placed_districts.area_id
            order by placed_districts.share desc, placed_districts.ubigeo
        ) = 1
),

best_ecosystem as (
    select
        ecosystem_shares.area_id,
        ecosystem_shares.ecosystem_code
    from ecosystem_shares
    qualify
        row_number() over (
            partition by ecosystem_shares.area_id
            order by ecosystem_shares.share desc, ecosystem_shares.ecosystem_code
        ) = 1
)

select
    shapes.area_id,
    best_district.ubigeo,
    best_ecosystem.ecosystem_code
from core.area_shapes as shapes
left join best_district on shapes.area_id = best_district.area_id
left join best_ecosystem on shapes.area_id = best_ecosystem.area_id
where shapes.geometry is not null
order by shapes.area_id
