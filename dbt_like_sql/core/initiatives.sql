-- The golden record: each attribute from the most trusted registry that gives it (seeds.institutions.trust_order), and from whom.
with merged as (
    select
        records.initiative_id,
        arg_min(records.name, records.trust_place) as name,
        arg_min(records.lead_institution, records.trust_place) as lead_institution,
        arg_min(records.status, records.trust_place) as status,
        arg_min(records.restoration_type, records.trust_place) as restoration_type,
        arg_min(records.start_date, records.trust_place) as start_date,
        arg_min(records.end_date, records.trust_place) as end_date,
        arg_min(records.target_ha, records.trust_place) as target_ha,
        arg_min(records.declared_ubigeo, records.trust_place) as declared_ubigeo,
        arg_min(records.cui, records.trust_place) as cui,
        arg_min(records.tenure, records.trust_place) as tenure,
        list_sort(list_distinct(flatten(list(records.activity_codes)))) as activity_codes,
        bool_or(records.has_consent) as has_consent,
        arg_min(records.funder, records.trust_place) as funder,
        arg_min(records.funded_pen, records.trust_place) as funded_pen,
        max(records.report_year) as report_year,
        map {
            'name': arg_min(records.source, records.trust_place) filter (where records.name is not null),
            'lead_institution': arg_min(records.source, records.trust_place) filter (where records.lead_institution is not null),
            'status': arg_min(records.source, records.trust_place) filter (where records.status is not null),
            'restoration_type': arg_min(records.source, records.trust_place) filter (where records.restoration_type is not null),
            'start_date': arg_min(records.source, records.trust_place) filter (where records.start_date is not null),
            'end_date': arg_min(records.source, records.trust_place) filter (where records.end_date is not null),
            'target_ha': arg_min(records.source, records.trust_place) filter (where records.target_ha is not null),
            'cui': arg_min(records.source, records.trust_place) filter (where records.cui is not null),
            'tenure': arg_min(records.source, records.trust_place) filter (where records.tenure is not null),
            'funder': arg_min(records.source, records.trust_place) filter (where records.funder is not null)
        } as attribute_sources,
        count(*) as source_count,
        list(distinct records.source order by records.source) as sources
    from core.initiative_sources as records
    group by records.initiative_id
),

ground as (
    select
        areas.initiative_id,
        sum(exact(areas.declared_ha)) filter (where areas.is_declared_basis) as declared_ha,
        sum(exact(areas.geometry_ha)) as gross_ha,
        sum(exact(areas.net_ha)) as net_ha,
        min(areas.evidence_class) as evidence_class,
        count(*) as area_count,
        arg_max(areas.ubigeo, coalesce(areas.geometry_ha, 0)) as main_ubigeo
    from core.areas as areas
    group by areas.initiative_id
),

-- what it covers, whoever else claims a part of it: its own polygons, ground that they share among themselves once
drawn as (
    select
        areas.initiative_id,
        st_area(st_union_agg(shapes.equal_area_shape order by shapes.area_id)) / 10000 as own_ha
    from core.areas as areas
    inner join core.area_shapes as shapes on areas.area_id = shapes.area_id
    where areas.geometry_kind = 'polygon' and not areas.is_witness
    group by areas.initiative_id
)

select
    merged.initiative_id,
    merged.name,
    coalesce(known.institution_id, folded(merged.lead_institution)) as lead_institution_id,
    merged.status,
    statuses.counts_as_under_restoration,
    merged.restoration_type,
    types.continuum_step,
    merged.start_date,
    merged.end_date,
    merged.target_ha,
    ground.declared_ha,
    coalesce(ground.gross_ha, 0) as gross_ha,
    coalesce(ground.net_ha, 0) as net_ha,
    coalesce(drawn.own_ha, 0) as own_ha,
    ground.evidence_class,
    coalesce(ground.area_count, 0) as area_count,
    coalesce(ground.main_ubigeo, merged.declared_ubigeo) as ubigeo,
    merged.cui,
    merged.tenure,
    merged.activity_codes,
    merged.has_consent,
    merged.funder,
    merged.funded_pen,
    merged.report_year,
    merged.attribute_sources,
    merged.source_count,
    merged.sources
from merged
left join seeds.initiative_statuses as statuses on merged.status = statuses.status
left join ground on merged.initiative_id = ground.initiative_id
left join drawn on merged.initiative_id = drawn.initiative_id
left join seeds.restoration_types as types on merged.restoration_type = types.restoration_type
left join seeds.institutions as known on folded(merged.lead_institution) = known.institution_id
order by merged.initiative_id
