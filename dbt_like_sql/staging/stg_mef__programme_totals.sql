-- Every programme of the file, also those not followed: without the national total a wrong file goes unseen.
select
    cast(lines._partition as integer) as fiscal_year,
    coalesce(given(lines.programme_code), 'none') as programme_code,
    count(*) as line_count,
    sum(amount(lines.initial_pen)) as initial_pen,
    sum(amount(lines.modified_pen)) as modified_pen,
    sum(amount(lines.certified_pen)) as certified_pen,
    sum(amount(lines.committed_pen)) as committed_pen,
    sum(amount(lines.accrued_pen)) as accrued_pen,
    sum(amount(lines.paid_pen)) as paid_pen
from raw.mef__budget_execution as lines
group by all
order by fiscal_year, programme_code
