-- Rows of CBD headline indicator 2.1 as its Online Reporting Tool takes them: the total by year, and for the last year each of the four
-- disaggregations. One row has one dimension. Ecosystems, territories and protection add up to the total; activities do not, an
-- initiative has several. What lies outside a list is a row of its own, so that nothing is lost between total and parts.
with total as (
    select
        progress.progress_year,
        progress.is_latest,
        progress.net_ha,
        progress.net_checked_ha,
        progress.declared_without_polygon_ha
    from marts.progress_to_targets as progress
    where progress.target_id = 'gbf_target_2'
),

pieces as (
    select
        allocations.initiative_id,
        allocations.get_efg_code,
        allocations.get_confidence,
        allocations.protection,
        allocations.net_ha
    from core.area_allocations as allocations
    inner join core.initiatives as counted
        on allocations.initiative_id = counted.initiative_id and counted.counts_as_under_restoration
),

crosswalk_of_biomes as (
    select
        known.biome_code as category_code,
        sum(exact(pieces.net_ha)) as net_ha,
        sum(exact(pieces.net_ha)) filter (where pieces.get_confidence = 'high') as sure_ha
    from pieces
    left join seeds.get_groups as known on pieces.get_efg_code = known.efg_code
    group by known.biome_code
),

crosswalk_of_groups as (
    select
        pieces.get_efg_code as category_code,
        sum(exact(pieces.net_ha)) as net_ha,
        sum(exact(pieces.net_ha)) filter (where pieces.get_confidence = 'high') as sure_ha
    from pieces
    group by pieces.get_efg_code
),

protections as (
    select
        case
            when pieces.protection = 'none' then 'none'
            when pieces.protection = 'oecm' then 'oecm'
            else 'protected_area'
        end as category_code,
        sum(exact(pieces.net_ha)) as net_ha
    from pieces
    group by category_code
),

territories as (
    select
        case
            when initiatives.tenure = 'indigenous_territory' then 1
            when initiatives.tenure = 'communal' then 2
            when initiatives.tenure is null or initiatives.tenure = 'unknown' then 4
            else 3
        end as category_order,
        sum(exact(initiatives.net_ha)) as net_ha
    from core.initiatives as initiatives
    where initiatives.counts_as_under_restoration
    group by category_order
),

reported_activities as (
    select
        initiatives.initiative_id,
        initiatives.net_ha,
        unnest(initiatives.activity_codes) as activity_code
    from core.initiatives as initiatives
    where initiatives.counts_as_under_restoration
),

activities as (
    select
        reported.activity_code as category_code,
        sum(exact(reported.net_ha)) as net_ha
    from reported_activities as reported
    group by reported.activity_code
    union all
    select
        grouped.group_code as category_code,
        sum(exact(grouped.net_ha)) as net_ha
    from (
        select distinct
            reported.initiative_id,
            reported.net_ha,
            known.group_code
        from reported_activities as reported
        inner join seeds.restoration_activities as known on reported.activity_code = known.activity_code
    ) as grouped
    group by grouped.group_code
),

silent as (
    select coalesce(sum(exact(initiatives.net_ha)), 0) as net_ha
    from core.initiatives as initiatives
    where initiatives.counts_as_under_restoration and coalesce(len(initiatives.activity_codes), 0) = 0
),

in_lists as (
    select
        'get_biome' as category_kind,
        biomes.category_code,
        biomes.net_ha,
        biomes.sure_ha
    from crosswalk_of_biomes as biomes
    union all
    select
        'get_efg' as category_kind,
        efgs.category_code,
        efgs.net_ha,
        efgs.sure_ha
    from crosswalk_of_groups as efgs
    union all
    select
        'protection' as category_kind,
        protections.category_code,
        protections.net_ha,
        null as sure_ha
    from protections
    union all
    select
        'activity' as category_kind,
        activities.category_code,
        activities.net_ha,
        null as sure_ha
    from activities
),

