with districts as (
    select
        district.ubigeo,
        'district' as unit_level,
        district.district_name as unit_name,
        left(district.ubigeo, 4) as parent_ubigeo,
        district.department_name,
        district.province_name,
        district.geometry,
        district.area_ha,
        district.snapshot_id
    from accepted.stg_inei__districts as district
),

provinces as (
    select
        left(districts.ubigeo, 4) as ubigeo,
        'province' as unit_level,
        min(districts.province_name) as unit_name,
        left(min(districts.ubigeo), 2) as parent_ubigeo,
        min(districts.department_name) as department_name,
        min(districts.province_name) as province_name,
        st_union_agg(districts.geometry order by districts.ubigeo) as geometry,
        sum(exact(districts.area_ha)) as area_ha,
        min(districts.snapshot_id) as snapshot_id
    from districts
    group by left(districts.ubigeo, 4)
),

departments as (
    select
        left(districts.ubigeo, 2) as ubigeo,
        'department' as unit_level,
        min(districts.department_name) as unit_name,
        cast(null as varchar) as parent_ubigeo,
        min(districts.department_name) as department_name,
        cast(null as varchar) as province_name,
        st_union_agg(districts.geometry order by districts.ubigeo) as geometry,
        sum(exact(districts.area_ha)) as area_ha,
        min(districts.snapshot_id) as snapshot_id
    from districts
    group by left(districts.ubigeo, 2)
)

select
    units.*,
    2025 as vintage
from (
    select * from districts
    union all
    select * from provinces
    union all
    select * from departments
) as units
order by units.ubigeo
