"""A race as TensorBoard's event files: `FOLDER/RACE/RUN/events.out.tfevents.…`, a run for each attempt of a worker.

An event file is a row of records: length (8 bytes), its masked CRC-32C (4), a protocol buffer `Event`, its masked
CRC-32C (4) (tensorboard/compat/proto/event.proto and summary.proto). Scalars are written as `simple_value`, the
summary of the race as a text of the text plugin.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wtrace.config.names import worker_name_problem
from wtrace.errors import ToolError
from wtrace.files import masked_crc
from wtrace.publish.export.for_tools import Names, as_tag, summary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.publish.export.series import Attempt, RaceCurves, WorkerCurves

FILE_PREFIX = "events.out.tfevents."
SUMMARY_TAG = "wtrace/race"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_STRING = 7  # DT_STRING


def write_runs(race: RaceCurves, folder: Path) -> list[str]:
    """Write each attempt that reported anything as a run below `folder`, which is there; returns the runs' names.

    OSError passes through. ToolError for a worker whose name would lead out of the folder.
    """
    written = []
    for worker in race.workers:
        if worker_name_problem(worker.row.name):
            raise ToolError(f"{worker.row.name!r} cannot be the name of a folder")
        for attempt in worker.attempts:
            if attempt.is_empty:
                continue
            name = worker.run_name(attempt)
            run = folder / name
            run.mkdir(parents=True)
            began = attempt.started or race.standing.started
            with (run / f"{FILE_PREFIX}{int(began)}.wtrace").open("xb") as file:
                file.writelines(event_file(race, worker, attempt))
            written.append(name)
    return written


def event_file(race: RaceCurves, worker: WorkerCurves, attempt: Attempt) -> Iterator[bytes]:
    """The records of one run. Criteria stand beside the metrics, under `criteria/`; a value is a 32-bit float there."""
    began = attempt.started or race.standing.started
    yield record(_event(began, 0, _field(3, b"brain.Event:2")))
    yield record(_event(began, 0, _field(5, _field(1, _text(SUMMARY_TAG, summary(race, worker))))))
    names = Names(as_tag, attempt.criteria, taken=(SUMMARY_TAG,))
    curves = [(names.metric(name), curve) for name, curve in attempt.metrics.items()]
    curves += [(names.criterion(name), curve) for name, curve in attempt.criteria.items()]
    for tag, curve in curves:
        for point in curve:
            if point.value is not None:
                value = _field(1, _scalar(tag, point.value))
                yield record(_event(point.at, point.epoch, _field(5, value)))


def record(payload: bytes) -> bytes:
    """The payload as a record of an event file."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (length, struct.pack("<I", masked_crc(length)), payload, struct.pack("<I", masked_crc(payload)))
    )


def _event(at: float, step: int, content: bytes) -> bytes:
    """Event: wall_time = 1, step = 2, then what it holds."""
    return _key(1, _FIXED64) + struct.pack("<d", at) + _key(2, _VARINT) + _varint(step) + content


def _scalar(tag: str, value: float) -> bytes:
    """Summary.Value: tag = 1, simple_value = 2. What a 32-bit float cannot hold becomes infinite."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _field(1, tag.encode()) + _key(2, _FIXED32) + packed


def _text(tag: str, text: str) -> bytes:
    """Summary.Value: tag = 1, tensor = 8 (dtype = 1, shape = 2, string_val = 8), metadata = 9 (plugin_data = 1)."""
    shape = _field(2, _key(1, _VARINT) + _varint(1))
    tensor = _key(1, _VARINT) + _varint(_STRING) + _field(2, shape) + _field(8, text.encode())
    return _field(1, tag.encode()) + _field(8, tensor) + _field(9, _field(1, _field(1, b"text")))


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


def _key(number: int, kind: int) -> bytes:
    return bytes([number << 3 | kind])


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
