-- Public initiatives of FERM and of the registries it gathers; without public geometries. They are matched with the
-- country's own records before any of them counts (until then they stay here).
select
    'ferm' as source,
    given(records.source_record_id) as source_record_id,
    given(records.name) as name,
    given(records.registry) as registry,
    given(records.status) as status_at_source,
    statuses.code as status,
    coalesce(try_cast(records.restoration_types as json) ->> '$[0]', given(records.restoration_types)) as type_at_source,
    types.code as restoration_type,
    coalesce(list_contains(try_cast(try_cast(records.countries as json) as varchar[]), 'PER'), records.countries like '%PER%', false)
        as is_in_peru,
    given_number(records.area_ha) as declared_ha,
    try_cast(records.starting_year as integer) as starting_year,
    try_cast(records.ending_year as integer) as ending_year,
    given(records.organizations) as organizations,
    given(records.url) as url,
    try_cast(records.updated_on as timestamptz) as updated_at,
    records._row as source_row,
    records._snapshot_id as snapshot_id
from raw.ferm__initiatives as records
left join seeds.source_codes as statuses
    on statuses.source = 'ferm' and statuses.field = 'status' and given(records.status) = statuses.source_value
left join seeds.source_codes as types
    on
        types.source = 'ferm'
        and types.field = 'restoration_type'
        and coalesce(try_cast(records.restoration_types as json) ->> '$[0]', given(records.restoration_types)) = types.source_value
order by source_record_id
