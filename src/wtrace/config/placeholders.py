"""The placeholders of a command: `{output}` and its like, filled in without a shell.

Only a name between braces is a placeholder. Every other brace stands for itself, so that JSON and code in an
argument need no escapes: `{"a": {"b": 1}}` is passed on as it is. To pass a name between braces on as it is,
double both braces: `{{output}}` becomes `{output}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLACEHOLDERS = {
    "output": "the worker's output folder, which persists over its attempts",
    "worker": "the worker's name",
    "race": "the race's name",
    "check_every": "epochs between two checks",
    "max_epochs": "how many epochs this worker may train",
    "worktree": "the worker's worktree",
    "metrics": "the file that metrics are appended to",
    "checkpoint": "the frozen copy of the claim's checkpoint, in `[after]` of the winning one; empty in any other command",
}

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
BRACED = re.compile(rf"\{{\{{(?P<literal>{NAME})\}}\}}|\{{(?P<name>{NAME})\}}")


def fill(argv: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The command with its placeholders filled in. A value is never searched for placeholders itself.

    KeyError names a placeholder that `values` lacks.
    """
    return tuple(fill_text(argument, values) for argument in argv)


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """One argument (or a path such as `../{repo}-worktrees`) with its placeholders filled in."""
    return BRACED.sub(lambda found: _filled(found, values), text)


def uses(argv: Sequence[str]) -> set[str]:
    """The names of all placeholders in a command, known or not."""
    return {found["name"] for argument in argv for found in BRACED.finditer(argument) if found["name"]}


def literal(text: str) -> str:
    """An argument that `fill_text` turns into `text`, whatever it holds."""
    return re.sub(rf"\{{{NAME}\}}", lambda found: f"{{{found[0]}}}", text)


def with_python(argv: Sequence[str], python: str) -> tuple[str, ...]:
    """The command with `python` in the place of a first argument that is exactly "python"."""
    return (python, *argv[1:]) if argv and argv[0] == "python" else tuple(argv)


def _filled(found: re.Match[str], values: Mapping[str, str]) -> str:
    name = found["name"]
    return f"{{{found['literal']}}}" if name is None else values[name]
