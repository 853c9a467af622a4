-- Targets overlap by definition: rows of this table are never added.
with counted as (
    select
        counting.target_id,
        areas.area_id,
        areas.initiative_id,
        areas.geometry_kind,
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

-- polygons that share ground with none count whole; the others by their union, so that a hectare counts once
net as (
    select
        counted.target_id,
        coalesce(sum(exact(counted.geometry_ha)) filter (where sharing.area_id is null), 0)
        + coalesce(
            st_area(st_union_agg(shapes.equal_area_shape order by shapes.area_id) filter (where sharing.area_id is not null)) / 10000, 0
        )
            as net_ha
    from counted
    inner join core.area_shapes as shapes on counted.area_id = shapes.area_id
    left join sharing on counted.area_id = sharing.area_id
    where counted.geometry_kind = 'polygon'
    group by counted.target_id
),

sums as (
    select
        counted.target_id,
        count(distinct counted.initiative_id) as initiative_count,
        count(*) as area_count,
        sum(exact(counted.declared_ha)) filter (where counted.is_declared_basis) as declared_ha,
        sum(exact(counted.declared_ha)) filter (where counted.is_declared_basis and counted.geometry_kind != 'polygon')
            as declared_without_polygon_ha,
        sum(exact(counted.geometry_ha)) as gross_ha
    from counted
    group by counted.target_id
)

select
    targets.target_id,
    targets.target_name_es,
    targets.target_name_en,
    targets.owner,
    targets.target_ha,
    targets.target_year,
    targets.baseline_year,
    coalesce(sums.initiative_count, 0) as initiative_count,
    coalesce(sums.area_count, 0) as area_count,
    coalesce(sums.declared_ha, 0) as declared_ha,
    coalesce(sums.declared_without_polygon_ha, 0) as declared_without_polygon_ha,
    coalesce(sums.gross_ha, 0) as gross_ha,
    coalesce(net.net_ha, 0) as net_ha,
    100 * coalesce(net.net_ha, 0) / targets.target_ha as progress_pct,
    targets.rule_es,
    targets.rule_en
from core.targets as targets
left join sums on targets.target_id = sums.target_id
left join net on targets.target_id = net.target_id
order by targets.target_id
