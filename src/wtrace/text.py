"""Text for people: made safe for a terminal or a Markdown page, cut to a width, and numbers as they are read."""

from __future__ import annotations

import math
import unicodedata

TYPE_CHECKING = (
    False  # `wtrace status` needs this module: `typing`, `re` and `functools` would double what it costs
)
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

_MOST_MARKS = (
    2  # combining marks on one letter; real languages need no more, and a stack of them climbs out of its row
)
_INVISIBLE = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x180E), 0x180F, 0x2800, 0x3164,
              *range(0xFE00, 0xFE10), 0xFFA0, *range(0xE0100, 0xE01F0)])
)  # fmt: skip
_ESCAPE_SEQUENCE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78])"


def plain(text: str, limit: int | None = None) -> str:
    """The text on one line, safe for a terminal: what would steer it or stay unseen is shown as an escape.

    Control, format (bidi marks, zero-width) and unassigned characters, surrogates and line separators become
    `\\x1b`, `\\u202e`, …; tabs and exotic spaces become a space. `limit`: at most so many cells, the last one `…`.
    """
    if limit is not None and len(text) > 3 * limit + 3:  # three characters fill a cell at the least
        return cut(plain(text[: 3 * limit + 3]) + " ", limit)
    if not (text.isascii() and text.isprintable()):
        text = "".join(_visible(text))
    return text if limit is None else cut(text, limit)


def _visible(text: str) -> list[str]:
    shown: list[str] = []
    marks = 0
    for char in text:
        if char.isprintable() and char not in _INVISIBLE:
            marks = marks + 1 if _is_mark(char) else 0
            shown.append(char if marks <= _MOST_MARKS else "\ufffd")
        else:
            marks = 0
            shown.append(" " if char == "\t" or unicodedata.category(char) == "Zs" else _escape(char))
    return shown


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Me")


def _escape(char: str) -> str:
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def unstyled(text: str) -> str:
    """The text without the terminal sequences (colours, titles, cursor moves) that programs print into logs."""
    if "\x1b" not in text:
        return text
    import re

    return re.sub(_ESCAPE_SEQUENCE, "", text)


def cells(text: str) -> int:
    """How many cells of a terminal a text that went through `plain` takes (by its East Asian Width)."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


_known_cells: dict[str, int] = {}


def _cells_of(char: str) -> int:
    found = _known_cells.get(char)
    if found is None:
        if len(_known_cells) > 4096:
            _known_cells.clear()
        wide = unicodedata.east_asian_width(char) in "WF"
        found = _known_cells[char] = 0 if _is_mark(char) else 2 if wide else 1
    return found


def cut(text: str, limit: int) -> str:
    """The text in at most `limit` cells; where something had to go, the last cell is `…`."""
    if cells(text) <= limit:
        return text
    kept: list[str] = []
    room = limit - 1
    for char in text:
        room -= _cells_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…" if limit > 0 else ""


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells: cut, or filled with spaces (in front of it when `right`)."""
    text = cut(text, width)
    space = " " * (width - cells(text))
    return space + text if right else text + space


