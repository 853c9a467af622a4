with cleaned as (
    select
        rows_of_file._row as source_row,
        rows_of_file._snapshot_id as snapshot_id,
        given(rows_of_file.cui) as cui,
        case
            when regexp_full_match(given(rows_of_file.snip_code), '\d{1,6}') then given(rows_of_file.snip_code)
        end as snip_code,
        given(regexp_replace(rows_of_file.name, '\s+', ' ', 'g')) as name,
        given(rows_of_file.government_level) as government_level,
        given(rows_of_file.sector) as sector,
        given(regexp_replace(rows_of_file.status, '\s+', ' ', 'g')) as status,
        given(rows_of_file.situation) as situation,
        amount(rows_of_file.viable_cost_pen) as viable_cost_pen,
        amount(rows_of_file.updated_cost_pen) as updated_cost_pen,
        amount(rows_of_file.accrued_pen) as accrued_pen,
        given_date(rows_of_file.registered_on) as registered_date,
        given_date(rows_of_file.viable_on) as viable_date,
        given(rows_of_file.function_name) as function_name,
        strip_accents(given(rows_of_file.investment_type)) as investment_type,
        given(rows_of_file.typology) as typology,
        given(rows_of_file.ubigeo) as ubigeo_at_source
    from raw.invierte__deactivated as rows_of_file
)

select
    'invierte' as source,
    'invierte|deactivated|' || cleaned.source_row as line_key,
    cleaned.* exclude (ubigeo_at_source),
    districts.ubigeo
from cleaned
left join seeds.districts_inei_2025 as districts on lpad(cleaned.ubigeo_at_source, 6, '0') = districts.ubigeo
order by cleaned.source_row