disaggregated as (
    select
        in_lists.category_kind,
        coalesce(categories.disaggregation_type, 'Other') as disaggregation_type,
        coalesce(categories.category_code, 'outside') as category_code,
        coalesce(
            categories.label,
            case
                when in_lists.category_kind = 'get_biome' then 'Ground outside the national ecosystem map (level 2)'
                else 'Ground outside the national ecosystem map (level 3)'
            end
        ) as disaggregation,
        coalesce(categories.label_es, 'Fuera del mapa nacional de ecosistemas') as label_es,
        coalesce(categories.category_order, 999) as category_order,
        in_lists.net_ha as value_ha,
        case
            when categories.label is null
                then 'No class of the national ecosystem map, so no group of the Global Ecosystem Typology.'
            when in_lists.category_kind in ('get_biome', 'get_efg')
                then
                    'National ecosystem map (MINAM, 2019) to the Global Ecosystem Typology by a proposed crosswalk, not yet validated; '
                    || format('{:.0f} % of these hectares with high confidence.', 100 * coalesce(in_lists.sure_ha, 0) / in_lists.net_ha)
                    || case when categories.is_in_dropdown then '' else ' The template''s drop-down lacks this category.' end
            when in_lists.category_kind = 'protection'
                then 'Overlay with SERNANP''s protected areas and MINAM''s OECMs; where both lie, the stronger protection counts.'
            else 'Net hectares of initiatives that report this activity; one may report several, so these rows do not add up to the total.'
        end as footnote
    from in_lists
    left join seeds.ort_categories as categories
        on in_lists.category_kind = categories.category_kind and in_lists.category_code = categories.category_code
    where in_lists.net_ha > 0
    union all
    select
        'territory' as category_kind,
        'Indigenous and traditional territories' as disaggregation_type,
        ['indigenous_territory', 'communal', 'other_tenure', 'not_told'][territories.category_order] as category_code,
        [
            'Indigenous and traditional territories',
            'Communal land (peasant and native communities)',
            'Other tenure (government, private, joint)',
            'Tenure not reported'
        ][territories.category_order] as disaggregation,
        [
            'Territorios indígenas y tradicionales',
            'Tierra comunal (comunidades campesinas y nativas)',
            'Otra tenencia (estatal, privada, conjunta)',
            'Tenencia no informada'
        ][territories.category_order] as label_es,
        territories.category_order,
        territories.net_ha as value_ha,
        'Tenure as the reporting institution states it; not overlaid with a cadastre.' as footnote
    from territories
    where territories.net_ha > 0
    union all
    select
        'activity' as category_kind,
        'Type of restoration activity' as disaggregation_type,
        'not_told' as category_code,
        'Activity not reported' as disaggregation,
        'Actividad no informada' as label_es,
        999 as category_order,
        silent.net_ha as value_ha,
        'Initiatives whose registry gives no restoration activity.' as footnote
    from silent
    where silent.net_ha > 0
)

select
    'GBF-INDICATOR-2.2' as indicator_id,
    '2.1' as indicator_code,
    'Area under restoration' as indicator_name,
    false as is_disaggregation,
    'total' as category_kind,
    null as disaggregation_type,
    'total' as category_code,
    null as disaggregation,
    'Total' as label_es,
    total.progress_year as report_year,
    'ha' as unit,
    cast(total.net_ha as double) as value_ha,
    'Net area: each hectare once, from polygons measured in EPSG:6933; '
    || format('{:.0f} % checked in the field. ', 100 * total.net_checked_ha / nullif(total.net_ha, 0))
    || format('Not included: {:,.0f} ha declared without a polygon. ', total.declared_without_polygon_ha)
    || 'In progress or in post-completion monitoring, begun by this year.' as footnote,
    0 as category_order
from total
where total.progress_year >= 2020 and total.net_ha > 0
union all
select
    'GBF-INDICATOR-2.2' as indicator_id,
    '2.1' as indicator_code,
    'Area under restoration' as indicator_name,
    true as is_disaggregation,
    disaggregated.category_kind,
    disaggregated.disaggregation_type,
    disaggregated.category_code,
    disaggregated.disaggregation,
    disaggregated.label_es,
    total.progress_year as report_year,
    'ha' as unit,
    cast(disaggregated.value_ha as double) as value_ha,
    disaggregated.footnote,
    disaggregated.category_order
from disaggregated
inner join total on total.is_latest
order by is_disaggregation, category_kind, category_order, report_year, category_code
