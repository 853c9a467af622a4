-- The net ground of each area, cut by district and then by ecosystem: every hectare in one piece. What no district or no
-- ecosystem covers stays a piece of its own; where a layer overlaps itself the lower code keeps the ground.
with districts as materialized (
    select
        units.ubigeo,
        st_transform(units.geometry, 'EPSG:4326', 'EPSG:6933') as shape
    from accepted.stg_inei__districts as units
),

ecosystems as materialized (
    select
        mapped.ecosystem_code,
        st_transform(mapped.geometry, 'EPSG:4326', 'EPSG:6933') as shape
    from accepted.stg_minam__ecosystems as mapped
    where mapped.ecosystem_code is not null
),

taken as (
    select
        pairs.area_id_b as area_id,
        st_union_agg(earlier.equal_area_shape order by earlier.area_id) as shape
    from core.shared_ground as pairs
    inner join core.area_shapes as earlier on pairs.area_id_a = earlier.area_id
    group by pairs.area_id_b
),

net as materialized (
    select
        shapes.area_id,
        case
            when taken.shape is null then shapes.equal_area_shape
            else st_difference(shapes.equal_area_shape, taken.shape)
        end as shape
    from core.area_shapes as shapes
    left join taken on shapes.area_id = taken.area_id
    where shapes.geometry_kind = 'polygon'
),

district_cuts as materialized (
    select
        net.area_id,
        districts.ubigeo,
        case when st_covers(districts.shape, net.shape) then net.shape else polygons_of(st_intersection(net.shape, districts.shape)) end
            as shape
    from net
    inner join districts on st_intersects(net.shape, districts.shape)
),

district_earlier as (
    select
        later.area_id,
        later.ubigeo,
        st_union_agg(first_cut.shape order by first_cut.ubigeo) as shape
    from district_cuts as later
    inner join district_cuts as first_cut on later.area_id = first_cut.area_id and later.ubigeo > first_cut.ubigeo
    group by later.area_id, later.ubigeo
),

district_covered as (
    select
        district_cuts.area_id,
        st_union_agg(district_cuts.shape order by district_cuts.ubigeo) as shape
    from district_cuts
    group by district_cuts.area_id
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
        net.area_id,
        null as ubigeo,
        case when district_covered.shape is null then net.shape else st_difference(net.shape, district_covered.shape) end as shape
    from net
    left join district_covered on net.area_id = district_covered.area_id
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

ecosystem_parts as materialized (
    select
        pieces.piece_number,
        ecosystems.ecosystem_code,
        case
            when st_covers(ecosystems.shape, pieces.shape) then pieces.shape
            else polygons_of(st_intersection(pieces.shape, ecosystems.shape))
        end as shape
    from pieces
    inner join ecosystems on st_intersects(pieces.shape, ecosystems.shape)
),

-- an ecosystem may come in several polygons
ecosystem_cuts as materialized (
    select
        ecosystem_parts.piece_number,
        ecosystem_parts.ecosystem_code,
        st_union_agg(ecosystem_parts.shape order by st_xmin(ecosystem_parts.shape), st_ymin(ecosystem_parts.shape)) as shape
    from ecosystem_parts
    group by ecosystem_parts.piece_number, ecosystem_parts.ecosystem_code
),

ecosystem_earlier as (
    select
        later.piece_number,
        later.ecosystem_code,
        st_union_agg(first_cut.shape order by first_cut.ecosystem_code) as shape
    from ecosystem_cuts as later
    inner join ecosystem_cuts as first_cut
        on later.piece_number = first_cut.piece_number and later.ecosystem_code > first_cut.ecosystem_code
    group by later.piece_number, later.ecosystem_code
),

ecosystem_covered as (
    select
        ecosystem_cuts.piece_number,
        st_union_agg(ecosystem_cuts.shape order by ecosystem_cuts.ecosystem_code) as shape
    from ecosystem_cuts
    group by ecosystem_cuts.piece_number
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
        pieces.piece_number,
        null as ecosystem_code,
        case when ecosystem_covered.shape is null then pieces.shape else st_difference(pieces.shape, ecosystem_covered.shape) end
            as shape
    from pieces
    left join ecosystem_covered on pieces.piece_number = ecosystem_covered.piece_number
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
