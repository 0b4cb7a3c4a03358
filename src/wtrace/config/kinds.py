"""What a value of `wtrace.toml` can be. Each kind checks a value, says what it expects, and writes it back.

`read` takes what TOML held and gives what the spec holds, or raises a ConfigError that begins with the place.
`plain` is its inverse: from the spec to something that TOML can hold.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtrace.config.names import did_you_mean, text_problem
from wtrace.config.placeholders import uses
from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.text import plain as visible

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_string(text: str) -> str:
    """`text` as a TOML basic string on one line."""
    return f'"{"".join(_escaped(char) for char in text)}"'


def toml_key(name: str) -> str:
    """`name` as a TOML key: bare where that is possible."""
    return name if BARE_KEY.fullmatch(name) else toml_string(name)


def toml_value(plain: object) -> str:
    """A string, number, boolean, sequence or mapping of these as a TOML value on one line."""
    match plain:
        case bool():
            return "true" if plain else "false"
        case int():
            return str(plain)
        case float():
            return repr(plain) if math.isfinite(plain) else str(plain)
        case str():
            return toml_string(plain)
        case Mapping():
            inside = ", ".join(f"{toml_key(name)} = {toml_value(each)}" for name, each in plain.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(toml_value(each) for each in plain)}]"
    raise TypeError(f"TOML has no form for {type(plain).__name__}")


def written(plain: object) -> str:
    """As `value`, but text with backslashes in single quotes, as people write patterns."""
    if not isinstance(plain, str) or "\\" not in plain or not plain.isprintable():
        return toml_value(plain)
    if "'" not in plain:
        return f"'{plain}'"
    return toml_value(plain) if "'''" in plain or plain.endswith("'") else f"'''{plain}'''"


def _escaped(char: str) -> str:
    if char in ESCAPES:
        return ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


LONGEST_TEXT = 32_768  # characters; what one argument of a command can hold everywhere
SIZES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


@data
class Place:
    """Where in the config a value stands: `workers.baseline.command`."""

    parts: tuple[str | int, ...] = ()

    def __truediv__(self, name: str) -> Place:
        return Place((*self.parts, name))

    def item(self, n: int) -> Place:
        """The place of a list's item, counted from 0: `command[2]`."""
        return Place((*self.parts, n))

    def __str__(self) -> str:
        written = [f"[{part}]" if isinstance(part, int) else f".{toml_key(part)}" for part in self.parts]
        return "".join(visible(each, 70) for each in written).removeprefix(".")

    @property
    def name(self) -> str:
        """The last part, as it was written."""
        return str(self.parts[-1])


def shown(value: object) -> str:
    """A value as a message shows it: short, on one line, harmless."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return "a number with very many digits"
        case int() | float():
            return str(value)
        case str():
            return visible(repr(value), 70)
        case Mapping():
            return "a table"
        case Sequence():
            return "a list" if value else "an empty list"
    return "a date or a time"


def wrong(at: Place, expected: str, value: object, *, hint: str | None = None) -> ConfigError:
    """The error for a value that is not what was expected."""
    return ConfigError(f"{at}: expected {expected}, got {shown(value)}", hint=hint)


@data
class Kind(ABC):
    """What a value can be."""

    @property
    @abstractmethod
    def expects(self) -> str:
        """In words: "a whole number of at least 1"."""

    @abstractmethod
    def read(self, value: object, at: Place) -> Any:
        """The value as the spec holds it; ConfigError where it is not of this kind."""

    def plain(self, value: Any) -> object:
        """A value of the spec as TOML holds it."""
        return value


@data
class Flag(Kind):
    """`true` or `false`."""

    @property
    def expects(self) -> str:
        """In words."""
        return "true or false"

    def read(self, value: object, at: Place) -> bool:
        """A boolean; no number stands for one."""
        if not isinstance(value, bool):
            raise wrong(at, self.expects, value)
        return value


@data
class Whole(Kind):
    """A whole number within a range."""

    least: int
    most: int

    @property
    def expects(self) -> str:
        """In words."""
        return f"a whole number of at least {self.least}"

    def read(self, value: object, at: Place) -> int:
        """A whole number; a boolean is none."""
        if not isinstance(value, int) or isinstance(value, bool) or value < self.least:
            raise wrong(at, self.expects, value)
        if value > self.most:
            raise wrong(at, f"a whole number of at most {self.most:,}", value)
        return value


@data
class WholeOr(Kind):
    """A whole number, or a word in its place, which the spec holds as None."""

    number: Whole
    word: str

    @property
    def expects(self) -> str:
        """In words."""
        return f'{self.number.expects} or "{self.word}"'

    def read(self, value: object, at: Place) -> int | None:
        """The number, or None for the word."""
        if value == self.word:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return self.number.read(value, at)
        raise wrong(at, self.expects, value)

    def plain(self, value: int | None) -> object:
        """The number or the word."""
        return self.word if value is None else value


@data
class Number(Kind):
    """A finite number within a range."""

    least: float
    most: float
    unit: str = ""

    @property
    def expects(self) -> str:
        """In words."""
        return self._range(f"of at least {self.least:g}")

    @property
    def _what(self) -> str:
        return f"a number of {self.unit}" if self.unit else "a number"

    def read(self, value: object, at: Place) -> float:
        """A finite number; neither a boolean, nor NaN, nor infinity."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong(at, self.expects, value)
        if isinstance(value, float) and not math.isfinite(value):
            raise wrong(at, f"a finite {self._what.removeprefix('a ')}", value)
        if value < self.least:
            raise wrong(at, self.expects, value)
        if value > self.most:
            raise wrong(at, self._range(f"of at most {self.most:,.12g}"), value)
        return float(value)

    def _range(self, bound: str) -> str:
        if self.most <= 1:  # a larger bound only keeps out what nobody means
            bound = f"from {self.least:g} to {self.most:g}"
        return f"{self._what} {bound}"


