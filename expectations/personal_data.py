"""Personal data in a text: how it is recognised, and the text without it.

Belongs here: one text. Does not: which columns are read so (restoration/build/inputs.py), what is said of it (the rule that every contract
gets in rules.py). A number alone is no identity document: words beside it or check digits make it one, since CUI, codes,
amounts and hectares are numbers of the same length. Nobody's name can be recognised without a word that announces a person.
Whoever writes a text may make it long: every pattern takes a time that grows with its length alone.
"""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers
from stdnum.pe import ruc

REMOVED = "[dato personal retirado]"

_NUMBER_WORD = (
    r"[\s:;.,#°ºª/(-]*(?:(?:n(?:[°ºo]|ro|[uú]m(?:ero)?)?|es|del?|con|el|la|su)(?![a-záéíóúñ])[\s:;.,#°ºª-]*)*"
)
_DNI_WORD = (
    r"(?:\bd[\s.]*n[\s.]*i\b|\bdoc(?:umento|\.)?\s*(?:nacional\s*)?(?:de\s*)?ident(?:idad|\.)?|\blibreta\s+electoral\b)"
)
_DNI = r"\d{2}[. ]?\d{3}[. ]?\d{3}(?!\d)(?:\s?-\s?\d\b)?"
_AND_MORE = r"(?:\s*(?:,|;|/|\by\b|\be\b)\s*" + _DNI + ")*"
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w.+-])[\w.+-]{1,64}\s?(?:@|\[at\]|\(at\)|\(arroba\)|\[arroba\])\s?[\w-]+(?:\.[\w-]+)+",
        _DNI_WORD + _NUMBER_WORD + _DNI + _AND_MORE,
        r"\bdni\d{8}\b",
        r"(?<!\d)" + _DNI + r"\s{0,5}\(?\s{0,5}" + _DNI_WORD,
        r"(?:\bc[\s.]*e\b|\bcarn[eé]t?s?\s+(?:de\s+)?(?:extranjer[ií]a|ptp|cpp)|\bptp\b|\bpasaporte)"
        + _NUMBER_WORD
        + r"(?=[a-z]{0,3}\d{3})[a-z]{0,3}\d{6,12}\b",
        r"\br[\s.]*u[\s.]*c\b" + _NUMBER_WORD + r"1[057][\s-]?\d{8}[\s-]?\d(?!\d)",
    )
]
_RUC = re.compile(r"(?<![\d.,])1[057]\d{9}(?![\d]|[.,]\d)")
_AMOUNT_BEFORE, _UNIT_AFTER = (
    re.compile(r"(?:S/\.?|US\$|\$|€)\s*$"),
    re.compile(r"\s*(?:%|ha\b|hect|m2|m²|km|soles|d[oó]lares)", re.IGNORECASE),
)
_CURRENCY_WITHIN = (
    40  # letters before an amount; all of a long text, for each of its numbers, would be the square of its length
)
_MOBILE = re.compile(
    r"(?<![\d.,/-])(?:\(?(?:\+|00)?51\)?[\s.-]?)?9\d{2}(?P<gap>[\s.-]?)\d{3}(?P=gap)\d{3}(?!\d|[.,/-]\d)"
)
_ABROAD = re.compile(r"(?<![\d])\+\d[\d\s().-]{7,16}\d")
_PHONE_WORD = re.compile(
    r"\b(?:tel[eé]?f?(?:ono)?s?|fonos?|cel(?:ular)?(?:es)?|m[oó]vil(?:es)?|whatsapp|wsp|llamar\s+al?|central\s+telef[oó]nica)\b"
    r"(?P<word>" + _NUMBER_WORD + r"(?:fijo|m[oó]vil)?[\s:.]*)(?P<number>\(?\+?\d[\d\s()./-]{4,18}\d)",
    re.IGNORECASE,
)
_AREA = re.compile(r"(?<![\d])(?:\(0\d{1,2}\)\s?|0\d{1,2}-)\d{2,3}[\s-]?\d{2}[\s-]?\d{2}(?!\d)")
_CONTACT = re.compile(
    r"(?P<word>\b(?:contactos?|persona\s+de\s+contacto|contactar(?:se)?\s+(?:a|con)|responsables?|encargad[oa]|coordinador(?:a)?|representante(?:\s+legal)?"
    r"|informante|propietari[oa]|posesionari[oa]|titular)\b\s*(?:[:=]|\s[-–])\s*|\b(?:contactar(?:se)?\s+(?:a|con)|comunicarse\s+con)\s+)"
    r"(?P<title>(?:(?:sr|sra|srta|ing|dr|dra|lic|blgo|blga|mg|don|doña)\b\.?\s*)*)",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-ZÁÉÍÓÚÑÜ][\w'’]*\.?(?:\s+(?:(?:de|del|la|las|los|y|van|von)\s+)*[A-ZÁÉÍÓÚÑÜ][\w'’]*\.?){0,5}")
