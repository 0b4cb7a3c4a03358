"""`wtrace run`: run the race and show it live."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli import common
from wtrace.cli.common import (
    ConfigOption,
    JsonOption,
    TrustOption,
    find_root,
    latest_standing,
    print_left_running,
    read_config,
    require_trust,
)
from wtrace.cli.terminal.interrupts import Interrupted, Left, StopChosen, interrupts
from wtrace.errors import UsageError
from wtrace.race.paths import Layout
from wtrace.store import home
from wtrace.text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.config.spec import RaceSpec
    from wtrace.git.worktrees import Prepared
    from wtrace.race.status import Standing

WON, NOT_WON, SUPERVISOR_GONE, INTERRUPTED = 0, 1, 3, 130


def run(
    config: ConfigOption = None,
    check_every: Annotated[
        int | None, typer.Option("--check-every", metavar="N", min=1, help="Judge every N epochs.")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option("--max-epochs", metavar="N", min=1, help="Train at most N epochs.")
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            "--worker",
            metavar="NAME",
            help="Only this worker; repeatable.",
            autocompletion=common.configured,
        ),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start the race and leave it running.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Take up the newest race again, whose supervisor is gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would start where; start nothing.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Refuse a worker that runs code from outside of its worktree."),
    ] = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> int:
    """Run the race: first branch to pass every criterion wins, the others are ended.

    The race runs apart from this terminal: closing it leaves the race running, and `wtrace watch` finds it again.
    Exit code 0: a winner; 1: none; 2: a mistake in usage or config; 130: interrupted here, and the race stopped.
    """
    root = find_root()
    if resume and strict:
        raise UsageError(
            "--strict is settled when a race starts", hint="a race that is resumed is as strict as it was"
        )
    if resume:
        return _resume(root, trust=trust, as_json=as_json, detach=detach)
    from wtrace.config import load as configs

    given = read_config(root, config)
    spec = configs.override(
        given, check_every=check_every, max_epochs=max_epochs, workers=tuple(worker or ())
    )
    if dry_run:
        _tell_plan(root, spec, as_json=as_json)
        return 0
    require_trust(root, given, approve=trust, may_ask=not as_json)
    return run_race(root, spec, as_json=as_json, detach=detach, strict=strict)


def _tell_plan(root: Path, spec: RaceSpec, *, as_json: bool) -> None:
    if as_json:
        from wtrace.cli.commands.dry_run import plan_json

        print(json.dumps(plan_json(root, spec), allow_nan=False))
    else:
        from wtrace.cli.commands.dry_run import print_plan

        print_plan(root, spec)


def run_race(
    root: Path, spec: RaceSpec, *, as_json: bool = False, detach: bool = False, strict: bool = False
) -> int:
    """Start a race that the user has approved, show it to its end, and offer the merge; the exit code of `wtrace run`."""
    from wtrace.supervisor import run as race

    with interrupts():  # from the first moment: a race that has begun is never left by accident
        try:
            race_id = race.start(
                root, spec, told=_silent if as_json else _tell_setup, warned=_warn, strict=strict
            )
        except Interrupted:
            return _interrupted_start(root, as_json=as_json)
        return _follow(root, race_id, as_json=as_json, detach=detach)


def _interrupted_start(root: Path, *, as_json: bool) -> int:
    """Asked to leave while the race was set up, or in the moment in which it was handed over."""
    layout = Layout(root)
    if home.is_locked(layout):
        return _interrupted(root, home.who_holds(layout), as_json=as_json)
    print("interrupted; no race was started", file=sys.stderr)
    return INTERRUPTED


def _resume(root: Path, *, trust: bool, as_json: bool, detach: bool) -> int:
    from wtrace.supervisor import run as race

    def approved(recorded: RaceSpec, race_id: str) -> None:
        require_trust(root, recorded, approve=trust, may_ask=not as_json, race_id=race_id)

    with interrupts():
        try:
            race_id = race.resume(root, approved=approved, warned=_warn)
        except Interrupted:
            return _interrupted_start(root, as_json=as_json)
        return _follow(root, race_id, as_json=as_json, detach=detach)


def _tell_setup(made: Prepared) -> None:
    from wtrace.cli.commands.worktrees import describe

    for line in describe(made):
        print(line)


def _warn(line: str) -> None:
    print(plain(f"warning: {line}"), file=sys.stderr)


def _silent(_made: Prepared) -> None:
    """With --json nothing but the object is printed."""


def _follow(root: Path, race_id: str, *, as_json: bool, detach: bool) -> int:
    if detach:
        if as_json:
            _print_json(root, latest_standing(root, race_id))
        else:
            print_left_running(race_id)
        return WON
    from wtrace.cli.terminal import viewer

    try:
        standing = viewer.view_silently(root, race_id) if as_json else viewer.view(root, race_id)
    except Left:
        print_left_running(race_id)
        return WON
    except Interrupted as interrupt:
        return _interrupted(root, race_id, as_json=as_json, asked=isinstance(interrupt, StopChosen))
    return _tell_outcome(root, standing, as_json=as_json)


def _tell_outcome(root: Path, standing: Standing, *, as_json: bool) -> int:
    if as_json:
        _print_json(root, standing)
    else:
        from wtrace.cli.terminal.viewer import print_outcome

        print_outcome(root, standing)
        _offer_merge(root, standing)
    if standing.ended is None:
        log = Layout(root).race(standing.id).log
        print(plain(f"error: the race's supervisor is gone; its log is {log}"), file=sys.stderr)
        print("  try: `wtrace run --resume` takes the race up again", file=sys.stderr)
        return SUPERVISOR_GONE
    return WON if standing.winner is not None else NOT_WON


def _offer_merge(root: Path, standing: Standing) -> None:
    if standing.winner is not None and standing.ended is not None:
        from wtrace.cli.commands.merge import offer_merge

        offer_merge(root, standing)


def _interrupted(root: Path, race_id: str, *, as_json: bool, asked: bool = False) -> int:
    """Ctrl-C: on a terminal the user is asked, once; elsewhere the race is stopped, with nobody left over."""
    if not asked and not as_json and sys.stdin.isatty() and sys.stdout.isatty() and not _wants_stop():
        print_left_running(race_id)
        return WON
    from wtrace.cli.commands.stop import end_race

    standing = end_race(root, race_id, by=f"an interrupt of wtrace run (process {os.getpid()})")
    _tell_outcome(root, standing, as_json=as_json)
    return INTERRUPTED


def _wants_stop() -> bool:
    try:
        answer = typer.prompt(
            "Stop the race, or leave it running? [stop/leave]", default="leave", show_default=True
        )
    except (typer.Abort, KeyboardInterrupt):
        print()
        return False
    return str(answer).strip().lower() in {"s", "stop"}


def _print_json(root: Path, standing: Standing | None) -> None:
    from wtrace.mirror import brief
    from wtrace.race.status_json import status_json

    rows = [] if standing is None else brief.read(str(Layout(root).race(standing.id).folder))
    print(json.dumps(status_json(standing, brief.to_json(rows)), ensure_ascii=True, allow_nan=False))
