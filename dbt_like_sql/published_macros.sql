-- Joins that people ask for again and again. Stored in the published file, so that `select * from areas_of('INI-…')` works from any
-- client; none of them needs an extension.
create or replace macro areas_of(wanted) as table
    select
        areas.* exclude (geometry),
        units.department_name,
        units.province_name,
        units.unit_name as district_name,
        ecosystems.ecosystem_name
    from core.areas as areas
    left join core.admin_units as units on areas.ubigeo = units.ubigeo
    left join core.ecosystems as ecosystems on areas.ecosystem_code = ecosystems.ecosystem_code
    where areas.initiative_id = wanted
    order by areas.area_id;

create or replace macro sources_of(wanted) as table
    select
        records.source,
        records.source_record_id,
        records.name,
        records.status,
        records.declared_ha,
        records.match_probability,
        records.match_reason,
        records.snapshot_id,
        status.url,
        status.last_good_at
    from core.initiative_sources as records
    left join quality.source_status as status on records.snapshot_id = status.snapshot_id
    where records.initiative_id = wanted
    order by records.trust_order, records.source_record_id;

create or replace macro spending_of(wanted) as table
    select
        parts.fiscal_year,
        programmes.short_name,
        parts.cui,
        parts.link_method,
        parts.link_reason,
        sum(parts.modified_pen) as modified_pen,
        sum(parts.accrued_pen) as accrued_pen
    from core.initiative_spending as parts
    inner join core.programmes as programmes on parts.programme_code = programmes.programme_code
    where parts.initiative_id = wanted
    group by all
    order by all;

create or replace macro overlaps_of(wanted) as table
    select
        pairs.*,
        one.name as name_a,
        other.name as name_b
    from core."overlaps" as pairs
    inner join core.initiatives as one on pairs.initiative_id_a = one.initiative_id
    inner join core.initiatives as other on pairs.initiative_id_b = other.initiative_id
    where wanted in (pairs.initiative_id_a, pairs.initiative_id_b)
    order by pairs.overlap_ha desc, pairs.area_id_a, pairs.area_id_b;

-- '06' a department, '0601' a province, '060101' a district: net hectares where they lie, and the money of the department
create or replace macro ground_in(place) as table
    select
        allocations.initiative_id,
        initiatives.name,
        initiatives.lead_institution_id,
        initiatives.status,
        sum(allocations.net_ha) as net_ha,
        sum(allocations.net_ha) filter (where allocations.was_degraded) as net_degraded_ha
    from core.area_allocations as allocations
    inner join core.initiatives as initiatives
        on allocations.initiative_id = initiatives.initiative_id and initiatives.counts_as_under_restoration
    where starts_with(allocations.ubigeo, place)
    group by all
    order by net_ha desc, allocations.initiative_id;
