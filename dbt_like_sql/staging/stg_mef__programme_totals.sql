-- Every programme of the file, also those not followed: without the national total a wrong file goes unseen.
select
    cast(totals._partition as integer) as fiscal_year,
    coalesce(given(totals.programme_code), 'none') as programme_code,
    sum(totals.line_count) as line_count,
    sum(totals.unreadable_count) as unreadable_count,
    sum(totals.initial_pen) as initial_pen,
    sum(totals.modified_pen) as modified_pen,
    sum(totals.certified_pen) as certified_pen,
    sum(totals.committed_pen) as committed_pen,
    sum(totals.accrued_pen) as accrued_pen,
    sum(totals.paid_pen) as paid_pen
from raw.mef__budget_execution_totals as totals
group by all
order by fiscal_year, programme_code
