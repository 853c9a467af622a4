-- The attributes of every registry's record by which records of the same initiative are found. A record of a registry
-- can found an initiative; an investment can only be linked to one. Only investments that plan recovered hectares, are
-- of that typology, or have a CUI that a registry names are compared.
with promised as (
    select
        contributions.cui,
        sum(exact(contributions.gap_contribution_ha)) as size_ha
    from core.gap_contributions as contributions
    where contributions.is_ecosystem_recovery
    group by contributions.cui
),

named_cuis as (
    select distinct records.cui from accepted.std_initiatives as records
),

reported as (
    select
        records.record_key,
        records.source,
        records.reporting_institution as registry,
        true as founds_initiative,
        records.source_record_id,
        records.name,
        records.lead_institution as lead,
        records.ubigeo,
        records.start_date,
        records.source = 'ferm' as is_year_only,
        records.cui,
        coalesce(records.target_ha, records.declared_ha) as size_ha
    from accepted.std_initiatives as records
    union all
    select
        'invierte|' || investments.cui as record_key,
        'invierte' as source,
        'invierte' as registry,
        false as founds_initiative,
        investments.cui as source_record_id,
        investments.name,
        cast(null as varchar) as lead,
        investments.ubigeo,
        investments.registered_date as start_date,
        false as is_year_only,
        investments.cui,
        promised.size_ha
    from staging.std_investments as investments
    left join promised on investments.cui = promised.cui
    left join named_cuis on investments.cui = named_cuis.cui
    where promised.cui is not null or named_cuis.cui is not null or investments.typology = 'RECUPERACION DE ECOSISTEMAS'
),

vocabulary as (
    select
        map(
            list(known.word order by known.word) filter (where coalesce(known.reads_as, '') != ''),
            list(known.reads_as order by known.word) filter (where coalesce(known.reads_as, '') != '')
        ) as readings,
        list(known.word) filter (where coalesce(known.reads_as, '') = '') as stop_words
    from seeds.name_words as known
),

-- lower case, no accents, 'CC.NN.' as one word, abbreviations read out
read_out as (
    select
        reported.record_key,
        array_to_string(list_transform(
            string_split(words_of(reported.name), ' '), lambda t: coalesce(vocabulary.readings[t], t)
        ), ' ') as name_text,
        list_filter(string_split(array_to_string(list_transform(
            string_split(words_of(reported.lead), ' '), lambda t: coalesce(vocabulary.readings[t], t)
        ), ' '), ' '), lambda t: not list_contains(vocabulary.stop_words, t)) as lead_words
    from reported
    cross join vocabulary
),

-- the district named in the initiative's name: the longest district name after the word district
after_district as (
    select
        read_out.record_key,
        regexp_extract(read_out.name_text, '\bdistrito (?:de )?(.+)$', 1) as told_place
    from read_out
),

named_districts as (
    select
        after_district.record_key,
        units.ubigeo,
        words_of(units.unit_name) as place_name
    from after_district
    inner join core.admin_units as units
        on
            units.unit_level = 'district'
            and split_part(after_district.told_place, ' ', 1) = split_part(words_of(units.unit_name), ' ', 1)
    where
        after_district.told_place != ''
        and starts_with(after_district.told_place || ' ', words_of(units.unit_name) || ' ')
    qualify
        rank() over (partition by after_district.record_key order by len(words_of(units.unit_name)) desc) = 1
),

told_places as (
    select
        named_districts.record_key,
        list(named_districts.ubigeo order by named_districts.ubigeo) as ubigeos,
        string_split(min(named_districts.place_name), ' ') as place_words
    from named_districts
    group by named_districts.record_key
),

