"""Scalars from TensorBoard's event files, as they are written.

An event file is a row of records: length (8 bytes), masked CRC-32C of it (4), a protocol buffer `Event`, masked
CRC-32C of that (4) (tensorboard/compat/tensorflow_stub/pywrap_tensorflow.py, tensorboard/compat/proto/event.proto).
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from wtrace.files import masked_crc
from wtrace.metrics.foreign import protobuf
from wtrace.metrics.foreign.base import Problem
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.source_files import open_if_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_ONCE_BYTES = 128 * 1024  # more than one record of the largest that are looked into
LARGEST_EVENT = (
    64 * 1024
)  # bytes; scalars are small: what is larger is an image or a histogram, and passed over
MOST_WAITING = 10_000  # steps whose epoch is not known yet
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


class EventFile:
    """Follows one event file. Without an `epoch_key` a step is an epoch; else the scalar of that tag tells the epoch."""

    def __init__(self, path: Path, epoch_key: str | None, *, skip: int = 0) -> None:
        """`skip`: bytes at the beginning that are not to be read."""
        self._path = path
        self._key = epoch_key
        self._offset = skip  # where the next record begins
        self._fd: int | None = None
        self._waiting: dict[int, dict[str, float]] = {}
        self._damaged = False

    def read(self) -> tuple[list[Reading | Problem], bool]:
        """See `Reader.read`."""
        if self._damaged or not self._open():
            return [], False
        assert self._fd is not None
        found: list[Reading | Problem] = []
        try:
            data = os.pread(self._fd, AT_ONCE_BYTES, self._offset)
            at = 0
            while (event := self._event(data, at)) is not None:
                payload, end = event
                found += self._readings(payload)
                at = end
        except (OSError, ValueError) as error:
            self._damaged = True
            return [*found, Problem("event file", f"{self._path.name} is damaged: {error}")], False
        self._offset += at
        return found, at > 0 and len(data) == AT_ONCE_BYTES

    def finish(self, *, whole: bool) -> list[Problem]:  # noqa: ARG002 (an event is whole or none)
        """See `Reader.finish`."""
        return []

    def close(self) -> None:
        """See `Reader.close`."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> bool:
        if self._fd is None:
            self._fd = open_if_regular(self._path)
        return self._fd is not None

    def _event(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """The record there (empty: one too large to hold scalars) and where the next one begins; None: not whole yet."""
        if len(data) < at + _HEADER.size:
            return None
        length, sum_of_length = _HEADER.unpack_from(data, at)
        if masked_crc(data[at : at + 8]) != sum_of_length:
            raise ValueError(f"no record begins at byte {self._offset + at}")
        begin = at + _HEADER.size
        end = begin + length + _FOOTER_BYTES
        if length > LARGEST_EVENT:
            assert self._fd is not None
            return (b"", end) if os.fstat(self._fd).st_size >= self._offset + end else None
        if len(data) < end:
            return None
        payload = data[begin : begin + length]
        if masked_crc(payload) != int.from_bytes(data[end - _FOOTER_BYTES : end], "little"):
            raise ValueError(f"the record at byte {self._offset + at} has another checksum")
        return payload, end

    def _readings(self, payload: bytes) -> Iterator[Reading]:
        step, scalars = protobuf.scalars(payload)
        if step < 0 or not scalars:
            return
        if self._key is None:
            yield Reading(step, scalars, settled=True)
            return
        waiting = self._waiting.setdefault(step, {})
        waiting.update(scalars)
        epoch = waiting.pop(self._key, None)
        if epoch is not None and epoch >= 0:
            del self._waiting[step]
            if waiting:
                yield Reading(epoch, waiting, settled=False, steps=True)
        elif len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
