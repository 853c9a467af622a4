-- Lines of the six programmes, and every line whose programme code is damaged: those must be reported, not dropped.
with followed as (
    select
        programmes.programme_code,
        programmes.programme_name
    from seeds.programmes as programmes
    where programmes.is_restoration_programme
)

select
    lines._snapshot_id || '|' || lines._row as line_key,
    -- the 24 columns of the source's key; null and empty stay apart
    md5(cast(row(
        lines.fiscal_year, lines.executing_unit_code, lines.executing_unit_sequence, lines.programme_code,
        lines.activity_or_project, lines.product_code, lines.activity_code, lines.function_code, lines.division_code,
        lines.group_code, lines.functional_sequence, lines.meta_code, lines.purpose_code, lines.department_ubigeo,
        lines.funding_source, lines.funding_item, lines.resource_type, lines.expense_category, lines.transaction_type,
        lines.generic_code, lines.subgeneric_code, lines.subgeneric_detail_code, lines.specific_code,
        lines.specific_detail_code
    ) as varchar)) as spending_id,
    cast(lines._partition as integer) as file_year,
    lines._row as source_row,
    lines._snapshot_id as snapshot_id,
    try_cast(given(lines.fiscal_year) as integer) as fiscal_year,
    given(lines.government_level) as government_level,
    given(lines.executing_unit_code) as executing_unit_code,
    given(lines.executing_unit_sequence) as executing_unit_sequence,
    given(lines.executing_unit_name) as executing_unit_name,
    given(lines.functional_sequence) as functional_sequence,
    given(lines.programme_code) as programme_code,
    given(lines.programme_name) as programme_name,
    by_name.programme_code as programme_code_by_name,
    given(lines.activity_or_project) as activity_or_project,
    given(lines.product_code) as product_code,
    given(lines.product_name) as product_name,
    case when given(lines.activity_or_project) = '2' and generic.cui is null then given(lines.product_code) end as cui,
    given(lines.activity_code) as activity_code,
    given(lines.activity_name) as activity_name,
    given(lines.function_code) as function_code,
    given(lines.division_code) as division_code,
    given(lines.group_code) as group_code,
    given(lines.meta_code) as meta_code,
    given(lines.purpose_code) as purpose_code,
    case when regexp_full_match(given(lines.department_ubigeo), '0*') then null else given(lines.department_ubigeo) end
        as department_ubigeo,
    given(lines.funding_source) as funding_source,
    given(lines.funding_item) as funding_item,
    given(lines.resource_type) as resource_type,
    given(lines.expense_category) as expense_category,
    given(lines.transaction_type) as transaction_type,
    given(lines.generic_code) as generic_code,
    given(lines.subgeneric_code) as subgeneric_code,
    given(lines.subgeneric_detail_code) as subgeneric_detail_code,
    given(lines.specific_code) as specific_code,
    given(lines.specific_detail_code) as specific_detail_code,
    amount(lines.initial_pen) as initial_pen,
    amount(lines.modified_pen) as modified_pen,
    amount(lines.certified_pen) as certified_pen,
    amount(lines.committed_pen) as committed_pen,
    amount(lines.accrued_pen) as accrued_pen,
    amount(lines.paid_pen) as paid_pen,
    [
        amount(lines.accrued_01_pen), amount(lines.accrued_02_pen), amount(lines.accrued_03_pen),
        amount(lines.accrued_04_pen), amount(lines.accrued_05_pen), amount(lines.accrued_06_pen),
        amount(lines.accrued_07_pen), amount(lines.accrued_08_pen), amount(lines.accrued_09_pen),
        amount(lines.accrued_10_pen), amount(lines.accrued_11_pen), amount(lines.accrued_12_pen)
    ] as accrued_by_month_pen,
    list_sum(accrued_by_month_pen) as accrued_of_months_pen,
    coalesce(lines.accrued_pen, '0') != '0' and row_number() over (
        partition by
            lines._partition, spending_id, lines.initial_pen, lines.modified_pen, lines.certified_pen, lines.committed_pen,
            lines.accrued_pen, lines.paid_pen
        order by lines._row
    ) > 1 as is_exact_copy
from raw.mef__budget_execution as lines
left join followed as by_code on given(lines.programme_code) = by_code.programme_code
left join followed as by_name on folded(lines.programme_name) = folded(by_name.programme_name)
left join seeds.generic_cuis as generic on given(lines.product_code) = generic.cui
where
    by_code.programme_code is not null
    or by_name.programme_code is not null
    or not coalesce(regexp_full_match(given(lines.programme_code), '\d{4}'), false)
order by lines._partition, lines._row
