-- Hectares of a gap that investments plan to close. Indicators overlap: they are never added across indicators.
select
    listed.cui,
    listed.gap_indicator,
    listed.gap_unit,
    listed.gap_unit_code,
    listed.gap_year,
    listed.is_ecosystem_recovery,
    sum(exact(listed.gap_contribution)) as gap_contribution,
    sum(exact(listed.gap_contribution_ha)) as gap_contribution_ha,
    min(listed.snapshot_id) as snapshot_id
from accepted.stg_invierte__gaps as listed
group by all
order by listed.cui, listed.gap_indicator, listed.gap_unit, listed.gap_year