_INSTITUTION = re.compile(
    r"\b(?:municip|gobierno|gore|direcci|gerencia|sub|oficina|asociaci|comunidad|comit|minist|servicio|proyecto|programa|fondo|fundaci|ong\b|s\.?a\.?c?\b"
    r"|e\.?i\.?r\.?l|universidad|instituto|cooperativa|federaci|unidad|autoridad|reserva|parque|agencia|centro|empresa|consorcio|junta|rondas?|jefatura"
    r"|[aá]rea|secretar|administraci|agencia|museo|red\b|grupo|equipo|bosques?|minam|serfor|sernanp|agrorural|concesi|conservaci|santuario|san\b)",
    re.IGNORECASE,
)

# what a text must hold to be examined: six digits, a mail address or a word; RE2, for DuckDB, which applies it to all
WORTH_LOOKING = r"(?i)@|arroba|\[at\]|\(at\)|(\d[\s.()/-]*){6}|contact|comunicarse|responsable|encargad|coordinador|representante|informante|propietari|posesionari|titular"


def without_personal_data(text: str) -> str:
    """The text with `[dato personal retirado]` in place of what is personal; a text without any is returned unchanged.

    Personal are mail addresses, telephone numbers, DNI, carnet de extranjería, passport, RUC of a person, and a name that a word
    announces ("contacto: …").
    """
    return _short(text) if len(text) <= _SHORT else _cleaned(text)


def _cleaned(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(REMOVED, text)
    text = _RUC.sub(lambda found: REMOVED if ruc.is_valid(found.group()) else found.group(), text)
    text = _PHONE_WORD.sub(REMOVED, text)
    for pattern in (_ABROAD, _MOBILE, _AREA):
        text = pattern.sub(_unless_no_telephone, text)
    return _without_names(text)


_SHORT = 500
_short = lru_cache(maxsize=100_000)(_cleaned)  # names of activities and investments occur in thousands of lines


def _unless_no_telephone(found: re.Match[str]) -> str:
    """The mark in place of a telephone number; amounts, areas and numbers that no country assigns are kept."""
    before = found.string[max(0, found.start() - _CURRENCY_WITHIN) : found.start()]
    if _AMOUNT_BEFORE.search(before) or _UNIT_AFTER.match(found.string, found.end()):
        return found.group()
    try:
        number = phonenumbers.parse(found.group(), "PE")
    except phonenumbers.NumberParseException:
        return found.group()
    return REMOVED if phonenumbers.is_valid_number(number) else found.group()


def _without_names(text: str) -> str:
    """Without the persons that a word announces; an institution is kept, and so is a single word without a title."""
    kept, at = [], 0
    for found in _CONTACT.finditer(text):
        name = _NAME.match(text, found.end())
        if found.start() < at or not name or _INSTITUTION.search(name.group()):
            continue
        if found["title"] or len(name.group().split()) > 1:
            kept += [text[at : found.end("word")], REMOVED]
            at = name.end()
    return "".join([*kept, text[at:]])
