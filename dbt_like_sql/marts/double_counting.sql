-- Ground that two deliveries claim, by pair of institutions; an institution is paired with itself where two of its own
-- areas overlap. Within a pair each hectare is counted once, but a hectare that three institutions claim is in three
-- pairs: pairs are never added.
with owners as (
    select
        shapes.area_id,
        kept.reporting_institution,
        shapes.equal_area_shape
    from core.area_shapes as shapes
    inner join accepted.std_areas as kept on shapes.area_id = kept.area_id
),

claimed as (
    select
        least(first_owner.reporting_institution, second_owner.reporting_institution) as institution_a,
        greatest(first_owner.reporting_institution, second_owner.reporting_institution) as institution_b,
        pairs.area_id_a,
        pairs.area_id_b,
        pairs.is_same_initiative,
        pairs.share_of_smaller,
        polygons_of(st_intersection(first_owner.equal_area_shape, second_owner.equal_area_shape)) as shared
    from core."overlaps" as pairs
    inner join owners as first_owner on pairs.area_id_a = first_owner.area_id
    inner join owners as second_owner on pairs.area_id_b = second_owner.area_id
)

select
    claimed.institution_a,
    claimed.institution_b,
    claimed.is_same_initiative,
    count(*) as pair_count,
    count(*) filter (where claimed.share_of_smaller >= 0.5) as mostly_same_ground_count,
    st_area(st_union_agg(claimed.shared order by claimed.area_id_a, claimed.area_id_b)) / 10000 as overlap_ha
from claimed
group by claimed.institution_a, claimed.institution_b, claimed.is_same_initiative
order by claimed.institution_a, claimed.institution_b, claimed.is_same_initiative
