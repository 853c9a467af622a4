-- Domestic public spending on restoration for the framework's indicator D.2. Only lines classed as direct or enabling
-- are in; what is unknown stays in marts.spending_linkage. A programme's total budget is never counted as restoration.
select
    spent.fiscal_year,
    spent.programme_code,
    spent.short_name,
    spent.restoration_class,
    sum(spent.line_count) as line_count,
    sum(spent.modified_pen) as modified_pen,
    sum(spent.accrued_pen) as accrued_pen,
    sum(spent.accrued_pen) - sum(spent.unlinked_pen) as linked_pen,
    sum(spent.unlinked_pen) as unlinked_pen
from marts.spending_linkage as spent
where spent.restoration_class in ('direct', 'enabling')
group by spent.fiscal_year, spent.programme_code, spent.short_name, spent.restoration_class
order by spent.fiscal_year, spent.programme_code, spent.restoration_class
