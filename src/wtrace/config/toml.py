"""Text in TOML: what the standard library reads but does not write.

Whatever cannot be seen in a terminal (control characters, bidirectional marks) is written as an escape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def string(text: str) -> str:
    """`text` as a TOML basic string on one line."""
    return f'"{"".join(_escaped(char) for char in text)}"'


def key(name: str) -> str:
    """`name` as a TOML key: bare where that is possible."""
    return name if BARE_KEY.fullmatch(name) else string(name)


def value(plain: object) -> str:
    """A string, number, boolean, sequence or mapping of these as a TOML value on one line."""
    match plain:
        case bool():
            return "true" if plain else "false"
        case int():
            return str(plain)
        case float():
            return repr(plain) if math.isfinite(plain) else str(plain)
        case str():
            return string(plain)
        case Mapping():
            inside = ", ".join(f"{key(name)} = {value(each)}" for name, each in plain.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(value(each) for each in plain)}]"
    raise TypeError(f"TOML has no form for {type(plain).__name__}")


def written(plain: object) -> str:
    """As `value`, but text with backslashes in single quotes, as people write patterns."""
    if not isinstance(plain, str) or "\\" not in plain or not plain.isprintable():
        return value(plain)
    if "'" not in plain:
        return f"'{plain}'"
    return value(plain) if "'''" in plain or plain.endswith("'") else f"'''{plain}'''"


def _escaped(char: str) -> str:
    if char in ESCAPES:
        return ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
