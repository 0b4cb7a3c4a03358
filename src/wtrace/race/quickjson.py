"""JSON for `wtrace status`, which must answer at once: importing `json`, with `re` behind it, costs as much as all else.

CPython's `json` does its work in the C module `_json`, which is used here directly; where there is none, `json` itself
is. What comes out is the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    encode_basestring_ascii: Callable[[str], str] | None
    make_scanner: Callable[[Any], Callable[[str, int], tuple[Any, int]]] | None
else:
    try:
        from _json import encode_basestring_ascii, make_scanner
    except ImportError:  # another Python than CPython
        encode_basestring_ascii = make_scanner = None


class _Context:
    """What the scanner is told: a strict reading, and what to make of objects."""

    strict = True
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float

    def __init__(self, object_hook: Callable[[dict[str, Any]], Any] | None) -> None:
        self.object_hook = object_hook


def loads(text: str, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The value of a JSON text, as `json.loads` gives it. ValueError where it is none."""
    if make_scanner is None:
        import json

        return json.loads(text, object_hook=object_hook)
    text = text.strip(" \t\n\r")
    try:
        value, end = make_scanner(_Context(object_hook))(text, 0)
    except StopIteration as error:
        raise ValueError("not JSON") from error
    if end != len(text):
        raise ValueError("something follows the JSON value")
    return value


def dumps(value: Any) -> str:
    """The value as JSON in ASCII, as `json.dumps(value, allow_nan=False)` writes it. ValueError for NaN and infinity."""
    if encode_basestring_ascii is None:
        import json

        return json.dumps(value, allow_nan=False)
    return _written(value, encode_basestring_ascii)


def _written(value: Any, quoted: Callable[[str], str]) -> str:
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError("JSON has no number for it")
        return float.__repr__(value)
    if isinstance(value, dict):
        pairs = (f"{quoted(key)}: {_written(each, quoted)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    return f"[{', '.join(_written(each, quoted) for each in value)}]"
