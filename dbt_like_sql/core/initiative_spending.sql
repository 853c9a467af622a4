-- Money tied to an initiative, line by line. A CUI of only one initiative pays it in full: `cui` where a registry or
-- the same CUI says so, `investment_match` where the investment was found by name and place. A CUI of several
-- initiatives is allocated to them by their net hectares, or evenly where one of them has none; the parts of a line add
-- up to it to the cent.
with claims as (
    select
        records.cui,
        records.initiative_id,
        max(case when records.source = 'invierte' then records.match_probability else 1 end) as probability,
        bool_or(records.source != 'invierte' or records.match_probability = 1) as is_stated,
        arg_min(records.match_reason, records.trust_place) as reason
    from core.initiative_sources as records
    where records.cui is not null
    group by records.cui, records.initiative_id
),

weighed as (
    select
        claims.cui,
        claims.initiative_id,
        claims.probability,
        claims.is_stated,
        claims.reason,
        count(*) over (partition by claims.cui) as claimants,
        case
            when min(coalesce(initiatives.net_ha, 0)) over (partition by claims.cui) > 0 then initiatives.net_ha else 1
        end as weight
    from claims
    inner join core.initiatives as initiatives on claims.initiative_id = initiatives.initiative_id
),

shares as (
    select
        weighed.cui,
        weighed.initiative_id,
        weighed.probability,
        weighed.is_stated,
        weighed.reason,
        weighed.claimants,
        weighed.weight / sum(weighed.weight) over (partition by weighed.cui) as share,
        sum(weighed.weight) over (
            partition by weighed.cui
            order by weighed.initiative_id
            rows between unbounded preceding and current row
        ) / sum(weighed.weight) over (partition by weighed.cui) as share_up_to,
        row_number() over (partition by weighed.cui order by weighed.initiative_id) as place
    from weighed
),

bounds as (
    select
        shares.*,
        coalesce(lag(shares.share_up_to) over (partition by shares.cui order by shares.initiative_id), 0) as share_before
    from shares
)

select
    bounds.initiative_id,
    lines.spending_id,
    lines.fiscal_year,
    lines.programme_code,
    lines.department_ubigeo,
    lines.cui,
    case
        when bounds.claimants > 1 then 'allocated' when bounds.is_stated then 'cui' else 'investment_match'
    end as link_method,
    bounds.share,
    bounds.probability as link_probability,
    bounds.reason as link_reason,
    portion(lines.modified_pen, bounds.share_before, bounds.share_up_to, bounds.place = bounds.claimants) as modified_pen,
    portion(lines.accrued_pen, bounds.share_before, bounds.share_up_to, bounds.place = bounds.claimants) as accrued_pen
from core.spending as lines
inner join bounds on lines.cui = bounds.cui
order by bounds.initiative_id, lines.fiscal_year, lines.spending_id
