-- Retired and renumbered codes: what is documented, and what two vintages of INEI's limits show.
select
    listed.ubigeo,
    listed.change_kind,
    listed.successor_ubigeo,
    listed.district_name,
    'documentado' as evidence
from seeds.ubigeo_changes as listed
union all
select
    coalesce(older.ubigeo, newer.ubigeo) as ubigeo,
    case when older.ubigeo is null then 'new' else 'retired' end as change_kind,
    cast(null as varchar) as successor_ubigeo,
    coalesce(newer.district_name, older.district_name) as district_name,
    'comparación de límites 2023 y 2025' as evidence
from accepted.stg_inei__district_file as older
full join accepted.stg_inei__districts as newer on older.ubigeo = newer.ubigeo
where
    (older.ubigeo is null or newer.ubigeo is null)
    and coalesce(older.ubigeo, newer.ubigeo) not in (select known.ubigeo from seeds.ubigeo_changes as known)
order by ubigeo, evidence
