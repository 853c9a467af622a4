with months as (
    select
        lines.spending_id,
        lines.fiscal_year,
        lines.programme_code,
        unnest(lines.accrued_by_month_pen) as accrued_pen,
        generate_subscripts(lines.accrued_by_month_pen, 1) as month_number
    from accepted.stg_mef__spending as lines
)

select
    months.spending_id,
    months.fiscal_year,
    months.month_number,
    months.programme_code,
    sum(months.accrued_pen) as accrued_pen
from months
group by all
having sum(months.accrued_pen) != 0
order by months.spending_id, months.month_number