@data
class Text(Kind):
    """Text on one line that a rule (see `core.names`) has nothing against."""

    what: str = "text"
    problem: Callable[[str], str | None] = text_problem
    placeholders: tuple[str, ...] = ()

    @property
    def expects(self) -> str:
        """In words."""
        return self.what

    def read(self, value: object, at: Place) -> str:
        """The text."""
        text = any_text(value, at, self.expects)
        if problem := self.problem(text):
            raise ConfigError(f"{at}: {problem}; got {shown(text)}")
        if self.placeholders:
            check_placeholders([text], at, self.placeholders)
        return text


@data
class Choice(Kind):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def expects(self) -> str:
        """In words."""
        return f"{', '.join(map(toml_string, self.words[:-1]))} or {toml_string(self.words[-1])}"

    def read(self, value: object, at: Place) -> str:
        """The word."""
        if not isinstance(value, str) or value not in self.words:
            guess = did_you_mean(value, self.words) if isinstance(value, str) else ""
            raise ConfigError(f"{at}: expected {self.expects}, got {shown(value)}{guess}")
        return value


@data
class Memory(Kind):
    """An amount of memory, such as "16 GB"; the spec holds bytes."""

    @property
    def expects(self) -> str:
        """In words."""
        return 'an amount such as "16 GB" or "512 MiB"'

    def read(self, value: object, at: Place) -> int:
        """The amount in bytes."""
        found = re.fullmatch(r"([0-9]{1,19}) ?([A-Za-z]{1,3})", value) if isinstance(value, str) else None
        amount = int(found[1]) * SIZES.get(found[2], 0) if found else 0
        if not 0 < amount < 2**60:
            raise wrong(at, self.expects, value)
        return amount

    def plain(self, value: int) -> object:
        """The amount with its unit."""
        return f"{value} B"


def any_text(value: object, at: Place, expected: str = "text", *, hint: str | None = None) -> str:
    """Text of any form that a process can be given; ConfigError for what is not."""
    if not isinstance(value, str):
        raise wrong(at, expected, value, hint=hint)
    if "\0" in value:
        raise ConfigError(f"{at}: text cannot hold a NUL character")
    if len(value) > LONGEST_TEXT:
        raise ConfigError(f"{at}: text of {len(value):,} characters is longer than {LONGEST_TEXT:,}")
    return value


def check_placeholders(argv: Sequence[str], at: Place, known: Sequence[str]) -> None:
    """ConfigError for the first placeholder that nothing is known of."""
    written = [f"{{{name}}}" for name in known]
    for name in sorted(uses(argv) - set(known)):
        placeholder = f"{{{name}}}"
        raise ConfigError(
            f"{at}: unknown placeholder `{visible(placeholder, 40)}`{did_you_mean(placeholder, written)}",
            hint=f"known: {' '.join(written)}; for the text itself, double both braces",
        )
