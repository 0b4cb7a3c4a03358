from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtrace.metrics.records import (
    MAX_LINE_BYTES,
    BadLine,
    Check,
    End,
    Epoch,
    Other,
    Record,
    Start,
    decode,
)

USABLE: list[tuple[bytes, Record]] = [
    (b'{"event":"start","max_epochs":50,"info":{"seed":0}}', Start(50, {"seed": 0})),
    (b'{"event":"start"}', Start()),
    (b'{"metrics":{"loss":0.5},"epoch":3,"event":"epoch","pid":7}', Epoch(3, {"loss": 0.5})),
    (b' {"event":"epoch","epoch":0}\r', Epoch(0)),
    (b'{"event":"epoch","epoch":9007199254740992}', Epoch(2**53)),
    (
        b'{"event":"epoch","epoch":1,"metrics":{"ok":true,"per":[1,{}]}}',
        Epoch(1, {"ok": True, "per": [1, {}]}),
    ),
    (b'{"event":"epoch","epoch":1,"metrics":{"n":9223372036854775808}}', Epoch(1, {"n": 2.0**63})),
    (
        b'{"event":"epoch","epoch":1,"metrics":{"a":1e999,"b":-1e999}}',
        Epoch(1, {"a": math.inf, "b": -math.inf}),
    ),
    (b'{"event":"epoch","epoch":1,"metrics":{"a":-Infinity}}', Epoch(1, {"a": -math.inf})),
    (b'{"event":"epoch","epoch":1,"metrics":{"a":%s}}' % (b"9" * 5000), Epoch(1, {"a": math.inf})),
    ('{"event":"epoch","epoch":1,"metrics":{"µ":1}}'.encode(), Epoch(1, {"µ": 1})),
    (b'{"event":"check","epoch":5,"samples":null,"checkpoint":"a/b.pt"}', Check(5, checkpoint="a/b.pt")),
    (
        b'{"event":"check","epoch":5,"samples":{"id":[1,"b"],"x":[0.5,null]}}',
        Check(5, samples={"id": [1, "b"], "x": [0.5, None]}),
    ),
    (b'{"event":"end","reason":"max_epochs"}', End("max_epochs")),
    (b'{"event":"coffee","epoch":"soon"}', Other("coffee")),
]

