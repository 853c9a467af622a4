-- Outcomes beyond activity: what initiatives measured, indicator by indicator and year by year. The change is
-- computed from those that measured at least twice, against their own first value.
with firsts as (
    select
        measured.initiative_id,
        measured.indicator_id,
        min(measured.year) as first_year,
        arg_min(measured.value, measured.year) as first_value
    from core.indicator_values as measured
    group by measured.initiative_id, measured.indicator_id
)

select
    measured.framework,
    measured.indicator_id,
    measured.goal_es,
    measured.metric_es,
    measured.metric_en,
    measured.unit,
    measured.year as measured_year,
    count(distinct measured.initiative_id) as initiative_count,
    avg(measured.value) as mean_value,
    min(measured.value) as min_value,
    max(measured.value) as max_value,
    count(distinct measured.initiative_id) filter (where firsts.first_year < measured.year) as compared_count,
    avg(measured.value - firsts.first_value) filter (where firsts.first_year < measured.year) as mean_change,
    list(distinct measured.reporting_institution order by measured.reporting_institution) as institutions
from core.indicator_values as measured
inner join firsts
    on measured.initiative_id = firsts.initiative_id and measured.indicator_id = firsts.indicator_id
group by
    measured.framework, measured.indicator_id, measured.goal_es, measured.metric_es, measured.metric_en, measured.unit, measured.year
order by measured.framework, measured.indicator_id, measured.year
