"""How the schema of `wtrace.toml` is described: keys, tables, and the kinds that are made of them.

The schema itself stands in `core.tables`. Validation, the reference page and every suggestion come from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtrace.config.kinds import Kind, Place, wrong
from wtrace.config.names import did_you_mean
from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.text import plain as visible


@data
class Key:
    """One key. `default` is what the spec holds where the key is missing."""

    name: str
    kind: Kind
    doc: str
    default: Any = None
    field: str = ""  # the spec's attribute, where it is not called as the key is
    required: bool = False
    absent: str = ""  # what a missing key means, where the default is no value of the key's

    @property
    def attribute(self) -> str:
        """The spec's attribute that holds the value."""
        return self.field or self.name


@data
class Table:
    """One table. Its keys go into a `spec` of their own, or, without one, into the race's.
    The race's spec holds what the table gives under the table's name.

    `each`: there is one such table per name, `[workers.NAME]`, and the spec begins with that name.
    `entry`: the keys are the user's own, and each value is of this kind (`[success]`).
    """

    name: str
    doc: str
    keys: tuple[Key, ...] = ()
    spec: Callable[..., Any] | None = None
    each: bool = False
    name_problem: Callable[[str], str | None] | None = None
    entry: Kind | None = None
    optional: bool = False  # a missing table is None in the spec, not a spec of defaults

    @property
    def heading(self) -> str:
        """As it is written in the file: `[workers.NAME]`."""
        return f"[{self.name}.NAME]" if self.each else f"[{self.name}]"


def as_table(value: object, at: Place) -> Mapping[str, object]:
    """The value, which must be a table."""
    if not isinstance(value, dict):
        raise wrong(at, f"a table, [{at}]", value)
    return value


def refuse_unknown(content: Mapping[str, object], known: Sequence[str], at: Place) -> None:
    """ConfigError for the first key that is not in the schema, with the nearest one that is."""
    for name in content:
        if name not in known:
            place = f"{at}: " if at.parts else ""
            raise ConfigError(
                f"{place}unknown key `{visible(name, 70)}`{did_you_mean(name, known)}",
                hint=f"known here: {', '.join(known)}",
            )


def read_keys(keys: Sequence[Key], content: Mapping[str, object], at: Place) -> dict[str, Any]:
    """Attribute to value for all keys of a table; ConfigError for the first mistake."""
    refuse_unknown(content, [key.name for key in keys], at)
    return {key.attribute: _read_key(key, content, at / key.name) for key in keys}


def write_keys(keys: Sequence[Key], spec: object) -> dict[str, object]:
    """Key to TOML value for what the spec holds; keys that are absent, or cannot be given, are left out."""
    written: dict[str, object] = {}
    for key in keys:
        value = getattr(spec, key.attribute)
        is_absent = value is None and key.absent
        if not is_absent:
            written[key.name] = key.kind.plain(value)
    return written


def _read_key(key: Key, content: Mapping[str, object], at: Place) -> Any:
    if key.name not in content:
        if key.required:
            raise ConfigError(f"{at}: missing", hint=f"it is required: {key.kind.expects}")
        return key.default
    return key.kind.read(content[key.name], at)
