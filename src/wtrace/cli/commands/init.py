"""`wtrace init`: write a commented `wtrace.toml` for this repo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import CONFIG_NAME, find_root, regular
from wtrace.errors import ToolError, UsageError
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.config.template import Guess, Suggestion
    from wtrace.git.scan import Chosen, Survey

MOST_LOGS = 5


def init(
    from_branches: Annotated[
        list[str] | None,
        typer.Option(
            "--from-branches",
            metavar="PATTERN",
            help="A worker for each branch that matches, `exp/*` for instance; repeatable.",
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="A log or metrics file of a training: how to read it is written too.",
        ),
    ] = None,
) -> None:
    """Write a commented wtrace.toml from the branches and training scripts of this repo; never overwrites one."""
    from wtrace.git.scan import choose, survey

    root = find_root()
    path = root / CONFIG_NAME
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already", hint="edit it, or move it away first")
    found = survey(root)
    chosen = choose(found, from_branches) if from_branches else None
    metrics = _metrics(found, log)
    text = _text(found, chosen, metrics)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ToolError(f"cannot write {path}", seen=str(error)) from error
    _tell(found, chosen, metrics)
    print(plain(f"wrote {path}: edit the criteria and the commands, then `wtrace run`"))


def _metrics(found: Survey, log: str | None) -> Guess | Suggestion | None:
    """Where metrics come from: as the log that is named shows, else by the script, else as a log shows that lies there."""
    from wtrace.cli.commands.try_sources import suggested
    from wtrace.git.scan import logs

    if log is not None:
        seen = suggested(found.root, regular(log), log)
        if seen is None:
            raise UsageError(
                f"nothing in {log} looks like metrics", hint=f"`wtrace try {log}` shows what it holds"
            )
        return seen
    script = found.scripts[0] if found.scripts else None
    if script is not None and (script.reports or script.metrics is not None):
        return script.metrics
    some = (
        suggested(found.root, path, str(path.relative_to(found.root)))
        for path in logs(found.root)[:MOST_LOGS]
    )
    return next((seen for seen in some if seen is not None), None)


def _text(found: Survey, chosen: Chosen | None, metrics: Guess | Suggestion | None) -> str:
    from wtrace.config.template import MOST_WORKERS, config_template

    script = found.scripts[0] if found.scripts else None
    return config_template(
        name=found.root.name,
        base=found.base,
        branches=found.racing if chosen is None else chosen.branches,
        script=None if script is None else script.path,
        options=() if script is None else script.options,
        framework=None if script is None else script.framework,
        metrics=metrics,
        most_workers=MOST_WORKERS if chosen is None else len(chosen.branches),
    )


def _tell(found: Survey, chosen: Chosen | None, metrics: Guess | Suggestion | None) -> None:
    source = "" if metrics is None else f"its metrics are read from {metrics.told}"
    if found.scripts:
        and_source = f", and that {source}" if source else ""
        print(plain(f"assumed that {found.scripts[0].path} is the training{and_source}"))
    elif source:
        print(plain(f"assumed that {source}"))
    if chosen is not None:
        count = len(chosen.branches)
        print(f"{count} worker{'' if count == 1 else 's'}, one for each branch that matches")
        for name, why in chosen.left_out.items():
            print(plain(f"left out {name}: {why}"))
