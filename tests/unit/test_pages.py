"""What paging needs of a page is skimmed from its bytes; it must be what reading the whole page says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.arcgis_pages import Layer, PageReader
from resources.http import Http

LAYER = Layer.described(
    "minam.x",
    "http://127.0.0.1/0",
    {
        "name": "x",
        "fields": [{"name": "OBJECTID", "type": "esriFieldTypeOID"}],
        "objectIdField": "OBJECTID",
        "maxRecordCount": 10,
    },
    b"{}",
    10,
)
READER = PageReader(Http(), "minam.x", LAYER)
BULK = {"rings": [[[-70.123456, -10.123456]] * 2_000]}  # more than what is worth skimming

texts = st.text(max_size=20) | st.sampled_from(['{"attributes":', '"geometry":', "geometry", '"},{"', "\\", "ñ"])
attributes = st.fixed_dictionaries({"OBJECTID": st.integers(1, 2**40)}, optional={"A": texts, "B": st.none() | texts})
features = st.lists(
    st.tuples(attributes, st.sampled_from([None, BULK, {"x": 1.5, "y": -3}]), st.booleans()), min_size=1, max_size=5
)


def body_of(drawn: list[tuple], envelope: dict[str, Any], *, flag_first: bool) -> bytes:
    rows = [{"attributes": a} | ({"geometry": g} if reported else {}) for a, g, reported in drawn]
    rows.append({"attributes": {"OBJECTID": 0}, "geometry": BULK})
    return orjson.dumps(envelope | {"features": rows} if flag_first else {"features": rows} | envelope)


@settings(max_examples=200, deadline=None)
@given(features, st.booleans(), st.booleans())
def test_skimming_a_page_says_what_reading_it_says(drawn: list[tuple], flag_first: bool, is_more: bool) -> None:
    envelope = {"spatialReference": {"wkid": 102100, "latestWkid": 3857}, "exceededTransferLimit": is_more}
    body = body_of(drawn, envelope, flag_first=flag_first)
    skimmed = READER._skimmed(body)
    assert skimmed is not None
    whole = orjson.loads(body)
    assert [f["attributes"]["OBJECTID"] for f in skimmed["features"]] == [
        f["attributes"]["OBJECTID"] for f in whole["features"]
    ]
    for key, value in envelope.items():
        assert skimmed[key] == value


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.9999])
def test_a_page_cut_short_is_not_skimmed(keep: float) -> None:
    body = body_of([({"OBJECTID": n}, BULK, True) for n in range(1, 5)], {}, flag_first=False)
    assert READER._skimmed(body[: int(len(body) * keep)]) is None


def test_an_error_after_some_features_is_not_skimmed() -> None:
    body = body_of([({"OBJECTID": 1}, BULK, True)], {}, flag_first=True)
    assert READER._skimmed(body[:-2] + b',{"error":{"code":500,"message":"out of memory"}}') is None