UNUSABLE: list[tuple[bytes, str]] = [
    (b'{"event": "epoch", "epo', "not JSON"),
    (b"loss 0.5", "not JSON"),
    (b'{"event":"epoch","epoch":1}{"event":"epoch","epoch":2}', "not JSON: Extra data"),
    (b"\xff\xfe{}", "not UTF-8 at byte 0"),
    (b'{"event":"epoch","epoch":1,"mine":"\xff"}', "not UTF-8 at byte 35"),
    (b"[1]", "not a JSON object"),
    (b"NaN", "not a JSON object"),
    (b'{"epoch":1}', "no `event`"),
    (b'{"event":null,"epoch":1}', "event: expected str"),
    (b'{"event":"epoch"}', "missing required field epoch"),
    (b'{"event":"epoch","epoch":true}', "epoch: expected int, got bool"),
    (b'{"event":"epoch","epoch":1.0}', "epoch: expected int, got float"),
    (b'{"event":"epoch","epoch":"1"}', "epoch: expected int, got str"),
    (b'{"event":"epoch","epoch":NaN}', "epoch: expected int, got float"),
    (b'{"event":"epoch","epoch":1e999}', "epoch: expected int, got float"),
    (b'{"event":"epoch","epoch":-1}', "epoch: expected int >= 0"),
    (b'{"event":"epoch","epoch":9007199254740993}', "epoch: expected int <= 9007199254740992"),
    (b'{"event":"epoch","epoch":1,"metrics":[0.5]}', "metrics: expected object, got array"),
    (b'{"event":"epoch","epoch":1,"metrics":{"a":"\\ud800 "}}', "lone surrogate"),
    (b'{"event":"epoch","epoch":1,"mine":[NaN,"\\udc00"]}', "lone surrogate"),
    (b'{"event":"check","epoch":1,"samples":{"a":0.5}}', "samples[...]: expected array, got float"),
    (b'{"event":"check","epoch":1,"samples":{"a":[[1]]}}', "got array"),
    (b'{"event":"check","epoch":1,"samples":{"a":[1,2],"b":[1]}}', "samples: a has 2 rows, b has 1"),
    (b'{"event":"check","epoch":1,"samples":{"a":[NaN],"b":[]}}', "samples: a has 1 rows, b has 0"),
    (
        b'{"event":"check","epoch":1,"objects":{"a":[],"\\u001b[2J":[1]}}',
        r"objects: a has 0 rows, \x1b[2J has 1",
    ),
    (b'{"event":"check","epoch":1,"checkpoint":"/etc/passwd"}', "checkpoint: absolute"),
    (b'{"event":"check","epoch":1,"checkpoint":"a/../../b"}', "checkpoint: `..`"),
    (b'{"event":"check","epoch":1,"checkpoint":"a\\u0000b"}', "checkpoint: holds a control character"),
    (b'{"event":"check","epoch":1,"checkpoint":"a\\u009bb"}', "checkpoint: holds a control character"),
    (b'{"event":"check","epoch":1,"checkpoint":""}', "checkpoint: empty"),
    (
        b'{"event":"check","epoch":1,"checkpoint":"%s"}' % ("ä" * 2049).encode(),
        "checkpoint: longer than 4096",
    ),
    (b'{"event":"epoch","epoch":1,"metrics":{"a":%s1%s}}' % (b"[" * 9999, b"]" * 9999), "nested too deeply"),
    (b'{"event":"epoch","epoch":1,"mine":' + b'{"a":' * 9999, "nested too deeply"),
    (b'{"event":"end"}' + b" " * MAX_LINE_BYTES, "longer than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("line", "record"), USABLE, ids=lambda value: repr(value)[:50])
def test_a_usable_line_becomes_its_record(line: bytes, record: Record) -> None:
    assert decode(line) == record


@pytest.mark.parametrize(("line", "reason"), UNUSABLE, ids=lambda value: repr(value)[:50])
def test_an_unusable_line_says_why(line: bytes, reason: str) -> None:
    record = decode(line)
    assert isinstance(record, BadLine)
    assert reason in record.reason
    assert_safe(record)


def test_nan_is_kept_as_nan() -> None:
    record = decode(b'{"event":"epoch","epoch":1,"metrics":{"loss":NaN,"acc":0.5}}')
    assert isinstance(record, Epoch)
    assert math.isnan(record.metrics["loss"])  # type: ignore[arg-type]
    assert record.metrics["acc"] == 0.5


def test_a_boolean_stays_a_boolean_and_an_int_an_int() -> None:
    record = decode(b'{"event":"check","epoch":1,"metrics":{"a":true,"b":1},"samples":{"a":[false,0,1.0]}}')
    assert isinstance(record, Check) and record.samples is not None
    assert [type(value) for value in record.metrics.values()] == [bool, int]
    assert [type(value) for value in record.samples["a"]] == [bool, int, float]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    line = b'{"event":"end"}'
    assert decode(line.ljust(MAX_LINE_BYTES)) == End()


def assert_safe(record: BadLine) -> None:
    """One line each, nothing that drives a terminal, nothing that cannot be encoded."""
    assert record.reason and record.reason.isprintable() and len(record.reason) <= 200
    assert record.excerpt.isprintable() and len(record.excerpt) <= 80


# Values that JSON can carry and some that it cannot; keys and strings of every kind, surrogates included.
any_text = st.text(st.characters(codec=None), max_size=6)
any_scalar = st.none() | st.booleans() | st.integers() | st.floats() | any_text
any_value: st.SearchStrategy[Any] = st.recursive(
    any_scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
any_column = st.lists(any_scalar, max_size=2)
events = st.fixed_dictionaries(
    {"event": st.sampled_from(["start", "epoch", "check", "end", "zzz"]) | any_value},
    optional={
        "epoch": st.integers(0, 3) | any_value,
        "max_epochs": any_value,
        "metrics": st.dictionaries(any_text, any_value, max_size=3) | any_value,
        "samples": st.dictionaries(any_text, any_column, max_size=3) | any_value,
        "objects": any_value,
        "checkpoint": st.text("./a\0\x85\u2028", max_size=6) | any_value,
        "reason": any_value,
        "mine": any_value,
    },
)


def check_anything(line: bytes) -> Record:
    record = decode(line)
    if isinstance(record, BadLine):
        assert_safe(record)
        return record
    value = json.loads(line.decode())  # whatever is kept is UTF-8 and an object
    json.dumps(value, ensure_ascii=False).encode()  # without a lone surrogate
    if isinstance(record, Epoch | Check):
        assert type(record.epoch) is int and 0 <= record.epoch <= 2**53
    if isinstance(record, Check):
        for columns in (record.samples or {}, record.objects or {}):
            assert len({len(column) for column in columns.values()}) <= 1
        path = record.checkpoint or "a"
        assert not path.startswith("/") and ".." not in path.split("/") and "\0" not in path
    return record


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_without_an_exception(line: bytes) -> None:
    check_anything(line)


@given(events, st.booleans())
def test_any_object_is_a_sound_record_or_a_bad_line(event: dict[str, Any], ascii_only: bool) -> None:
    check_anything(json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


@given(events, st.integers(0, 10**6), st.integers(0, 10**6), st.binary(max_size=3))
def test_a_damaged_line_is_decoded_without_an_exception(
    event: dict[str, Any], start: int, length: int, patch: bytes
) -> None:
    line = json.dumps(event).encode()
    start %= len(line)
    check_anything(line[:start] + patch + line[start + length % 5 :])


@given(st.integers(0, 2**53), st.dictionaries(st.text(max_size=5), st.floats() | st.booleans(), max_size=3))
def test_what_python_writes_is_always_usable(epoch: int, metrics: dict[str, Any]) -> None:
    record = check_anything(json.dumps({"event": "epoch", "epoch": epoch, "metrics": metrics}).encode())
    assert isinstance(record, Epoch)
    assert repr((record.epoch, dict(record.metrics))) == repr((epoch, metrics))
