-- UNCCD PRAIS4, table SO1-VT.T1: the country's voluntary targets. The form disables the area of national targets; it stays here as
-- what the target text says. Targets overlap: their areas and their progress are never added.
select
    targets.target_id,
    targets.target_name_en || ': ' || targets.rule_en as target_text,
    'national' as level_of_application,
    targets.target_ha / 100 as total_target_area_km2,
    targets.target_year,
    targets.baseline_year,
    targets.owner,
    progress.net_ha / 100 as achieved_km2,
    progress.progress_year as achieved_by_year,
    targets.source
from core.targets as targets
inner join marts.progress_to_targets as progress on targets.target_id = progress.target_id and progress.is_latest
order by targets.target_id
