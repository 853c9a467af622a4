select
    official.ecosystem_code,
    official.ecosystem_name,
    official.region_group,
    official.ecosystem_family,
    official.is_natural,
    official.is_forest,
    official.get_efg_code,
    get_groups.efg_name as get_efg_name,
    get_groups.biome_code as get_biome_code,
    get_groups.biome_name_es as get_biome_name,
    official.get_confidence,
    official.degraded_2019_ha,
    coalesce(sum(exact(mapped.area_ha)), 0) as mapped_ha
from seeds.ecosystems as official
left join seeds.get_groups as get_groups on official.get_efg_code = get_groups.efg_code
left join accepted.stg_minam__ecosystems as mapped on official.ecosystem_code = mapped.ecosystem_code
group by all
order by official.ecosystem_code
