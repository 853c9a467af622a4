-- A RENIEC code that is also the INEI code of another district joins wrongly without any error.
select
    lpad(given(codes.ubigeo), 6, '0') as ubigeo,
    'inei' as source,
    lpad(given(codes.reniec_ubigeo), 6, '0') as reniec_ubigeo,
    given(codes.department_name) as department_name,
    given(codes.province_name) as province_name,
    given(codes.district_name) as district_name,
    coalesce(districts.ubigeo is not null and lpad(given(codes.reniec_ubigeo), 6, '0') != lpad(given(codes.ubigeo), 6, '0'), false)
        as is_ambiguous,
    codes._snapshot_id as snapshot_id
from raw.inei__ubigeo_crosswalk as codes
left join seeds.districts_inei_2025 as districts on lpad(given(codes.reniec_ubigeo), 6, '0') = districts.ubigeo
order by ubigeo
