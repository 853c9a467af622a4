-- score = 100 x (1 - (quarantined + half of warned) / received), by dimension. The value under `all` is a plain mean:
-- each dimension of a delivery weighs the same, and so does each delivery of an institution.
with counted as (
    select
        counts.reporting_institution,
        case
            when counts.table_name like 'staging.stg\_%' escape '\' and counts.table_name not like '%submissions%'
                then replace(regexp_replace(counts.table_name, '^staging\.stg_', ''), '__', '.')
            else counts.reporting_institution || '.' || counts.contract
        end as source,
        counts.contract,
        counts.dimension,
        counts.rows_received,
        counts.rows_quarantined,
        counts.rows_warned,
        counts.rows_waived,
        100 * (1 - (counts.rows_quarantined + 0.5 * counts.rows_warned) / counts.rows_received) as row_score
    from quality.dimension_counts as counts
    where counts.reporting_institution is not null
),

by_source as (
    select
        counted.reporting_institution,
        counted.source,
        counted.contract,
        counted.dimension,
        counted.rows_received,
        counted.rows_quarantined,
        counted.rows_warned,
        counted.rows_waived,
        case
            when counted.dimension = 'all'
                then (
                    select avg(exact(parts.row_score))
                    from counted as parts
                    where
                        parts.reporting_institution = counted.reporting_institution
                        and parts.source = counted.source
                        and parts.contract = counted.contract
                        and parts.dimension != 'all'
                )
            else counted.row_score
        end as score
    from counted
),

by_institution as (
    select
        by_source.reporting_institution,
        'all' as source,
        'all' as contract,
        by_source.dimension,
        sum(by_source.rows_received) as rows_received,
        sum(by_source.rows_quarantined) as rows_quarantined,
        sum(by_source.rows_warned) as rows_warned,
        sum(by_source.rows_waived) as rows_waived,
        avg(exact(by_source.score)) as score
    from by_source
    group by by_source.reporting_institution, by_source.dimension
),

scored as (
    select * from by_source
    union all
    select * from by_institution
)

select
    scored.reporting_institution,
    coalesce(
        known.institution_name,
        upper(scored.reporting_institution[1]) || replace(scored.reporting_institution[2:], '_', ' ')
    ) as institution_name,
    scored.source,
    scored.contract,
    scored.dimension,
    scored.rows_received,
    scored.rows_received - scored.rows_quarantined as rows_accepted,
    scored.rows_warned,
    scored.rows_quarantined,
    scored.rows_waived,
    round(scored.score, 2) as score,
    earlier.score as previous_score,
    round(scored.score, 2) - earlier.score as trend
from scored
left join seeds.institutions as known on scored.reporting_institution = known.institution_id
left join previous.quality__scorecard as earlier
    on
        scored.reporting_institution = earlier.reporting_institution
        and scored.source = earlier.source
        and scored.contract = earlier.contract
        and scored.dimension = earlier.dimension
order by scored.reporting_institution, scored.source, scored.contract, scored.dimension
