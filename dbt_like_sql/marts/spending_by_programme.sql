select
    spent.fiscal_year,
    spent.programme_code,
    programmes.short_name,
    sum(spent.initial_pen) as initial_pen,
    sum(spent.modified_pen) as modified_pen,
    sum(spent.certified_pen) as certified_pen,
    sum(spent.committed_pen) as committed_pen,
    sum(spent.accrued_pen) as accrued_pen,
    sum(spent.paid_pen) as paid_pen,
    100 * sum(spent.accrued_pen) / nullif(sum(spent.modified_pen), 0) as execution_pct,
    official.modified_pen as official_modified_pen,
    official.accrued_pen as official_accrued_pen,
    sum(spent.modified_pen) - official.modified_pen as modified_difference_pen,
    sum(spent.accrued_pen) - official.accrued_pen as accrued_difference_pen
from core.spending as spent
inner join core.programmes as programmes on spent.programme_code = programmes.programme_code
left join seeds.budget_control_totals as official
    on spent.programme_code = official.programme_code and spent.fiscal_year = official.fiscal_year
group by
    spent.fiscal_year, spent.programme_code, programmes.short_name, official.modified_pen, official.accrued_pen
order by spent.fiscal_year, spent.programme_code
