-- Records that left one initiative for another: merged where the old id is gone, split where it continues without
-- them. A record that its registry withdrew has no id afterwards; one that is registered again gets its own id back.
select
    left_behind.until as changed_on,
    left_behind.record_key,
    left_behind.initiative_id as initiative_id_before,
    arrived.initiative_id as initiative_id_after,
    left_behind.went_by as change_kind
from core.initiative_ids as left_behind
left join core.initiative_ids as arrived
    on
        left_behind.record_key = arrived.record_key
        and left_behind.until = arrived.since
        and left_behind.initiative_id != arrived.initiative_id
where left_behind.until is not null
union all
select
    back.since as changed_on,
    back.record_key,
    cast(null as varchar) as initiative_id_before,
    back.initiative_id as initiative_id_after,
    back.came_by as change_kind
from core.initiative_ids as back
where back.came_by = 'returned'
order by changed_on, record_key, initiative_id_before, initiative_id_after
