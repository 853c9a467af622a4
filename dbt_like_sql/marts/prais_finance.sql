-- UNCCD PRAIS4, SO5-2 domestic public finance: one row an activity and year. Direct restoration is the principal objective, enabling
-- work of which the rule is sure is a significant one; management of a programme and what a rule of low confidence found are not
-- reported, nor is the rest. The same sol must not be reported again under SO5-1 or SO5-3.
select
    lines.fiscal_year,
    'Government of Peru' as provider,
    lines.government_level as provider_level,
    any_value(lines.executing_unit_name order by lines.executing_unit_name) as recipient,
    lines.executing_unit_code,
    lines.programme_code,
    units.unit_name as geographic_scope,
    lines.department_ubigeo,
    coalesce(any_value(lines.product_name order by lines.product_name), lines.product_code) as title,
    lines.product_code,
    sum(lines.accrued_pen) as amount_pen,
    case lines.restoration_class when 'direct' then 'principal' else 'significant' end as type_of_support,
    'Domestic public expenditure' as type_of_flow
from core.spending as lines
left join core.admin_units as units on lines.department_ubigeo = units.ubigeo
where
    lines.accrued_pen != 0
    and (
        lines.restoration_class = 'direct'
        or (lines.restoration_class = 'enabling' and lines.restoration_confidence != 'low' and lines.product_code != '3000001')
    )
group by
    lines.fiscal_year, lines.government_level, lines.executing_unit_code, lines.programme_code, units.unit_name,
    lines.department_ubigeo, lines.product_code, lines.restoration_class
order by
    lines.fiscal_year, lines.programme_code, lines.government_level, lines.executing_unit_code, lines.department_ubigeo nulls last,
    lines.product_code, type_of_support
