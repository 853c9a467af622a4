-- Words that many models share. Created on every build connection, never stored in the published file.
create or replace temp macro hectares(shape) as st_area(st_transform(shape, 'EPSG:4326', 'EPSG:6933')) / 10000;
-- for sums: exact, so that they do not depend on the order in which threads add (seen in the tenth decimal, 2026-11-23)
create or replace temp macro exact(quantity) as cast(quantity as decimal(38, 12));
create or replace temp macro given(text) as nullif(trim(text), '');
create or replace temp macro folded(text) as regexp_replace(strip_accents(lower(text)), '[^a-z]', '', 'g');
create or replace temp macro lima_date(moment) as cast(moment at time zone 'America/Lima' as date);
create or replace temp macro amount(text) as try_cast(given(text) as decimal(18, 2));
