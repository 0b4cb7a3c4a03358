"""Events and standings as JSON, and back. The name of an event's class is its `kind`."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from wtrace.judging.checks import CriterionStanding
from wtrace.race import events as ev
from wtrace.race.status import Standing, WorkerStanding

if TYPE_CHECKING:
    from typing import Any

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(ev.Event)}
UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError, RecursionError)
"""What decoding raises for what `encode` has not written."""

_encoder = msgspec.json.Encoder()
_results = msgspec.json.Decoder(tuple[CriterionStanding, ...])
_worker = msgspec.json.Decoder(WorkerStanding)


def encode(value: Any) -> str:
    """JSON of an event, a standing or a part of one. Numbers that are not finite become null."""
    return _encoder.encode(value).decode()


def decode_event(kind: str, data: str) -> ev.Event:
    """The event that `encode` wrote."""
    event: ev.Event = msgspec.json.decode(data, type=_KINDS[kind])
    return event


def decode_results(data: str) -> tuple[CriterionStanding, ...]:
    """The criteria of a judged check."""
    return _results.decode(data)


def decode_worker(data: str) -> WorkerStanding:
    """A worker's row."""
    return _worker.decode(data)


def encode_race(standing: Standing) -> str:
    """A standing without its workers: their rows are kept one by one."""
    fields = {name: getattr(standing, name) for name in standing.__dataclass_fields__ if name != "workers"}
    return encode(fields)


def decode_race(data: str, workers: tuple[WorkerStanding, ...]) -> Standing:
    """The standing that `encode_race` wrote, with these rows."""
    fields = msgspec.json.decode(data)
    return msgspec.convert({**fields, "workers": workers}, Standing)
