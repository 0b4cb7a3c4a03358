"""The form of what workers write: one JSON object a line, decoded into typed records.

Nothing here trusts its input: `decode` takes any bytes and never raises.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.json import Decoder

MAX_LINE_BYTES = 1_000_000
MAX_CHECKPOINT_BYTES = 4096

# Whole numbers beyond 64 bits (SQLite has no place for them) take the lenient path and become floats.
_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# Beyond 2**53 a JSON number is no longer exact in most languages.
_EpochNumber = Annotated[int, Meta(ge=0, le=2**53)]

Scalar = _Int | float | str | bool | None
Columns = dict[str, list[Scalar]]


class Start(Struct, frozen=True, gc=False, tag_field="event", tag="start"):
    """A training begins."""

    max_epochs: _EpochNumber | None = None
    info: dict[str, Any] | None = None


class Epoch(Struct, frozen=True, gc=False, tag_field="event", tag="epoch"):
    """An epoch is done. Values may be NaN, infinite or booleans: no criterion may count them."""

    epoch: _EpochNumber
    metrics: dict[str, Scalar | list[Any] | dict[str, Any]] = {}


class Check(Struct, frozen=True, gc=False, tag_field="event", tag="check"):
    """The model was evaluated. All columns of `samples` have one length, and so have those of `objects`."""

    epoch: _EpochNumber
    metrics: dict[str, Scalar | list[Any] | dict[str, Any]] = {}
    samples: Columns | None = None
    checkpoint: str | None = None  # relative to the worker's output folder, and inside it
    objects: Columns | None = None


class End(Struct, frozen=True, gc=False, tag_field="event", tag="end"):
    """The training ends by itself."""

    reason: str | None = None


class Other(Struct, frozen=True, gc=False):
    """An event that this version does not know. It is kept, and it is not a mistake."""

    event: str
    text: str | None = None  # of a "progress": what the training does just now, in words


class BadLine(Struct, frozen=True, gc=False):
    """A line that cannot be used. Both texts are one line each and safe for a terminal."""

    reason: str
    excerpt: str


Record = Start | Epoch | Check | End | Other | BadLine

_Known = Start | Epoch | Check | End
_decode_strictly = Decoder(_Known).decode
_KNOWN_EVENTS = {"start", "epoch", "check", "end"}


def decode(line: bytes) -> Record:
    """The record that a line (without its newline) holds. Never raises, whatever the bytes.

    JSON as RFC 8259 has it, and beyond that what Python's `json.dumps` writes: bare `NaN`, `Infinity` and
    `-Infinity`. A number too large for a double (`1e999`) becomes infinite.
    """
    if len(line) > MAX_LINE_BYTES:
        return too_long(line)
    try:
        record: _Known = _decode_strictly(line)
        if not line.isascii():
            line.decode()  # what msgspec skips (keys of the worker's own) it does not check
    except (ValueError, RecursionError):
        return _decode_leniently(line)
    return record if type(record) is not Check else _sound(record, line)


def too_long(beginning: bytes) -> BadLine:
    """What a line of more than `MAX_LINE_BYTES` is; its beginning is enough to say so."""
    return BadLine(f"longer than {MAX_LINE_BYTES:,} bytes", excerpt(beginning))


def torn(line: bytes) -> BadLine:
    """What a line is whose writer went away in the middle of it."""
    return BadLine("torn: the line has no end", excerpt(line))


def excerpt(line: bytes, limit: int = 80) -> str:
    """The beginning of a line, made safe for a terminal: whatever is not printable is escaped."""
    return printable(line[: limit * 5].decode("utf-8", "backslashreplace"), limit)


def printable(text: str, limit: int) -> str:
    """At most `limit` characters of `text`; control and format characters and surrogates are escaped."""
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _decode_leniently(line: bytes) -> Record:
    """The slower path: for NaN and huge numbers, for events that are not known, and to say what is wrong."""
    try:
        value = json.loads(line.decode(), parse_int=_number)
        reason = _why_unusable(value, line)
        if reason is not None:
            return BadLine(reason, excerpt(line))
        if value["event"] not in _KNOWN_EVENTS:
            text = value.get("text") if value["event"] == "progress" else None
            return Other(value["event"], text if isinstance(text, str) else None)
        record: _Known = convert(value, _Known)
    except RecursionError:
        return BadLine("nested too deeply", excerpt(line))
    except UnicodeDecodeError as error:
        return BadLine(f"not UTF-8 at byte {error.start}", excerpt(line))
    except json.JSONDecodeError as error:
        return BadLine(f"not JSON: {printable(error.msg, 60)} (character {error.pos})", excerpt(line))
    except ValidationError as error:
        return BadLine(_in_words(error), excerpt(line))
    return record if type(record) is not Check else _sound(record, line)


def _number(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**63 else float(digits)


def _why_unusable(value: Any, line: bytes) -> str | None:
    """Why a JSON value is no event; None where it is one."""
    if not isinstance(value, dict):
        return "not a JSON object"
    if b"\\u" in line and not _encodable(value):
        return "holds half a character (a lone surrogate)"
    if "event" not in value:
        return "no `event`"
    return None if isinstance(value["event"], str) else "event: expected str"


def _encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_words(error: ValidationError) -> str:
    """``Expected `int`, got `bool` - at `$.epoch` `` becomes `epoch: expected int, got bool`."""
    what, _, place = str(error).partition(" - at `")
    place = place.rstrip("`").removeprefix("$").removeprefix(".")
    text = what.replace("`", "").removeprefix("Object ")
    text = text[:1].lower() + text[1:]
    return printable(f"{place}: {text}" if place else text, 160)


def _sound(check: Check, line: bytes) -> Check | BadLine:
    reason = (
        _why_ragged("samples", check.samples)
        or _why_ragged("objects", check.objects)
        or _why_no_path(check.checkpoint)
    )
    return check if reason is None else BadLine(reason, excerpt(line))


def _why_ragged(part: str, columns: Columns | None) -> str | None:
    if not columns:
        return None
    (first, rows), *others = ((name, len(column)) for name, column in columns.items())
    for name, count in others:
        if count != rows:
            return f"{part}: {printable(first, 30)} has {rows} rows, {printable(name, 30)} has {count}"
    return None


def _why_no_path(checkpoint: str | None) -> str | None:
    """Why a checkpoint does not name something inside the output folder; None where it does."""
    if checkpoint is None:
        return None
    if not checkpoint:
        return "checkpoint: empty"
    if len(checkpoint.encode()) > MAX_CHECKPOINT_BYTES:
        return f"checkpoint: longer than {MAX_CHECKPOINT_BYTES} bytes"
    if checkpoint.startswith("/"):
        return "checkpoint: absolute; it must be relative to the output folder"
    if ".." in checkpoint.split("/"):
        return "checkpoint: `..` may lead out of the output folder"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029" for char in checkpoint):
        return "checkpoint: holds a control character"
    return None
