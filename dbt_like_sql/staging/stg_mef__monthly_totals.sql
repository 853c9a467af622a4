-- PIA and PIM are in month 0 only, the other measures in months 1 to 12: everything is summed, nothing is a maximum.
select
    'mef' as source,
    lines._partition || '|' || coalesce(given(lines.programme_code), 'none') || '|' || coalesce(given(lines.month), 'none') as line_key,
    cast(lines._partition as integer) as fiscal_year,
    coalesce(given(lines.programme_code), 'none') as programme_code,
    try_cast(given(lines.month) as integer) as month,
    count(*) as line_count,
    sum(amount(lines.initial_pen)) as initial_pen,
    sum(amount(lines.modified_pen)) as modified_pen,
    sum(amount(lines.certified_pen)) as certified_pen,
    sum(amount(lines.committed_pen)) as committed_pen,
    sum(amount(lines.accrued_pen)) as accrued_pen,
    sum(amount(lines.paid_pen)) as paid_pen,
    min(lines._snapshot_id) as snapshot_id
from raw.mef__monthly_execution as lines
group by all
order by fiscal_year, programme_code, month