def csv_cell(text: str) -> str:
    """A spreadsheet takes a cell that begins like a formula for one; an apostrophe keeps it text."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_PUNCTUATION = r"[\\`*{}\[\]|~$^!]|(?<![^\W_])_|_(?![^\W_])|#(?!\w)"
_BREAK = "<!-- -->"  # unseen; GitHub makes no mention, link or emoji of a text that it parts
_LIVELY = r"(?i)@|#(?=\w)|:(?=//)|(?<=www)(?=\.)|:(?=[\w+-]+:)"
_LEADING = r"^(?:[-+=#]|\d+(?=[.)](?:\s|$)))"


def markdown(text: str) -> str:
    """The text as `plain` shows it, escaped so that GitHub's Markdown shows just that, also inside a table's cell."""
    import re

    text = plain(text).strip().translate(_ENTITIES)
    text = re.sub(_PUNCTUATION, r"\\\g<0>", text)
    text = re.sub(_LIVELY, rf"\g<0>{_BREAK}", text)
    return re.sub(_LEADING, _lead, text)


def _lead(match: re.Match[str]) -> str:
    return match[0] + "\\" if match[0].isdigit() else "\\" + match[0]


def code(text: str) -> str:
    """The text as an inline code span of GitHub's Markdown (as escaped text where it holds a table's pipe)."""
    text = plain(text) or " "
    if "|" in text:  # its escape is shown as it is outside a table
        return markdown(text)
    import re

    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    edge = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{edge}{text}{edge}{fence}"


MINUS = "\u2212"  # as wide as a plus sign


FEWEST_DIGITS = 3
NEIGHBOUR_DIGITS = 6  # that are spent on telling values apart
MOST_DIGITS = 17  # tell any two floats apart


def number(value: float | None, digits: int = FEWEST_DIGITS) -> str:
    """A value at 3 significant digits, `1.62`; below a thousandth at 2, `3.1e-05`; `—` where there is none.

    With more `digits` at so many, where `digits_for` says that they are needed.
    """
    if value is None:
        return "—"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite" if value > 0 else f"{MINUS}infinite"
    if value == int(value) and abs(value) < 1e6:
        told = f"{abs(value):.0f}"
    else:
        told = f"{abs(value):.{2 if abs(value) < 1e-3 and digits == FEWEST_DIGITS else digits}g}"
    return f"{MINUS}{told}" if value < 0 else told


def digits_for(values: Iterable[float | None], threshold: float | None = None) -> int:
    """How many significant digits it takes to show on which side of the threshold each value lies, and to tell them apart.

    Three at least, and as many as the threshold is written with. No more than six are spent on telling values apart; a
    threshold is told from every value but itself.
    """
    known = {value for value in values if value is not None and math.isfinite(value)}
    written = "" if threshold is None else _written(threshold) or ""
    least = max(FEWEST_DIGITS, len(written.partition("e")[0].replace(".", "").strip("0")))
    for digits in range(least, MOST_DIGITS):
        told = {value: float(number(value, digits).replace(MINUS, "-")) for value in known}
        apart = digits >= NEIGHBOUR_DIGITS or len(set(told.values())) == len(known)
        if apart and all(_side(told[value], threshold) == _side(value, threshold) for value in known):
            return digits
    return MOST_DIGITS


def _side(value: float, threshold: float | None) -> int:
    """-1 below the threshold, 1 above it, else 0."""
    return 0 if threshold is None else (value > threshold) - (value < threshold)


def beside(value: float | None, threshold: float) -> str:
    """A value with as many digits as tell it from its threshold: `0.9982` beside 0.9979."""
    return number(value, digits_for([value], threshold))


def numbers(*values: float | None) -> list[str]:
    """Values with as many digits as tell them apart."""
    digits = digits_for(values)
    return [number(value, digits) for value in values]


def signed(value: float) -> str:
    """A difference at 2 significant digits with its sign: `+0.04`, `-0.18` (with a true minus)."""
    if math.isfinite(value) and value != 0 and abs(value) < 100:
        value = float(f"{value:.2g}")
    return number(value) if value < 0 else f"+{number(value)}"


_SIGNS = {">=": "≥", "<=": "≤"}
WRITTEN_DIGITS = 10
"""Nobody writes more; a quotient has more."""


def bound(op: str, threshold: float) -> str:
    """A threshold with its operator, as it was written: `≥ 1.5`, `≤ 0.9979`; one that was calculated at 3 digits."""
    written = _written(threshold) or f"{abs(threshold):.{FEWEST_DIGITS}g}"
    return f"{_SIGNS.get(op, op)} {MINUS if threshold < 0 else ''}{written}"


def _written(threshold: float) -> str | None:
    """The threshold without its sign as somebody wrote it; None where it was calculated."""
    written = f"{abs(threshold):.{WRITTEN_DIGITS}g}"
    return written if float(written) == abs(threshold) else None


def seconds(duration_s: float | None) -> str:
    """A duration as it is said: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`; `—` where there is none."""
    if duration_s is None or not math.isfinite(duration_s):
        return "—"
    whole = max(0, round(duration_s))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def ago(duration_s: float) -> str:
    """How long ago something was: `just now`, `12 min ago`."""
    return "just now" if duration_s < 1 else f"{seconds(duration_s)} ago"


def clock(duration_s: float) -> str:
    """A running time that ticks: `0:07:45`."""
    whole = max(0, int(duration_s))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def pace(duration_s: float | None) -> str:
    """A short duration at 2 or 3 digits: `0.42 s`, `3.2 s`, `45 s`; longer ones as `seconds` says them."""
    if duration_s is None or not math.isfinite(duration_s):
        return "—"
    return f"{max(0.0, duration_s):.2g} s" if duration_s < 10 else seconds(duration_s)


def size(count: int | None) -> str:
    """A number of bytes: `812 MB`, `1.2 GB`; `—` where there is none."""
    if count is None:
        return "—"
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def utc(at: float | None) -> str:
    """A moment (seconds since 1970) as ISO 8601 in UTC, `2026-01-31T12:00:00Z`; `—` where there is none."""
    from datetime import UTC, datetime

    try:
        return "—" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "—"


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float | None], width: int) -> str:
    """The last `width` values as bars of eight heights between the least and the greatest; a gap is a space."""
    shown = values[-width:] if width > 0 else []
    known = [value for value in shown if value is not None and math.isfinite(value)]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    return "".join(_bar(value, low, span) for value in shown)


def _bar(value: float | None, low: float, span: float) -> str:
    if value is None or not math.isfinite(value):
        return " "
    height = (value - low) / span if span > 0 and math.isfinite(span) else 0.5
    return _BARS[min(7, int(height * 8))]


_ASCII = {
    "✓": "+", "✗": "x", "★": "*", "●": "*", "○": "o", "‖": "=", "↻": "@", "↓": "v", "■": "#", "□": "-", "·": ".",
    "≥": ">=", "≤": "<=", "−": "-", "–": "-", "—": "-", "…": "~", "▲": "^", "▼": "v", "›": ">", "│": "|", "×": "x",  # noqa: RUF001 - the very signs
    **dict(zip("▁▂▃▄▅▆▇█", "._,-~=+#", strict=True)),
    **dict.fromkeys("▏▎▍▌▋▊▉▕", "|"),
}  # fmt: skip


def in_ascii(text: str) -> str:
    """The text for what shows nothing but ASCII: our signs by others, each as wide where it can be; the rest as `?`."""
    return "".join(char if char.isascii() else _ASCII.get(char, "?") for char in text)
