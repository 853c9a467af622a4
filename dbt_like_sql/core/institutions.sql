-- Institutions of the seed list, and every other that leads an initiative, named as its registry names it.
with leads as (
    select
        folded(records.lead_institution) as folded_name,
        min(records.lead_institution) as institution_name
    from accepted.std_initiatives as records
    where records.lead_institution is not null
    group by folded(records.lead_institution)
)

select
    known.institution_id,
    known.institution_name,
    known.institution_type
from seeds.institutions as known
union all
select
    leads.folded_name as institution_id,
    leads.institution_name,
    case
        when leads.folded_name like 'gobiernoregional%' then 'regional_government'
        when leads.folded_name like 'municipalidad%' then 'local_government'
        when leads.folded_name like 'comunidad%' then 'community'
        when leads.folded_name like 'universidad%' then 'academia'
        when leads.folded_name like 'ong%' then 'ngo'
        else 'other'
    end as institution_type
from leads
anti join seeds.institutions as known on leads.folded_name = known.institution_id
order by institution_id
