"""Event files as TensorBoard has them, written byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from wtrace.files import masked_crc


def event_file(events: Iterable[tuple[int, Mapping[str, float]]]) -> bytes:
    """A file with the scalars of these steps."""
    return framed(b"\x1a\x0dbrain.Event:2") + b"".join(framed(event(*each)) for each in events)


def event(step: int, scalars: Mapping[str, float]) -> bytes:
    """One `Event`, each scalar as a `simple_value`."""
    values = b"".join(
        field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in scalars.items()
    )
    return b"\x10" + varint(step) + field(5, values)


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def framed(payload: bytes) -> bytes:
    """The payload as a record of its own."""
    length = struct.pack("<Q", len(payload))
    return length + struct.pack("<I", masked_crc(length)) + payload + struct.pack("<I", masked_crc(payload))
