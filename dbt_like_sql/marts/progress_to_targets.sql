-- Targets overlap by definition: rows of different targets are never added. A year holds what had begun by then; what gives no
-- start is in the last year. The last year is that of the newest record.
with newest as (
    select max(records.received_on) as data_as_of from accepted.std_initiatives as records
),

begun as (
    select
        counting.target_id,
        least(coalesce(counting.start_year, year(newest.data_as_of)), year(newest.data_as_of)) as progress_year,
        count(distinct counting.initiative_id) as initiative_count,
        count(*) as area_count,
        sum(exact(counting.declared_ha)) filter (where counting.is_declared_basis) as declared_ha,
        sum(exact(counting.declared_ha)) filter (where counting.is_declared_basis and counting.evidence_class = 'C') as point_ha,
        sum(exact(counting.declared_ha)) filter (where counting.is_declared_basis and counting.evidence_class = 'D') as unit_ha,
        sum(exact(counting.geometry_ha)) as gross_ha,
        sum(exact(counting.net_ha)) as net_ha,
        sum(exact(counting.net_ha)) filter (where counting.evidence_class = 'A') as checked_ha
    from core.target_areas as counting
    cross join newest
    group by counting.target_id, least(coalesce(counting.start_year, year(newest.data_as_of)), year(newest.data_as_of))
),

first_year as (
    select min(begun.progress_year) as first_year from begun
),

years as (
    select
        targets.target_id,
        unnest(range(first_year.first_year, year(newest.data_as_of) + 1)) as progress_year
    from core.targets as targets
    cross join newest
    cross join first_year
),

so_far as (
    select
        years.target_id,
        years.progress_year,
        sum(coalesce(begun.initiative_count, 0)) over until_then as initiative_count,
        sum(coalesce(begun.area_count, 0)) over until_then as area_count,
        sum(coalesce(begun.declared_ha, 0)) over until_then as declared_ha,
        sum(coalesce(begun.point_ha, 0)) over until_then as point_ha,
        sum(coalesce(begun.unit_ha, 0)) over until_then as unit_ha,
        sum(coalesce(begun.gross_ha, 0)) over until_then as gross_ha,
        sum(coalesce(begun.net_ha, 0)) over until_then as net_ha,
        sum(coalesce(begun.checked_ha, 0)) over until_then as checked_ha,
        coalesce(begun.net_ha, 0) as added_net_ha,
        avg(coalesce(begun.net_ha, 0)) over (
            partition by years.target_id
            order by years.progress_year
            rows between 3 preceding and 1 preceding
        ) as pace_ha
    from years
    left join begun on years.target_id = begun.target_id and years.progress_year = begun.progress_year
    window until_then as (
        partition by years.target_id
        order by years.progress_year
        rows between unbounded preceding and current row
    )
)

select
    targets.target_id,
    so_far.progress_year,
    so_far.progress_year = year(newest.data_as_of) as is_latest,
    targets.target_name_es,
    targets.target_name_en,
    targets.owner,
    targets.target_ha,
    targets.target_year,
    targets.baseline_year,
    so_far.initiative_count,
    so_far.area_count,
    so_far.declared_ha,
    so_far.point_ha + so_far.unit_ha as declared_without_polygon_ha,
    so_far.gross_ha,
    so_far.net_ha,
    so_far.checked_ha as net_checked_ha,
    so_far.net_ha - so_far.checked_ha as net_drawn_ha,
    so_far.point_ha as declared_point_ha,
    so_far.unit_ha as declared_unit_ha,
    100 * so_far.net_ha / targets.target_ha as progress_pct,
    so_far.added_net_ha,
    so_far.pace_ha,
    case
        when targets.target_year > so_far.progress_year
            then greatest(targets.target_ha - so_far.net_ha, 0) / (targets.target_year - so_far.progress_year)
    end as pace_needed_ha,
    newest.data_as_of,
    targets.rule_es,
    targets.rule_en
from so_far
inner join core.targets as targets on so_far.target_id = targets.target_id
cross join newest
order by targets.target_id, so_far.progress_year
