with shaped as (
    select
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        features.ecosystem_name as name_at_source,
        st_makevalid(features.geometry) as geometry
    from raw.minam__ecosystems as features
)

select
    shaped.source_row,
    names.ecosystem_code,
    shaped.name_at_source,
    shaped.geometry,
    shaped.snapshot_id,
    hectares(shaped.geometry) as area_ha
from shaped
left join staging.std_ecosystem_names as names on folded(shaped.name_at_source) = names.name_key
order by shaped.source_row
