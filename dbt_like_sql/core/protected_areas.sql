-- One row is one discrete polygon; an area's code repeats where it has several.
with parts as (
    select
        features.*,
        unnest(
            list_filter(
                list_transform(st_dump(features.geometry), lambda d: d.geom),
                lambda g: st_geometrytype(g) = 'POLYGON'
            )
        ) as part
    from accepted.stg_sernanp__protected_areas as features
)

select
    'P' || left(md5(parts.area_kind || '|' || coalesce(parts.area_code, '') || '|' || st_aswkb(st_normalize(parts.part))), 15)
        as protected_area_id,
    parts.area_kind,
    parts.area_code,
    parts.name,
    parts.category,
    parts.created_date,
    parts.part as geometry,
    hectares(parts.part) as area_ha,
    parts.snapshot_id
from parts
order by protected_area_id, parts.source_row
