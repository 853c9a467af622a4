-- Words that many models share. Created on every build connection, never stored in the published file.
create or replace temp macro hectares(shape) as st_area(st_transform(shape, 'EPSG:4326', 'EPSG:6933')) / 10000;
-- for sums: exact, so that they do not depend on the order in which threads add (seen in the tenth decimal, 2026-11-23)
create or replace temp macro exact(quantity) as cast(quantity as decimal(38, 12));
create or replace temp macro given(text) as nullif(trim(text), '');
create or replace temp macro folded(text) as regexp_replace(strip_accents(lower(text)), '[^a-z]', '', 'g');
create or replace temp macro lima_date(moment) as cast(moment at time zone 'America/Lima' as date);
create or replace temp macro amount(text) as try_cast(given(text) as decimal(18, 2));
create or replace temp macro given_number(quantity) as try_cast(replace(given(cast(quantity as varchar)), ',', '.') as double);
create or replace temp macro yes_or_no(text) as case
    when folded(text) in ('si', 's', 'yes', 'true', 'x', 'verdadero') then true
    when folded(text) in ('no', 'n', 'false', 'falso') then false
end;
-- a date is the same day in Lima; a timestamp is converted to Lima's day
create or replace temp macro given_date(moment) as case
    when regexp_full_match(cast(moment as varchar), '\s*\d{4}-\d{2}-\d{2}( 00:00:00)?\s*')
        then try_cast(left(trim(cast(moment as varchar)), 10) as date)
    when regexp_full_match(cast(moment as varchar), '\s*\d{1,2}/\d{1,2}/\d{4}\s*')
        then try_cast(try_strptime(trim(cast(moment as varchar)), '%d/%m/%Y') as date)
    else lima_date(try_cast(moment as timestamptz))
end;
-- the polygons of an overlay: touching borders give lines and points too
create or replace temp macro polygons_of(shape) as st_collectionextract(shape, 3);
-- words of a name: lower case, no accents, dotted abbreviations ('CC.NN.') as one word
create or replace temp macro words_of(text) as trim(regexp_replace(
    regexp_replace(strip_accents(lower(text)), '\b([a-z]{1,2})\.\s?([a-z]{1,2})\.', '\1\2 ', 'g'), '[^a-z]+', ' ', 'g'
));
-- a cell of 5 km in EPSG:6933
create or replace temp macro grid_cell(x_m, y_m) as
cast(floor(x_m / 5000) as integer) || ':' || cast(floor(y_m / 5000) as integer);
-- one part of an amount: the amount due up to it minus the amount due before it, so that the parts add up to the cent.
-- The share up to a part and the share before the next must be the same number, or rounding makes them differ.
create or replace temp macro portion(whole_pen, share_before, share_up_to, is_last) as
case when is_last then whole_pen else cast(round(whole_pen * share_up_to, 2) as decimal(18, 2)) end
- cast(round(whole_pen * share_before, 2) as decimal(18, 2));
-- one shape of several; a single one stays as it is, which most are
create or replace temp macro united(shapes) as case when len(shapes) = 1 then shapes[1] else list_aggregate(shapes, 'st_union_agg') end;
-- whether the name of an investment says that it recovers an ecosystem: an act of recovery, what is recovered, and nothing that
-- makes it a street, a park, a dump, tourism or production (77 real names judged by hand, tests/unit/investment_names.csv)
create or replace temp macro names_recovery(name) as
regexp_matches(words_of(name), '\b(recuperacion|restauracion|rehabilitacion|revegetacion|reforestacion|forestacion|remediacion)\b')
and regexp_matches(
    words_of(name),
    '\b(ecosistemas?|ecosistemic[oa]s?|bosques?|mangles?|manglares?|bofedal|bofedales|humedal|humedales|lomas|pajonal|pajonales'
    || '|suelos?|cobertura vegetal|vegetacion|diversidad biologica|biodiversidad|zonas degradadas|regulacion hidrica|paramos?|jalca'
    || '|praderas|pastizales|areas forestales)\b'
)
and not regexp_matches(
    words_of(name),
    '\b(av|avenida|jr|jiron|calles?|plaza|parques?|veredas?|areas? verdes?|urban[oa]s?|estadio|pileta|puente|residuos solidos'
    || '|turistic[oa]s?|ecoturistic[oa]s?|belleza escenica|cadena productiva|capacidad productiva|apoyo al desarrollo productivo'
    || '|comerciales|poda|centro historico|agua potable|drenaje|movilidad|escalinatas|motocicleta|vias de acceso|camino vecinal)\b'
);
