-- The wording of an indicator changed over the years: known by its words, not by its text.
select
    'invierte' as source,
    'invierte|gaps|' || rows_of_file._row as gap_key,
    rows_of_file._row as source_row,
    given(rows_of_file.cui) as cui,
    given(rows_of_file.service) as service,
    given(rows_of_file.gap_indicator) as gap_indicator,
    given(rows_of_file.gap_unit) as gap_unit,
    case
        when folded(rows_of_file.gap_unit) in ('ha', 'has', 'hectarea', 'hectareas') then 'ha'
        when folded(rows_of_file.gap_unit) in ('km', 'kmcuadrados', 'kilometroscuadrados') then 'km2'
        else 'other'
    end as gap_unit_code,
    try_cast(given(rows_of_file.gap_year) as integer) as gap_year,
    given_number(rows_of_file.gap_value) as gap_value,
    given_number(rows_of_file.gap_contribution) as gap_contribution,
    case
        when folded(rows_of_file.gap_unit) in ('ha', 'has', 'hectarea', 'hectareas') then given_number(rows_of_file.gap_contribution)
        when folded(rows_of_file.gap_unit) in ('km', 'kmcuadrados', 'kilometroscuadrados')
            then 100 * given_number(rows_of_file.gap_contribution)
    end as gap_contribution_ha,
    folded(rows_of_file.gap_indicator) like '%ecosistemas%'
    and (folded(rows_of_file.gap_indicator) like '%recuper%' or folded(rows_of_file.gap_indicator) like '%restaur%')
        as is_ecosystem_recovery,
    rows_of_file._snapshot_id as snapshot_id
from raw.invierte__gaps as rows_of_file
order by rows_of_file._row
