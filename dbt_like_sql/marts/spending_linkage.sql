-- Every sol of the followed programmes, tied to ground or not: what cannot be tied stays visible by programme, department and
-- year. Parts of a line add up to the line, so linked and unlinked add up to the total.
with tied as (
    select
        parts.spending_id,
        parts.fiscal_year,
        sum(parts.accrued_pen) filter (where parts.link_method = 'cui') as by_cui_pen,
        sum(parts.accrued_pen) filter (where parts.link_method = 'investment_match') as by_match_pen,
        sum(parts.accrued_pen) filter (where parts.link_method = 'allocated') as allocated_pen
    from core.initiative_spending as parts
    group by parts.spending_id, parts.fiscal_year
)

select
    lines.fiscal_year,
    lines.programme_code,
    programmes.short_name,
    lines.department_ubigeo,
    lines.restoration_class,
    lines.restoration_rule,
    lines.restoration_confidence,
    count(*) as line_count,
    sum(lines.modified_pen) as modified_pen,
    sum(lines.accrued_pen) as accrued_pen,
    coalesce(sum(tied.by_cui_pen), 0) as by_cui_pen,
    coalesce(sum(tied.by_match_pen), 0) as by_match_pen,
    coalesce(sum(tied.allocated_pen), 0) as allocated_pen,
    sum(lines.accrued_pen) - coalesce(sum(tied.by_cui_pen), 0) - coalesce(sum(tied.by_match_pen), 0)
    - coalesce(sum(tied.allocated_pen), 0) as unlinked_pen
from core.spending as lines
inner join core.programmes as programmes on lines.programme_code = programmes.programme_code
left join tied on lines.spending_id = tied.spending_id and lines.fiscal_year = tied.fiscal_year
group by
    lines.fiscal_year, lines.programme_code, programmes.short_name, lines.department_ubigeo, lines.restoration_class,
    lines.restoration_rule, lines.restoration_confidence
order by
    lines.fiscal_year, lines.programme_code, lines.department_ubigeo nulls last, lines.restoration_class, lines.restoration_rule
