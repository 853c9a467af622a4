select
    programme.programme_code,
    programme.programme_name,
    programme.short_name,
    programme.institution_id,
    programme.first_year
from seeds.programmes as programme
where programme.is_restoration_programme
order by programme.programme_code
