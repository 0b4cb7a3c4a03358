"""What one line of a log, one row of a CSV file or one entry of a trainer's state says: an epoch and its metrics."""

from __future__ import annotations

import csv
import re
from dataclasses import field
from typing import TYPE_CHECKING

from wtrace.config.names import is_step
from wtrace.data import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LONGEST_NAME = 200
LONGEST_NUMBER = 100  # characters
MOST_NAMES = 1000  # in one object of JSON
DEEPEST = 4  # objects within objects
LONGEST_COUNTED = 2000  # characters of a line
DELIMITERS = ",;\t"
_AROUND_NUMBERS = " \t,;:%()[]{}<>|=`*'\""
_CALL = re.compile(r"[A-Za-z_][\w.]*\([\s\[('\"]*([^\s,()\[\]]+)")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:[eE][+-]?\d+)?")
_COUNTER = re.compile(
    r"(?:\[|\| *|\b(?:batch|step|iter|iteration|it)\b\W{0,3})\s*(\d+) ?/ ?(\d+)(?![\d/])", re.IGNORECASE
)

_WHOLE_BAR = re.compile(r"\|[^|]*\| *\d+/\d+ \[[^\]]*\]")  # after which something else was printed


@data
class Reading:
    """Metrics of one epoch, numbered as the source does; 4.6 lies in the fifth of epochs counted from 1.

    Without values it says that the epoch has begun. `epoch` is None where no number stands beside the values.
    `settled`: no later reading of this epoch can say something else of the same metrics. `steps`: it says itself
    which of several readings of its epoch it is. `unread`: what stands where a number was expected.
    """

    epoch: float | None
    values: Mapping[str, float]
    settled: bool
    steps: bool = False
    unread: Mapping[str, str] = field(default_factory=dict)


def number(value: object, *, decimal_comma: bool = False) -> float | None:
    """The number that a value is or that its text says; None where it is none.

    As people print them: `0.52,` `97.5%` `nan` `1,234.5` `np.float64(0.93)` `tensor(0.1, device='cuda:0')`; with
    `decimal_comma` also `0,42`.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value) if abs(value) < 2**1000 else None
    if isinstance(value, float):
        return value
    if not isinstance(value, str) or len(value) > LONGEST_NUMBER:
        return None
    plain = _plain_number(value)
    if plain is not None:
        return plain
    if call := _CALL.match(value.lstrip(_AROUND_NUMBERS)):
        value = call[1]
    text = value.lstrip(_AROUND_NUMBERS).rstrip(f"{_AROUND_NUMBERS}.").replace("\u2212", "-")
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    elif _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    return _plain_number(text)


def _plain_number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def key_among(names: Iterable[str], key: str) -> str:
    """The name that is meant by this key: itself, or where it is not there one that differs in upper and lower case."""
    other = key
    for name in names:
        if name == key:
            return key
        if name.casefold() == key.casefold():
            other = name
    return other


def of_groups(groups: Mapping[str, str | None], epoch_key: str, line: str = "") -> Reading | str | None:
    """What the named groups of a match say; the text says why it cannot be used, None: it says nothing.

    `line` is the rest of what stands there: a counter such as `[1/30]` in it says that an epoch has many lines.
    """
    comma = ";" in line and re.search(r"\d,\d+\s*;", line) is not None
    return _reading(groups, epoch_key, settled=not _counts(line), decimal_comma=comma)


def of_object(value: Mapping[str, object], epoch_key: str) -> Reading | str | None:
    """What a JSON object says; objects within it as `eval.acc`. One with a step may be one of several of its epoch."""
    return _reading(flat(value), epoch_key, settled=True)


def of_cells(
    header: Sequence[str], cells: Sequence[str], epoch_key: str, *, delimiter: str = ","
) -> Reading | str | None:
    """What a row of a CSV file says. Empty cells say nothing; where there are steps, an epoch may have several rows.

    A file without any column for the number says only its metrics.
    """
    if len(cells) != len(header):
        return f"a row of {len(cells)} cells under a header of {len(header)}"
    given = {name: cell for name, cell in zip(header, cells, strict=True) if cell.strip()}
    epoch_key = key_among(header, epoch_key)
    if epoch_key in header and epoch_key not in given:
        return None
    steps = any(map(is_step, header))
    return _reading(given, epoch_key, settled=not steps, steps=steps, decimal_comma=delimiter == ";")


def of_entry(entry: Mapping[str, object], epoch_key: str) -> Reading | str | None:
    """What an entry of a Hugging Face `log_history` says. At the end of an epoch each metric is logged once."""
    if entry.get(epoch_key) is None:
        return None
    found = _reading(entry, epoch_key, settled=True)
    if not isinstance(found, Reading) or found.epoch is None:
        return found
    whole = float(found.epoch).is_integer()
    return Reading(found.epoch, found.values, settled=whole, steps=True, unread=found.unread)


def header_of(line: str) -> tuple[str, tuple[str, ...]]:
    """The delimiter of a CSV file and its column names, by its first line."""
    line = line.removeprefix("\ufeff").strip("\r\n")
    delimiter = max(DELIMITERS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        names = line.split(delimiter)
    return delimiter, tuple(name.strip() for name in names)


def _reading(
    found: Mapping[str, object],
    epoch_key: str,
    *,
    settled: bool,
    steps: bool | None = None,
    decimal_comma: bool = False,
) -> Reading | str | None:
    epoch = None
    epoch_key = key_among(found, epoch_key)
    if found.get(epoch_key) is not None:
        epoch = number(found[epoch_key], decimal_comma=decimal_comma)
        if epoch is None or not 0 <= epoch < 2**53:
            return f"its {epoch_key} is no epoch: {found[epoch_key]!r:.60}"
    if steps is None:
        steps = any(value is not None and is_step(name) for name, value in found.items() if name != epoch_key)
    values, unread = dict[str, float](), dict[str, str]()
    for name, given in found.items():
        if name == epoch_key or is_step(name) or not _is_name(name):
            continue
        value = number(given, decimal_comma=decimal_comma)
        if value is not None:
            values[name] = value
        elif given is not None and given != "":
            unread[name] = given[:LONGEST_NUMBER] if isinstance(given, str) else type(given).__name__
    if epoch is None and not values and not unread:
        return None
    settled = is_step(epoch_key) or (settled and not steps)  # where a step is the epoch, it has one reading
    return Reading(epoch, values, settled=settled, steps=steps, unread=unread)


def flat(value: Mapping[str, object]) -> dict[str, object]:
    """The entries of an object of JSON, those of objects within it under joined names: `eval.acc`."""
    found: dict[str, object] = {}
    waiting = [("", value, 1)]
    while waiting:
        prefix, inner, depth = waiting.pop(0)
        for name, each in inner.items():
            if isinstance(each, dict):
                if depth < DEEPEST:
                    waiting.append((f"{prefix}{name}.", each, depth + 1))
            elif len(found) < MOST_NAMES:
                found.setdefault(prefix + name, each)
    return found


def _counts(line: str) -> bool:
    """Whether a counter stands there that has not come to its end."""
    if "/" not in line:
        return False
    return any(int(done) < int(total) for done, total in _COUNTER.findall(line[:LONGEST_COUNTED]))


def _is_name(name: str) -> bool:
    """Whether a metric can be called so: on one line, and as JSON in UTF-8."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


