"""The JSON of `wtrace status` is that of the standard library."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.race import quickjson

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_it_writes_what_json_writes(value: Any) -> None:
    assert quickjson.dumps(value) == json.dumps(value, allow_nan=False)


@given(values, st.sampled_from(["", " ", "\n\t"]))
def test_it_reads_what_json_reads(value: Any, around: str) -> None:
    assert quickjson.loads(f"{around}{json.dumps(value)}{around}") == value


@pytest.mark.parametrize("text", ["", " ", "{", "[1,]", '{"a"}', "nul", "1 2", "{} x", '"\n"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        quickjson.loads(text)


def test_numbers_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="no number"):
        quickjson.dumps([float("nan")])
    with pytest.raises(ValueError, match="no number"):
        quickjson.dumps({"a": float("inf")})


def test_objects_as_what_is_asked_for() -> None:
    read = quickjson.loads('{"a": {"b": 1}}', lambda fields: SimpleNamespace(**fields))
    assert read.a.b == 1


def test_without_the_c_module_json_itself_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickjson, "make_scanner", None)
    monkeypatch.setattr(quickjson, "encode_basestring_ascii", None)
    assert quickjson.loads(quickjson.dumps({"a": [1, None]})) == {"a": [1, None]}
