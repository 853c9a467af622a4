with shaped as (
    select
        features._row as source_row,
        features._snapshot_id as snapshot_id,
        given(features.degree) as degree,
        st_makevalid(features.geometry) as geometry,
        cast(features._partition as integer) as degradation_year
    from raw.minam__degradation as features
)

select
    shaped.degradation_year,
    shaped.source_row,
    shaped.degree,
    shaped.geometry,
    shaped.snapshot_id,
    hectares(shaped.geometry) as area_ha
from shaped
order by shaped.degradation_year, shaped.source_row
