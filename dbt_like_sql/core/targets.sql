select
    target.target_id,
    target.target_name_es,
    target.target_name_en,
    target.target_ha,
    target.share_pct,
    target.base_ha,
    target.baseline_year,
    target.target_year,
    target.owner,
    target.counted_ecosystem_family,
    string_split(target.counted_statuses, '|') as counted_statuses,
    target.counted_from_year,
    target.rule_es,
    target.rule_en,
    target.source
from seeds.targets as target
order by target.target_id
