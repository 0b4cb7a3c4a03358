"""From the text of `wtrace.toml` to a `RaceSpec`, and back.

Whatever the text holds, the only error is a ConfigError that begins with the place of the mistake.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from wtrace.config import kinds, rules
from wtrace.config.kinds import Place, Whole, shown
from wtrace.config.names import did_you_mean, nearest
from wtrace.config.schema import Table, as_table, read_keys, refuse_unknown, write_keys
from wtrace.config.spec import RaceSpec, WorkerSpec
from wtrace.config.tables import DEFAULTS, EPOCHS, RACE, TABLES, WORKERS
from wtrace.data import replace
from wtrace.errors import ConfigError, UsageError
from wtrace.text import plain as visible

LONGEST_FILE = 1_000_000  # characters


def parse(text: str, *, source: str = "wtrace.toml", recorded: bool = False) -> RaceSpec:
    """The race that a config describes, every default filled in. `source` is the file's name in messages.

    `recorded`: of a race that was started once, so that what is only unwise is no mistake any more.
    """
    content: Mapping[str, object] = _toml(text, source)
    _refuse_unknown_tables(content)
    fields: dict[str, Any] = {}
    content = _with_defaults(content)
    for table in TABLES:
        if table is not DEFAULTS:
            fields |= _read_table(table, content.get(table.name))
    spec = RaceSpec(**fields)
    rules.check(spec)
    if not recorded:
        rules.check_plan(spec)
    return spec


def dump(spec: RaceSpec) -> str:
    """The race as TOML: `parse(dump(spec), recorded=True) == spec`. Defaults are written out, so that they stay what they were."""
    parts: list[str] = []
    for table in TABLES:  # what `[defaults]` said stands in the workers
        for heading, content in _written(table, spec):
            lines = [f"{kinds.toml_key(name)} = {kinds.toml_value(value)}" for name, value in content.items()]
            parts.append("\n".join([f"[{heading}]", *lines]) + "\n")
    return "\n".join(parts)


def override(
    spec: RaceSpec,
    *,
    check_every: int | None = None,
    max_epochs: int | None = None,
    workers: Sequence[str] = (),
) -> RaceSpec:
    """The race with the options of `wtrace run` applied; `max_epochs` also caps the workers' own.

    UsageError for a number out of range, an unknown worker, or a race that nobody can win then.
    """
    if check_every is not None:
        spec = replace(spec, check_every=_option(EPOCHS, "--check-every", check_every))
    if max_epochs is not None:
        most = _option(EPOCHS, "--max-epochs", max_epochs)
        capped = tuple(_capped(worker, most) for worker in spec.workers)
        spec = replace(spec, max_epochs=most, workers=capped)
    if workers:
        return _only(spec, workers)
    if check_every is not None or max_epochs is not None:
        _check_again(spec, "--check-every" if max_epochs is None else "--max-epochs")
    return spec


def _toml(text: str, source: str) -> dict[str, object]:
    if len(text) > LONGEST_FILE:
        raise ConfigError(f"{source}: longer than {LONGEST_FILE:,} characters")
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError:
        raise ConfigError(f"{source}: not text in UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply") from None
    except ValueError as error:
        raise _syntax_error(text, source, str(error)) from None


def _syntax_error(text: str, source: str, message: str) -> ConfigError:
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL)
    if message.startswith("Exceeds the limit"):  # Python's own, on the digits of a number
        return ConfigError(f"{source}: not valid TOML: a number has too many digits")
    if found is None:
        return ConfigError(f"{source}: not valid TOML: {visible(message, 200)}")
    line = text.replace("\r\n", "\n").split("\n")[int(found[2]) - 1]
    return ConfigError(
        f"{source}: line {found[2]}, column {found[3]}: not valid TOML: {visible(found[1], 200)}",
        seen=visible(line.strip(), 100),
    )


def _refuse_unknown_tables(content: Mapping[str, object]) -> None:
    known = [table.name for table in TABLES]
    race_keys = [key.name for key in RACE.keys]
    for name, value in content.items():
        if name in known or isinstance(value, dict) or nearest(name, known):
            continue
        if guess := nearest(name, race_keys):
            raise ConfigError(
                f"unknown key `{visible(name, 70)}` outside of any table; did you mean `{guess}` in [race]?"
            )
    refuse_unknown(content, known, Place())


def _with_defaults(content: Mapping[str, object]) -> Mapping[str, object]:
    """The content with the keys of `[defaults]` in every worker that has none of its own. They are looked at even if nobody needs them."""
    at = Place((DEFAULTS.name,))
    defaults = as_table(content.get(DEFAULTS.name, {}), at)
    known = {key.name: key for key in WORKERS.keys}
    refuse_unknown(defaults, list(known), at)
    for name, value in defaults.items():
        known[name].kind.read(value, at / name)
    workers = content.get(WORKERS.name)
    if not defaults or not isinstance(workers, dict):
        return content
    return {**content, WORKERS.name: {name: _filled(defaults, worker) for name, worker in workers.items()}}


def _filled(defaults: Mapping[str, object], worker: object) -> object:
    if not isinstance(worker, dict):
        return worker
    filled = {**defaults, **worker}
    common, own = defaults.get("env"), worker.get("env")
    if isinstance(common, dict) and isinstance(own, dict):
        filled["env"] = {**common, **own}
    return filled


def _read_table(table: Table, given: object) -> dict[str, Any]:
    at = Place((table.name,))
    content = as_table({} if given is None else given, at)
    if table.entry is not None or table.each:
        read_one = _read_entry if table.entry is not None else _read_named
        fields: dict[str, Any] = {
            table.name: tuple(read_one(table, at / name, value) for name, value in content.items())
        }
    elif table.optional and given is None:
        fields = {table.name: None}
    else:
        values = read_keys(table.keys, content, at)
        fields = values if table.spec is None else {table.name: table.spec(**values)}
    return fields


def _read_entry(table: Table, at: Place, value: object) -> object:
    assert table.entry is not None
    return table.entry.read(value, at)


def _read_named(table: Table, at: Place, value: object) -> object:
    assert table.spec is not None
    if not isinstance(value, dict):
        raise ConfigError(f"{at}: expected a table {table.heading}, got {shown(value)}")
    if table.name_problem is not None and (problem := table.name_problem(at.name)):
        raise ConfigError(f"{at}: {problem}; got the name {shown(at.name)}")
    return table.spec(name=at.name, **read_keys(table.keys, value, at))


def _written(table: Table, spec: RaceSpec) -> list[tuple[str, Mapping[str, object]]]:
    if table is DEFAULTS:
        return []
    if table.entry is not None:
        entries = getattr(spec, table.name)
        return [(table.name, {each.name: table.entry.plain(each) for each in entries})] if entries else []
    if table.each:
        return [
            (f"{table.name}.{kinds.toml_key(each.name)}", write_keys(table.keys, each))
            for each in getattr(spec, table.name)
        ]
    holder = spec if table.spec is None else getattr(spec, table.name)
    content = {} if holder is None else write_keys(table.keys, holder)
    return [(table.name, content)] if content else []


def _option(kind: Whole, name: str, value: int) -> int:
    try:
        return kind.read(value, Place((name,)))
    except ConfigError as error:
        raise UsageError(error.what) from None


def _capped(worker: WorkerSpec, most: int) -> WorkerSpec:
    if worker.max_epochs is None or worker.max_epochs <= most:
        return worker
    return replace(worker, max_epochs=most)


def _only(spec: RaceSpec, names: Sequence[str]) -> RaceSpec:
    known = [worker.name for worker in spec.workers]
    for name in names:
        if name not in known:
            raise UsageError(
                f"no worker is called `{visible(name, 70)}`{did_you_mean(name, known)}",
                hint=f"the workers are: {', '.join(known)}",
            )
    chosen = replace(spec, workers=tuple(worker for worker in spec.workers if worker.name in names))
    _check_again(chosen, "--worker")
    return chosen


def _check_again(spec: RaceSpec, option: str) -> None:
    """UsageError where an option makes of a sound config one that is none."""
    try:
        rules.check(spec)
        rules.check_plan(spec)
    except ConfigError as error:
        raise UsageError(f"{option}: {error.what}", hint=error.hint) from None