_GOING_ON = frozenset(".eE")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?|\d*\.\d+)")
_EXPONENT = re.compile(r"(?:[eE][-+]?\d+)?(?!\w|\.\w)")
_FRACTION = re.compile(r"(?:\.\d+)?(?:[eE][-+]?\d+)?(?!\w|\.\w)")


def groups_of(pattern: re.Pattern[str], text: str) -> Mapping[str, str | None] | None:
    """The named groups of the matches in the text, of each group the first that says something; None: no match.

    A pattern of alternatives thus finds what stands beside each other in one line as well. A group that ends amid a
    number has all of it: of `epoch 1.5` `\\d+` would have 1, and of `9.9e-05` `[\\d.]+` 9.9.
    """
    found: dict[str, str | None] | None = None
    for match in pattern.finditer(text):
        groups = match.groupdict()
        for name, value in groups.items():
            end = match.end(name)
            if value and text[end : end + 1] in _GOING_ON and _NUMBER.fullmatch(value):
                groups[name] = value + _rest_of_number(value, match, end)
        if found is None:
            found = groups
        else:
            found |= {
                name: value for name, value in groups.items() if found[name] is None and value is not None
            }
        if None not in found.values():
            break
    return found


def _rest_of_number(value: str, match: re.Match[str], end: int) -> str:
    """What follows of the number that begins so, unless another group takes it: `(?P<epoch>\\d+)\\.(?P<step>\\d+)`."""
    rest = (_EXPONENT if "." in value else _FRACTION).match(match.string, end)
    if rest is None or any(end < match.start(name) <= rest.end() for name in match.re.groupindex):
        return ""
    return rest[0]


def may_say_more(line: str) -> bool:
    """Whether a line is worth looking at beyond its groups: for a counter, or for commas that are decimal points."""
    return "/" in line or ";" in line


def rest_of(pattern: re.Pattern[str], text: str, epoch_key: str) -> str:
    """The text without what names the epoch, for `Epoch [3/50]` is no counter of steps, and without the bars before it."""
    begin, rest = 0, text
    for n, match in enumerate(pattern.finditer(text)):
        begin = match.start() if n == 0 else begin
        start, end = match.span(epoch_key) if epoch_key in pattern.groupindex else (-1, -1)
        if start >= 0:
            rest = text[:start] + re.sub(r"^ ?/ ?\d+", "", text[end:])
            break
    return _WHOLE_BAR.sub("", rest[:begin]) + rest[begin:]
