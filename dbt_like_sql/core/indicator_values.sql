select
    reported.value_key,
    records.initiative_id,
    'AURORA' as framework,
    reported.indicator_id,
    reported.year,
    reported.value,
    reported.unit,
    indicators.goal_es,
    indicators.metric_es,
    indicators.metric_en,
    reported.method,
    reported.reporting_institution,
    reported.source,
    reported.snapshot_id,
    reported.source_row
from accepted.stg_submissions__indicators as reported
inner join core.initiative_sources as records on reported.record_key = records.record_key
inner join seeds.aurora_indicators as indicators on reported.indicator_id = indicators.indicator_id
order by records.initiative_id, reported.indicator_id, reported.year, reported.value_key
