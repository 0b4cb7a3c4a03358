"""As much of protocol buffers as the scalars in an `Event` need (protobuf.dev/programming-guides/encoding).

ValueError for bytes that are none.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

MOST_VALUES = 1000  # in one event
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Event: step = 2, summary = 5. Summary: value = 1. Value: tag = 1, simple_value = 2, tensor = 8.
# TensorProto: dtype = 1 (1: float, 2: double), tensor_content = 4, float_val = 5, double_val = 6.
_FORMATS = {1: ("<f", 5), 2: ("<d", 6)}

Field = tuple[int, int, "int | bytes"]


def scalars(event: bytes) -> tuple[int, dict[str, float]]:
    """The step of an event, and its scalars by their tags."""
    step, found = 0, dict[str, float]()
    for number, kind, value in _fields(event):
        if (number, kind) == (2, _VARINT):
            assert isinstance(value, int)
            step = value - 2**64 if value >= 2**63 else value
        elif (number, kind) == (5, _BYTES):
            assert isinstance(value, bytes)
            for inner, inner_kind, each in _fields(value):
                if (inner, inner_kind) == (1, _BYTES) and len(found) < MOST_VALUES:
                    assert isinstance(each, bytes)
                    _add(each, found)
    return step, found


def _add(value: bytes, found: dict[str, float]) -> None:
    tag, number = "", None
    for field, kind, content in _fields(value):
        match field, kind, content:
            case 1, 2, bytes():
                tag = content.decode("utf-8", "replace")
            case 2, 5, bytes():
                number = shortest(content)
            case 8, 2, bytes():
                number = _only_number(content)
    if number is not None and tag.isprintable():
        found[tag] = number


def _only_number(tensor: bytes) -> float | None:
    """The number of a tensor that holds exactly one; None for all others."""
    dtype, packed = 0, dict[int, bytes]()
    for field, kind, content in _fields(tensor):
        if (field, kind) == (1, _VARINT):
            assert isinstance(content, int)
            dtype = content
        elif isinstance(content, bytes):
            packed[field] = packed.get(field, b"") + content
    if dtype not in _FORMATS:
        return None
    form, field = _FORMATS[dtype]
    content = packed.get(4) or packed.get(field, b"")
    if len(content) != struct.calcsize(form):
        return None
    if form == "<f":
        return shortest(content)
    number: float = struct.unpack(form, content)[0]
    return number


def shortest(float32: bytes) -> float:
    """The shortest decimal that is the same float32: a logged 0.95 is 0.95, and not 0.949999988079071."""
    number: float = struct.unpack("<f", float32)[0]
    if not math.isfinite(number):
        return number
    for digits in range(6, 9):  # nine tell any two of them apart
        rounded = float(f"{number:.{digits}g}")
        try:
            if struct.pack("<f", rounded) == float32:
                return rounded
        except OverflowError:  # the greatest of them, rounded up
            continue
    return float(f"{number:.9g}")


def _fields(data: bytes) -> Iterator[Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        content: int | bytes
        if kind == _VARINT:
            content, at = _varint(data, at)
        else:
            if kind == _BYTES:
                length, at = _varint(data, at)
            elif kind in {_FIXED32, _FIXED64}:
                length = 4 if kind == _FIXED32 else 8
            else:
                raise ValueError(f"an event has a field of kind {kind}")
            content = data[at : at + length]
            at += length
            if len(content) != length:
                raise ValueError("an event ends within a field")
        yield key >> 3, kind, content


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise ValueError("an event ends within a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("an event has a number of more than 64 bits")
