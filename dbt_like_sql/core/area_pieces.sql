-- The net ground of each area, cut by district and then by ecosystem: every hectare in one piece. What no district or
-- no ecosystem covers stays a piece of its own; where a layer overlaps itself the lower code keeps the ground. Only
-- ground that its cuts do not fill to a tenth of a square decimetre is checked for gaps and overlaps, so a clean map
-- costs no time.
with district_tiles as materialized (
    select
        tiles.code,
        tiles.equal_area_shape as shape
    from core.ground_tiles as tiles
    where tiles.layer = 'district'
),

ecosystem_tiles as materialized (
    select
        tiles.code,
        tiles.equal_area_shape as shape
    from core.ground_tiles as tiles
    where tiles.layer = 'ecosystem'
),

net as materialized (
    select
        kept.area_id,
        kept.equal_area_shape as shape
    from core.area_net as kept
    where kept.net_ha > 0
),

district_cuts as materialized (
    select
        net.area_id,
        tiles.code as ubigeo,
        united(list(
            case when st_covers(tiles.shape, net.shape) then net.shape else polygons_of(st_intersection(net.shape, tiles.shape)) end
            order by st_xmin(tiles.shape), st_ymin(tiles.shape)
        )) as shape
    from net
    inner join district_tiles as tiles on st_intersects(net.shape, tiles.shape)
    group by net.area_id, tiles.code
),

district_uneven as materialized (
    select
        net.area_id,
        any_value(net.shape) as shape,
        united(list(district_cuts.shape order by district_cuts.ubigeo) filter (where district_cuts.shape is not null)) as covered
    from net
    left join district_cuts on net.area_id = district_cuts.area_id
    group by net.area_id
    having abs(any_value(st_area(net.shape)) - coalesce(sum(st_area(district_cuts.shape)), 0)) > 0.001
),

district_earlier as (
    select
        later.area_id,
        later.ubigeo,
        st_union_agg(first_cut.shape order by first_cut.ubigeo) as shape
    from district_cuts as later
    inner join district_uneven on later.area_id = district_uneven.area_id
    inner join district_cuts as first_cut on later.area_id = first_cut.area_id and later.ubigeo > first_cut.ubigeo
    group by later.area_id, later.ubigeo
),

in_districts as materialized (
    select
        district_cuts.area_id,
        district_cuts.ubigeo,
        case
            when district_earlier.shape is null then district_cuts.shape
            else st_difference(district_cuts.shape, district_earlier.shape)
        end as shape
    from district_cuts
    left join district_earlier
        on district_cuts.area_id = district_earlier.area_id and district_cuts.ubigeo = district_earlier.ubigeo
    union all
    select
        district_uneven.area_id,
        null as ubigeo,
        case
            when district_uneven.covered is null then district_uneven.shape
            else st_difference(district_uneven.shape, district_uneven.covered)
        end as shape
    from district_uneven
),

pieces as materialized (
    select
        in_districts.area_id,
        in_districts.ubigeo,
        in_districts.shape,
        row_number() over (order by in_districts.area_id, in_districts.ubigeo nulls last) as piece_number
    from in_districts
    where st_area(in_districts.shape) > 0
),

ecosystem_cuts as materialized (
    select
        pieces.piece_number,
        tiles.code as ecosystem_code,
        united(list(
            case
                when st_covers(tiles.shape, pieces.shape) then pieces.shape
                else polygons_of(st_intersection(pieces.shape, tiles.shape))
            end
            order by st_xmin(tiles.shape), st_ymin(tiles.shape)
        )) as shape
    from pieces
    inner join ecosystem_tiles as tiles on st_intersects(pieces.shape, tiles.shape)
    group by pieces.piece_number, tiles.code
),

ecosystem_uneven as materialized (
    select
        pieces.piece_number,
        any_value(pieces.shape) as shape,
        united(list(ecosystem_cuts.shape order by ecosystem_cuts.ecosystem_code) filter (where ecosystem_cuts.shape is not null))
            as covered
    from pieces
    left join ecosystem_cuts on pieces.piece_number = ecosystem_cuts.piece_number
    group by pieces.piece_number
    having abs(any_value(st_area(pieces.shape)) - coalesce(sum(st_area(ecosystem_cuts.shape)), 0)) > 0.001
),

ecosystem_earlier as (
    select
        later.piece_number,
        later.ecosystem_code,
        st_union_agg(first_cut.shape order by first_cut.ecosystem_code) as shape
    from ecosystem_cuts as later
    inner join ecosystem_uneven on later.piece_number = ecosystem_uneven.piece_number
    inner join ecosystem_cuts as first_cut
        on later.piece_number = first_cut.piece_number and later.ecosystem_code > first_cut.ecosystem_code
    group by later.piece_number, later.ecosystem_code
),

in_ecosystems as (
    select
        ecosystem_cuts.piece_number,
        ecosystem_cuts.ecosystem_code,
        case
            when ecosystem_earlier.shape is null then ecosystem_cuts.shape
            else st_difference(ecosystem_cuts.shape, ecosystem_earlier.shape)
        end as shape
    from ecosystem_cuts
    left join ecosystem_earlier
        on
            ecosystem_cuts.piece_number = ecosystem_earlier.piece_number
            and ecosystem_cuts.ecosystem_code = ecosystem_earlier.ecosystem_code
    union all
    select
        ecosystem_uneven.piece_number,
        null as ecosystem_code,
        case
            when ecosystem_uneven.covered is null then ecosystem_uneven.shape
            else st_difference(ecosystem_uneven.shape, ecosystem_uneven.covered)
        end as shape
    from ecosystem_uneven
)

select
    pieces.area_id,
    pieces.ubigeo,
    in_ecosystems.ecosystem_code,
    in_ecosystems.shape as equal_area_shape,
    st_area(in_ecosystems.shape) / 10000 as net_ha
from in_ecosystems
inner join pieces on in_ecosystems.piece_number = pieces.piece_number
where st_area(in_ecosystems.shape) > 0
order by pieces.area_id, pieces.ubigeo, in_ecosystems.ecosystem_code