-- the place is compared by itself: its words do not distinguish two names of the same district
named as (
    select
        read_out.record_key,
        read_out.lead_words,
        coalesce(told_places.ubigeos, cast([] as varchar[])) as told_ubigeos,
        list_sort(list_distinct(list_filter(
            string_split(read_out.name_text, ' '),
            lambda t: not list_contains(list_concat(vocabulary.stop_words, ['']), t)
            and not list_contains(coalesce(told_places.place_words, cast([] as varchar[])), t)
        ))) as name_words
    from read_out
    cross join vocabulary
    left join told_places on read_out.record_key = told_places.record_key
),

positions as (
    select
        shapes.record_key,
        avg(st_x(st_centroid(st_transform(shapes.geometry, 'EPSG:4326', 'EPSG:6933')))) as x_m,
        avg(st_y(st_centroid(st_transform(shapes.geometry, 'EPSG:4326', 'EPSG:6933')))) as y_m
    from core.area_shapes as shapes
    where shapes.geometry is not null
    group by shapes.record_key
),

sizes as (
    select
        shapes.record_key,
        sum(exact(shapes.geometry_ha)) as polygon_ha
    from core.area_shapes as shapes
    where shapes.geometry_kind = 'polygon'
    group by shapes.record_key
),

both_ways as (
    select
        pairs.record_key_a as record_key,
        pairs.record_key_b as neighbour,
        pairs.overlap_ha
    from core.shared_ground as pairs
    where pairs.record_key_a != pairs.record_key_b and not pairs.is_sliver
    union all
    select
        pairs.record_key_b as record_key,
        pairs.record_key_a as neighbour,
        pairs.overlap_ha
    from core.shared_ground as pairs
    where pairs.record_key_a != pairs.record_key_b and not pairs.is_sliver
),

neighbours as (
    select
        both_ways.record_key,
        both_ways.neighbour,
        least(1, sum(exact(both_ways.overlap_ha)) / least(min(own.polygon_ha), min(other.polygon_ha))) as share
    from both_ways
    inner join sizes as own on both_ways.record_key = own.record_key
    inner join sizes as other on both_ways.neighbour = other.record_key
    group by both_ways.record_key, both_ways.neighbour
),

ground as (
    select
        neighbours.record_key,
        map(
            list(neighbours.neighbour order by neighbours.neighbour),
            list(cast(neighbours.share as double) order by neighbours.neighbour)
        ) as shares,
        list(
            least(neighbours.record_key, neighbours.neighbour) || ' & ' || greatest(neighbours.record_key, neighbours.neighbour)
            order by neighbours.neighbour
        ) as pair_keys
    from neighbours
    group by neighbours.record_key
)

select
    reported.record_key,
    reported.source,
    reported.registry,
    reported.founds_initiative,
    reported.source_record_id,
    reported.name,
    named.name_words,
    nullif(array_to_string(named.name_words, ' '), '') as name_key,
    nullif(array_to_string(named.lead_words, ' '), '') as lead_key,
    reported.ubigeo,
    left(reported.ubigeo, 2) as department_ubigeo,
    list_sort(list_distinct(list_filter(list_append(named.told_ubigeos, reported.ubigeo), lambda u: u is not null))) as places,
    reported.start_date,
    reported.is_year_only,
    reported.cui,
    reported.size_ha,
    positions.x_m,
    positions.y_m,
    case
        when positions.x_m is null then []
        else list_distinct([
            grid_cell(positions.x_m - 1000, positions.y_m - 1000), grid_cell(positions.x_m - 1000, positions.y_m + 1000),
            grid_cell(positions.x_m + 1000, positions.y_m - 1000), grid_cell(positions.x_m + 1000, positions.y_m + 1000)
        ])
    end as cells,
    coalesce(ground.shares, map(cast([] as varchar[]), cast([] as double[]))) as ground_shares,
    coalesce(ground.pair_keys, cast([] as varchar[])) as ground_pairs
from reported
inner join named on reported.record_key = named.record_key
left join positions on reported.record_key = positions.record_key
left join ground on reported.record_key = ground.record_key
order by reported.record_key
