"""`wtrace init`: write a commented `wtrace.toml` for this repo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import CONFIG_NAME, find_root
from wtrace.core.text import plain
from wtrace.errors import ToolError, UsageError

if TYPE_CHECKING:
    from wtrace.repo.survey import Chosen, Survey


def init(
    from_branches: Annotated[
        list[str] | None,
        typer.Option(
            "--from-branches",
            metavar="PATTERN",
            help="A worker for each branch that matches, `exp/*` for instance; repeatable.",
        ),
    ] = None,
) -> None:
    """Write a commented wtrace.toml from the branches and training scripts of this repo; never overwrites one."""
    from wtrace.repo.survey import choose, survey

    root = find_root()
    path = root / CONFIG_NAME
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", hint="edit it, or move it away first")
    found = survey(root)
    chosen = choose(found, from_branches) if from_branches else None
    text = _text(found, chosen)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ToolError(f"cannot write {path}", seen=str(error)) from error
    _tell(found, chosen)
    print(plain(f"wrote {path}: edit the criteria and the commands, then `wtrace run`"))


def _text(found: Survey, chosen: Chosen | None) -> str:
    from wtrace.core.template import MOST_WORKERS, config_template

    script = found.scripts[0] if found.scripts else None
    return config_template(
        name=found.root.name,
        base=found.base,
        branches=found.racing if chosen is None else chosen.branches,
        script=None if script is None else script.path,
        options=() if script is None else script.options,
        framework=None if script is None else script.framework,
        metrics=None if script is None else script.metrics,
        most_workers=MOST_WORKERS if chosen is None else len(chosen.branches),
    )


def _tell(found: Survey, chosen: Chosen | None) -> None:
    if found.scripts:
        guess = found.scripts[0].metrics
        source = (
            "" if guess is None else f", and that its metrics are read from {guess.source} ({guess.sign})"
        )
        print(plain(f"assumed that {found.scripts[0].path} is the training{source}"))
    if chosen is not None:
        count = len(chosen.branches)
        print(f"{count} worker{'' if count == 1 else 's'}, one for each branch that matches")
        for name, why in chosen.left_out.items():
            print(plain(f"left out {name}: {why}"))
