select
    'mef' as source,
    rows_of_page._partition || '|' || rows_of_page.programme_code as line_key,
    cast(rows_of_page._partition as integer) as fiscal_year,
    given(rows_of_page.programme_code) as programme_code,
    given(rows_of_page.programme_name) as programme_name,
    amount(rows_of_page.initial_pen) as initial_pen,
    amount(rows_of_page.modified_pen) as modified_pen,
    amount(rows_of_page.certified_pen) as certified_pen,
    amount(rows_of_page.committed_pen) as committed_pen,
    amount(rows_of_page.accrued_pen) as accrued_pen,
    amount(rows_of_page.paid_pen) as paid_pen,
    rows_of_page._snapshot_id as snapshot_id
from raw.mef__consulta_amigable as rows_of_page
order by fiscal_year, programme_code
