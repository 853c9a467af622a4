-- Names vary by accent, bracket and damage between services: one folded key for each form that is known.
select distinct
    names.ecosystem_code,
    names.name_key
from (
    select
        official.ecosystem_code,
        folded(official.ecosystem_name) as name_key
    from seeds.ecosystems as official
    union all
    select
        aliases.ecosystem_code,
        aliases.alias_key as name_key
    from seeds.ecosystem_aliases as aliases
) as names
order by names.name_key
