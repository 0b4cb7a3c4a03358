"""The page docs/reference/config.md, written from the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.config import kinds
from wtrace.config.compound_kinds import MetricsTable, RunnerSettings
from wtrace.config.engines import SETTINGS
from wtrace.config.placeholders import PLACEHOLDERS
from wtrace.config.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.config.schema import Key, Table

INTRODUCTION = """\
# wtrace.toml

The config of a race lies at the root of the repo, or where `--config FILE` says. It is
[TOML](https://toml.io). `wtrace init` writes one to begin with.

Required are `[race] name`, one criterion in `[success]`, and one `[workers.NAME]` with `branch` and `command`
(the command may stand in `[defaults]`, for all).
All else has a default. A key that is not on this page is a mistake, and the message names the nearest one that is.
"""

COMMANDS = """\
## Commands

A command is a list of arguments: `["python", "train.py", "--epochs", "{max_epochs}"]`. There is no shell, hence no
quoting, no `$VARIABLE` and no `*`; where you need them, name the shell: `["sh", "-c", "…"]`.

A first argument that is exactly `python` means the Python that the worktree selects: its own `.venv` if it has one,
else the one that runs wtrace.

These placeholders are filled in, anywhere in an argument:

| placeholder | is replaced by |
| --- | --- |
"""

BRACES = """
Only a name between braces is a placeholder, and an unknown one is a mistake. Every other brace stands for itself:
JSON and code, such as `{"lr": {"start": 0.1}}`, need no escapes. For a name between braces as it is, double both
braces: `{{output}}` becomes `{output}`. What is filled in is not searched for placeholders again.
"""


def config_reference(tables: Sequence[Table] = TABLES) -> str:
    """The whole page, in Markdown."""
    sections = [_section(table) for table in tables]
    rows = "".join(f"| `{{{name}}}` | {doc} |\n" for name, doc in PLACEHOLDERS.items())
    return "\n".join([INTRODUCTION, *sections, COMMANDS]) + rows + BRACES


def _section(table: Table) -> str:
    notes = ["The whole table may be left out."] if table.optional else []
    text = f"## `{table.heading}`\n\n{' '.join([table.doc, *notes])}\n"
    if table.entry is not None:
        settings = _settings() if isinstance(table.entry, RunnerSettings) else ""
        return f"{text}\nEach value: {table.entry.expects}.\n{settings}"
    if not table.keys:
        return text
    return f"{text}\n{_key_table(_with_inner(table.keys))}"


def _settings() -> str:
    rows = [
        f"| {engine} | `{name}` | {doc} |"
        for engine, known in SETTINGS.items()
        for name, doc in known.items()
    ]
    return "\n".join(["", "| engine | setting | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _with_inner(keys: Iterable[Key]) -> Iterable[tuple[str, Key]]:
    for key in keys:
        yield key.name, key
        if isinstance(key.kind, MetricsTable):
            yield from ((f"{key.name}.{inner.name}", inner) for inner in key.kind.keys)


def _key_table(keys: Iterable[tuple[str, Key]]) -> str:
    rows = [f"| `{name}` | {key.kind.expects} | {_default(key)} | {key.doc} |" for name, key in keys]
    return "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _default(key: Key) -> str:
    if key.required:
        return "*required*"
    return key.absent or f"`{kinds.toml_value(key.kind.plain(key.default))}`"
