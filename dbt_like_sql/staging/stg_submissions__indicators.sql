-- The sheet Indicadores of the template. The original text is kept beside the parsed value.
with written as (
    select
        values_given._partition as layer_name,
        cast(values_given.file_row as bigint) as file_row,
        values_given._row as source_row,
        values_given._snapshot_id as snapshot_id,
        lima_date(values_given._received_at) as received_on,
        split_part(values_given._partition, '--', 1) as reporting_institution,
        given(values_given.own_code) as own_code,
        given(values_given.indicator) as indicator_at_source,
        given(values_given.year) as year_at_source,
        given(values_given.value) as value_at_source,
        given(values_given.unit) as unit_at_source,
        given(values_given.method) as method
    from raw.submissions__indicators as values_given
),

understood as (
    select
        written.*,
        'submissions|' || written.reporting_institution || ':' || written.own_code as record_key,
        indicators.indicator_id,
        indicators.unit,
        indicators.min_value,
        indicators.max_value,
        try_cast(written.year_at_source as integer) as year,
        given_number(written.value_at_source) as value
    from written
    left join seeds.aurora_indicators as indicators
        on upper(regexp_extract(written.indicator_at_source, '^\s*([A-Za-z]+-\d{3})', 1)) = indicators.indicator_id
)

select
    'submissions|' || understood.layer_name || '|' || understood.source_row as value_key,
    'submissions' as source,
    understood.*,
    understood.indicator_id is not null and row_number() over (
        partition by understood.record_key, understood.indicator_id, understood.year
        order by understood.layer_name, understood.source_row
    ) > 1 as is_repeated
from understood
order by understood.layer_name, understood.source_row
