-- Lines of one key are summed, never made distinct: PIM, certified and committed may be on a second line. The first
-- rule of seeds.restoration_rules that holds decides which class of restoration spending it is.
with summed as (
    select
        lines.spending_id,
        lines.fiscal_year,
        lines.programme_code,
        min(lines.cui) as cui,
        lines.activity_or_project,
        lines.product_code,
        min(lines.product_name) as product_name,
        lines.activity_code,
        min(lines.activity_name) as activity_name,
        min(lines.government_level) as government_level,
        lines.executing_unit_code,
        lines.executing_unit_sequence,
        min(lines.executing_unit_name) as executing_unit_name,
        lines.department_ubigeo,
        lines.function_code,
        lines.division_code,
        lines.group_code,
        lines.functional_sequence,
        lines.meta_code,
        lines.purpose_code,
        lines.funding_source,
        lines.funding_item,
        lines.resource_type,
        lines.expense_category,
        lines.transaction_type,
        lines.generic_code,
        lines.subgeneric_code,
        lines.subgeneric_detail_code,
        lines.specific_code,
        lines.specific_detail_code,
        sum(lines.initial_pen) as initial_pen,
        sum(lines.modified_pen) as modified_pen,
        sum(lines.certified_pen) as certified_pen,
        sum(lines.committed_pen) as committed_pen,
        sum(lines.accrued_pen) as accrued_pen,
        sum(lines.paid_pen) as paid_pen,
        count(*) as line_count,
        min(lines.snapshot_id) as snapshot_id,
        min(lines.source_row) as first_source_row
    from accepted.stg_mef__spending as lines
    group by all
),

named as (
    select distinct records.cui from core.initiative_sources as records
),

kinds as (
    select distinct
        summed.activity_or_project,
        summed.programme_code,
        summed.product_code,
        summed.activity_code,
        summed.cui,
        case when summed.activity_or_project = '2' then summed.product_name end as project_name
    from summed
),

known as (
    select
        kinds.activity_or_project,
        kinds.programme_code,
        kinds.product_code,
        kinds.activity_code,
        kinds.cui,
        case
            when investments.initiative_id is not null or named.cui is not null then 'linked'
            when investments.gap_contribution_ha > 0 then 'promises_hectares'
            when investments.typology = 'RECUPERACION DE ECOSISTEMAS' then 'typology'
            when names_recovery(coalesce(investments.name, kinds.project_name)) then 'named'
        end as evidence
    from kinds
    left join core.investments as investments on kinds.cui = investments.cui
    left join named on kinds.cui = named.cui
),

judged as (
    select
        known.activity_or_project,
        known.programme_code,
        known.product_code,
        known.activity_code,
        known.cui,
        arg_min(rules.restoration_class, rules.rule_order) as restoration_class,
        arg_min(rules.confidence, rules.rule_order) as restoration_confidence,
        arg_min(rules.rule_id, rules.rule_order) as restoration_rule
    from known
    inner join seeds.restoration_rules as rules
        on
            coalesce(rules.activity_or_project, '') in ('', known.activity_or_project)
            and coalesce(rules.programme_code, '') in ('', known.programme_code)
            and coalesce(rules.product_code, '') in ('', known.product_code)
            and coalesce(rules.activity_code, '') in ('', known.activity_code)
            and coalesce(rules.evidence, '') in ('', known.evidence)
    group by all
)

select
    summed.spending_id,
    summed.fiscal_year,
    summed.programme_code,
    summed.cui,
    summed.activity_or_project,
    summed.product_code,
    summed.product_name,
    summed.activity_code,
    summed.activity_name,
    summed.government_level,
    summed.executing_unit_code,
    summed.executing_unit_sequence,
    summed.executing_unit_name,
    summed.department_ubigeo,
    summed.function_code,
    summed.division_code,
    summed.group_code,
    summed.functional_sequence,
    summed.meta_code,
    summed.purpose_code,
    summed.funding_source,
    summed.funding_item,
    summed.resource_type,
    summed.expense_category,
    summed.transaction_type,
    summed.generic_code,
    summed.subgeneric_code,
    summed.subgeneric_detail_code,
    summed.specific_code,
    summed.specific_detail_code,
    summed.initial_pen,
    summed.modified_pen,
    summed.certified_pen,
    summed.committed_pen,
    summed.accrued_pen,
    summed.paid_pen,
    summed.line_count,
    summed.snapshot_id,
    summed.first_source_row,
    judged.restoration_class,
    judged.restoration_confidence,
    judged.restoration_rule
from summed
left join judged
    on
        summed.activity_or_project is not distinct from judged.activity_or_project
        and summed.programme_code = judged.programme_code
        and summed.product_code is not distinct from judged.product_code
        and summed.activity_code is not distinct from judged.activity_code
        and summed.cui is not distinct from judged.cui
order by summed.fiscal_year, summed.programme_code, summed.spending_id
