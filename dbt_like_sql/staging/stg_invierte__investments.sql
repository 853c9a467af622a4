-- Texts that mean "no value" become null; dates have the form '2021-12-28 00:00:00'.
with cleaned as (
    select
        rows_of_file._row as source_row,
        rows_of_file._snapshot_id as snapshot_id,
        given(rows_of_file.cui) as cui,
        case
            when not regexp_full_match(given(rows_of_file.snip_code), '\d{1,6}') then null
            else given(rows_of_file.snip_code)
        end as snip_code,
        given(regexp_replace(rows_of_file.name, '\s+', ' ', 'g')) as name,
        given(rows_of_file.government_level) as government_level,
        given(rows_of_file.sector) as sector,
        given(regexp_replace(rows_of_file.status, '\s+', ' ', 'g')) as status,
        given(rows_of_file.situation) as situation,
        amount(rows_of_file.viable_cost_pen) as viable_cost_pen,
        amount(rows_of_file.updated_cost_pen) as updated_cost_pen,
        try_cast(left(given(rows_of_file.registered_on), 10) as date) as registered_date,
        try_cast(left(given(rows_of_file.viable_on), 10) as date) as viable_date,
        given(rows_of_file.function_name) as function_name,
        strip_accents(given(rows_of_file.investment_type)) as investment_type,
        given(rows_of_file.typology) as typology,
        coalesce(amount(rows_of_file.accrued_before_pen), 0) + coalesce(amount(rows_of_file.accrued_year_pen), 0) as accrued_pen,
        given(rows_of_file.ubigeo) as ubigeo_at_source,
        try_cast(given(rows_of_file.latitude) as double) as latitude,
        try_cast(given(rows_of_file.longitude) as double) as longitude
    from raw.invierte__investments as rows_of_file
)

select
    'invierte' as source,
    'invierte|investments|' || cleaned.source_row as line_key,
    cleaned.source_row,
    cleaned.snapshot_id,
    cleaned.cui,
    cleaned.snip_code,
    cleaned.name,
    cleaned.government_level,
    cleaned.sector,
    cleaned.status,
    cleaned.situation,
    cleaned.viable_cost_pen,
    cleaned.updated_cost_pen,
    cleaned.registered_date,
    cleaned.viable_date,
    cleaned.function_name,
    cleaned.investment_type,
    cleaned.typology,
    cleaned.accrued_pen,
    districts.ubigeo,
    cleaned.latitude,
    cleaned.longitude,
    generic.cui is not null as is_generic_cui
from cleaned
left join seeds.districts_inei_2025 as districts on lpad(cleaned.ubigeo_at_source, 6, '0') = districts.ubigeo
left join seeds.generic_cuis as generic on cleaned.cui = generic.cui
order by cleaned.source_row
