-- Declared hectares are counted from one registry an initiative: the most trusted that declares any
with declared_basis as (
    select
        records.initiative_id,
        arg_min(records.source, records.trust_order) as source
    from core.initiative_sources as records
    inner join accepted.std_areas as declared on records.record_key = declared.record_key
    where declared.declared_ha is not null
    group by records.initiative_id
)

select
    areas.area_id,
    records.initiative_id,
    areas.source,
    areas.source_record_id,
    areas.reporting_institution,
    areas.evidence_class,
    areas.geometry_kind,
    areas.geometry,
    areas.declared_ha,
    coalesce(declared_basis.source = areas.source, false) as is_declared_basis,
    areas.geometry_ha,
    net.net_ha,
    witnesses.area_id is not null as is_witness,
    areas.source_ha,
    areas.is_repaired,
    coalesce(places.ubigeo, areas.declared_ubigeo) as ubigeo,
    case
        when places.ubigeo is not null and areas.geometry_kind = 'polygon' then 'largest_share'
        when places.ubigeo is not null then 'point_in_polygon'
        when areas.declared_ubigeo is not null then 'declared'
    end as ubigeo_method,
    areas.declared_ubigeo,
    coalesce(places.ecosystem_code, records.declared_ecosystem_code) as ecosystem_code,
    case
        when places.ecosystem_code is not null and areas.geometry_kind = 'polygon' then 'largest_share'
        when places.ecosystem_code is not null then 'point_in_polygon'
        when records.declared_ecosystem_code is not null then 'declared'
    end as ecosystem_method,
    records.declared_ecosystem_code,
    shapes.turn,
    areas.snapshot_id,
    areas.layer_name,
    areas.source_row
from accepted.std_areas as areas
inner join core.initiative_sources as records on areas.record_key = records.record_key
inner join core.area_shapes as shapes on areas.area_id = shapes.area_id
left join core.area_net as net on areas.area_id = net.area_id
left join core.area_witnesses as witnesses on areas.area_id = witnesses.area_id
left join core.area_places as places on areas.area_id = places.area_id
left join declared_basis on records.initiative_id = declared_basis.initiative_id
order by areas.area_id
