-- Ground that two areas share, with the institutions they belong to. Slivers left by drawing or rounding are not listed
-- here; their ground is counted once all the same (core.areas reads core.shared_ground).
select
    pairs.area_id_a,
    pairs.area_id_b,
    first_record.initiative_id as initiative_id_a,
    second_record.initiative_id as initiative_id_b,
    first_record.source as source_a,
    second_record.source as source_b,
    first_record.reporting_institution as institution_a,
    second_record.reporting_institution as institution_b,
    first_record.initiative_id = second_record.initiative_id as is_same_initiative,
    pairs.overlap_ha,
    pairs.share_of_smaller,
    case
        when first_witness.area_id is null then pairs.area_id_a
        when second_witness.area_id is null then pairs.area_id_b
    end as counted_for,
    case when first_witness.area_id is null and second_witness.area_id is null then pairs.rule else 'redrawn' end as rule
from core.shared_ground as pairs
inner join core.initiative_sources as first_record on pairs.record_key_a = first_record.record_key
inner join core.initiative_sources as second_record on pairs.record_key_b = second_record.record_key
left join core.area_witnesses as first_witness on pairs.area_id_a = first_witness.area_id
left join core.area_witnesses as second_witness on pairs.area_id_b = second_witness.area_id
where not pairs.is_sliver
order by pairs.area_id_a, pairs.area_id_b
