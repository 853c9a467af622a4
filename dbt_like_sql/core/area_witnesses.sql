-- Polygons that draw again what a more trusted registry drew for the same initiative: a second measurement of one ground, which
-- is kept and shown, and counts no hectares. What lies mostly elsewhere adds ground and counts.
with drawn as (
    select
        shapes.area_id,
        records.initiative_id,
        records.source,
        records.trust_order,
        shapes.equal_area_shape as shape,
        shapes.geometry_ha
    from core.area_shapes as shapes
    inner join core.initiative_sources as records on shapes.record_key = records.record_key
    where shapes.geometry_kind = 'polygon'
),

neighbours as (
    select
        unnest([pairs.area_id_a, pairs.area_id_b]) as area_id,
        unnest([pairs.area_id_b, pairs.area_id_a]) as other_id
    from core.shared_ground as pairs
),

basis as (
    select
        drawn.area_id,
        st_union_agg(trusted.shape order by trusted.area_id) as shape,
        list(trusted.area_id order by trusted.area_id) as area_ids,
        arg_min(trusted.source, trusted.trust_order) as source
    from drawn
    inner join neighbours on drawn.area_id = neighbours.area_id
    inner join drawn as trusted
        on
            neighbours.other_id = trusted.area_id
            and drawn.initiative_id = trusted.initiative_id
            and drawn.trust_order > trusted.trust_order
    group by drawn.area_id
),

measured as (
    select
        drawn.area_id,
        drawn.initiative_id,
        basis.source as basis_source,
        basis.area_ids as basis_area_ids,
        drawn.geometry_ha,
        st_area(st_intersection(drawn.shape, basis.shape)) / 10000 as on_basis_ha
    from drawn
    inner join basis on drawn.area_id = basis.area_id
)

select
    measured.area_id,
    measured.initiative_id,
    measured.basis_source,
    measured.basis_area_ids,
    measured.geometry_ha,
    measured.on_basis_ha,
    measured.on_basis_ha / measured.geometry_ha as share_on_basis
from measured
inner join seeds.ground_tolerances as least_share on least_share.tolerance = 'redrawn_share'
where measured.on_basis_ha >= least_share.amount * measured.geometry_ha
order by measured.area_id
