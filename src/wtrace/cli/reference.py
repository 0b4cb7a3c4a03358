"""The page of the commands, written from the commands themselves."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import typer.main

from wtrace.cli.app import EXAMPLES, command_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HEAD = """# Commands

Written from the code; `python -m wtrace.cli.reference > docs/reference/commands.md` writes it again.
Options follow the subcommand. From a subfolder or a linked worktree the main worktree's config and `.wtrace/` are used.

| exit code | means |
| --- | --- |
| 0 | `run`: a winner (with `--detach`, or left running: started); other commands: done, answered |
| 1 | `run`: the race ended without a winner, also when another command stopped it |
| 2 | a mistake in usage or config, or the commands are not approved; nothing was started |
| 3 | a bug, or the race lost its supervisor; the message names a log |
| 4 | a tool that wtrace needs failed |
| 130 | this command was interrupted and stopped the race |

`wtrace --install-completion` lets the shell complete commands, options, workers and races.
"""


def commands_reference() -> str:
    """`docs/reference/commands.md`: every command with its arguments and options."""
    group: Any = typer.main.get_command(command_line())
    parts = [HEAD, *(_command(name, command) for name, command in group.commands.items())]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    usage = " ".join(["wtrace", name, *_usage(command)])
    rows = list(_rows(command))
    table = ["", "| option | what it does |", "| --- | --- |", *rows] if rows else []
    shown = [f"{typed}  # {told}" for typed, told in EXAMPLES.get(name, ())]
    examples = ["", "```sh", *shown, "```"] if shown else []
    return "\n".join([f"## `{usage}`", "", inspect.cleandoc(command.help or ""), *table, *examples, ""])


def _usage(command: Any) -> Iterator[str]:
    if any(parameter.param_type_name == "option" for parameter in command.params):
        yield "[OPTIONS]"
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            yield parameter.make_metavar() if not parameter.metavar else parameter.metavar


def _rows(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len))
            value = f" {parameter.metavar}" if parameter.metavar else ""
            yield f"| {names}{value} | {parameter.help or ''} |"


if __name__ == "__main__":
    print(commands_reference(), end="")
