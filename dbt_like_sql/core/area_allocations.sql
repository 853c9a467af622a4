-- Each net hectare by district, ecosystem, protection and whether it was degraded in the baseline year of the framework's Target 2.
-- Where two protected areas share ground the stronger protection counts it (core.ground_tiles).
with zones as materialized (
    select
        tiles.zone_order,
        tiles.protection,
        tiles.code as protected_area_code,
        tiles.equal_area_shape as shape
    from core.ground_tiles as tiles
    where tiles.layer = 'protected'
),

degraded as materialized (
    select tiles.equal_area_shape as shape
    from core.ground_tiles as tiles
    where tiles.layer = 'degraded'
),

pieces as materialized (
    select
        ground.area_id,
        ground.ubigeo,
        ground.ecosystem_code,
        ground.equal_area_shape as shape,
        row_number() over (order by ground.area_id, ground.ubigeo nulls last, ground.ecosystem_code nulls last) as piece_number
    from core.area_pieces as ground
),

zone_parts as materialized (
    select
        pieces.piece_number,
        zones.zone_order,
        zones.protection,
        zones.protected_area_code,
        case when st_covers(zones.shape, pieces.shape) then pieces.shape else polygons_of(st_intersection(pieces.shape, zones.shape)) end
            as shape
    from pieces
    inner join zones on st_intersects(pieces.shape, zones.shape)
),

zone_cuts as materialized (
    select
        zone_parts.piece_number,
        zone_parts.protection,
        zone_parts.protected_area_code,
        row_number() over (
            partition by zone_parts.piece_number
            order by zone_parts.zone_order, zone_parts.protected_area_code
        ) as place,
        united(list(zone_parts.shape order by st_xmin(zone_parts.shape), st_ymin(zone_parts.shape))) as shape
    from zone_parts
    group by zone_parts.piece_number, zone_parts.zone_order, zone_parts.protection, zone_parts.protected_area_code
),

zone_earlier as (
    select
        later.piece_number,
        later.place,
        st_union_agg(first_cut.shape order by first_cut.place) as shape
    from zone_cuts as later
    inner join zone_cuts as first_cut on later.piece_number = first_cut.piece_number and later.place > first_cut.place
    group by later.piece_number, later.place
),

zone_covered as (
    select
        zone_cuts.piece_number,
        st_union_agg(zone_cuts.shape order by zone_cuts.place) as shape
    from zone_cuts
    group by zone_cuts.piece_number
),

in_zones as (
    select
        zone_cuts.piece_number,
        zone_cuts.protection,
        zone_cuts.protected_area_code,
        case when zone_earlier.shape is null then zone_cuts.shape else st_difference(zone_cuts.shape, zone_earlier.shape) end as shape
    from zone_cuts
    left join zone_earlier on zone_cuts.piece_number = zone_earlier.piece_number and zone_cuts.place = zone_earlier.place
    union all
    select
        pieces.piece_number,
        'none' as protection,
        null as protected_area_code,
        case when zone_covered.shape is null then pieces.shape else st_difference(pieces.shape, zone_covered.shape) end as shape
    from pieces
    left join zone_covered on pieces.piece_number = zone_covered.piece_number
),

parts as materialized (
    select
        in_zones.piece_number,
        in_zones.protection,
        in_zones.protected_area_code,
        in_zones.shape,
        st_area(in_zones.shape) / 10000 as part_ha,
        row_number() over (
            order by in_zones.piece_number, in_zones.protection, in_zones.protected_area_code nulls last
        ) as part_number
    from in_zones
    where st_area(in_zones.shape) > 0
),

degraded_cuts as (
    select
        parts.part_number,
        united(list(
            case
                when st_covers(degraded.shape, parts.shape) then parts.shape
                else polygons_of(st_intersection(parts.shape, degraded.shape))
            end
            order by st_xmin(degraded.shape), st_ymin(degraded.shape)
        )) as shape
    from parts
    inner join degraded on st_intersects(parts.shape, degraded.shape)
    group by parts.part_number
),

measured as (
    select
        parts.part_number,
        parts.part_ha,
        coalesce(st_area(degraded_cuts.shape) / 10000, 0) as degraded_ha
    from parts
    left join degraded_cuts on parts.part_number = degraded_cuts.part_number
),

split as (
    select
        measured.part_number,
        true as was_degraded,
        least(measured.degraded_ha, measured.part_ha) as net_ha
    from measured
    union all
    select
        measured.part_number,
        false as was_degraded,
        measured.part_ha - least(measured.degraded_ha, measured.part_ha) as net_ha
    from measured
)

select
    pieces.area_id,
    areas.initiative_id,
    pieces.ubigeo,
    pieces.ecosystem_code,
    known.get_efg_code,
    known.get_confidence,
    parts.protection,
    parts.protected_area_code,
    split.was_degraded,
    split.net_ha
from split
inner join parts on split.part_number = parts.part_number
inner join pieces on parts.piece_number = pieces.piece_number
inner join core.areas as areas on pieces.area_id = areas.area_id
left join core.ecosystems as known on pieces.ecosystem_code = known.ecosystem_code
where split.net_ha > 0
order by
    pieces.area_id, pieces.ubigeo, pieces.ecosystem_code, parts.protection, parts.protected_area_code, split.was_degraded
