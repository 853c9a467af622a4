-- The areas of core with their equal-area shape and their precedence (`turn`): where two share ground, the lower value
-- counts it. Order of precedence: status, evidence class, earlier start, finer geometry, id.
select
    areas.area_id,
    areas.record_key,
    areas.source,
    areas.geometry_kind,
    areas.evidence_class,
    areas.geometry,
    case when areas.geometry_kind = 'polygon' then st_transform(areas.geometry, 'EPSG:6933') end as equal_area_shape,
    areas.geometry_ha,
    statuses.status_order,
    records.start_date,
    st_npoints(areas.geometry) / nullif(areas.geometry_ha, 0) as vertices_per_ha,
    row_number() over (
        order by
            statuses.status_order,
            areas.evidence_class,
            records.start_date asc nulls last,
            st_npoints(areas.geometry) / nullif(areas.geometry_ha, 0) desc nulls last,
            areas.area_id
    ) as turn
from accepted.std_areas as areas
inner join accepted.std_initiatives as records on areas.record_key = records.record_key
inner join seeds.initiative_statuses as statuses on records.status = statuses.status
order by areas.area_id
