"""`wtrace trust`: show and approve the commands of this repo's config."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import ConfigOption, find_root, read_config
from wtrace.errors import TrustError
from wtrace.store import approvals
from wtrace.supervisor import approval

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.config.spec import RaceSpec

CHANGED = "it changed while it was shown; nothing was approved"


def trust(
    yes: Annotated[
        bool, typer.Option("--yes", help="Approve without asking, also without a terminal.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show what this repo's config starts, and ask for approval. Without a terminal it only shows, unless --yes.

    A command that changes asks again.
    """
    root = find_root()
    spec = read_config(root, config)
    digest = approval.digest(root, spec)
    _show(root, spec)
    if yes:
        _approve(root, spec, digest)
    elif not _is_at_a_terminal():
        print(
            "nothing was approved: there is no terminal to ask at; `wtrace trust --yes` approves",
            file=sys.stderr,
        )
        return
    elif typer.confirm("Approve this for this repo?"):
        _approve(root, spec, digest)
    else:
        raise TrustError("not approved")
    print("approved for this repo, until one of them changes")


def ask_for_trust(
    root: Path, spec: RaceSpec, *, approve: bool, may_ask: bool = True, race_id: str | None = None
) -> None:
    """Return when this user has approved the commands, or does so now. TrustError otherwise; nothing was started.

    `may_ask`: whether the question may be put, on a terminal. `race_id`: the commands are those of that race's record,
    which are approved also by having been started here.
    """
    if approve:
        return
    digest = approval.digest(root, spec)
    if approvals.is_trusted(root, digest):
        return
    if race_id is not None and approvals.was_started(root, race_id, digest):
        return
    if not (may_ask and _is_at_a_terminal()):
        raise _unapproved(race_id)
    _show(root, spec)
    if not typer.confirm("Approve this for this repo?"):
        raise TrustError("not approved; nothing was started")
    _approve(root, spec, digest)


def _unapproved(race_id: str | None) -> TrustError:
    if race_id is not None:
        return TrustError(
            f"race {race_id} was not started by you on this machine, and what its record starts has not been approved",
            hint="at a terminal `wtrace run --resume` shows it and asks; on a machine of your own: --trust, or WTRACE_TRUST=1",
        )
    return TrustError(
        "the commands of this config have not been approved by you",
        hint="`wtrace trust` shows and approves them; on a machine of your own: --trust, or WTRACE_TRUST=1",
    )


def _approve(root: Path, spec: RaceSpec, shown: str) -> None:
    if approval.digest(root, spec) != shown:  # a file that it names
        raise TrustError(CHANGED)
    approvals.trust(root, shown)


def _is_at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(root: Path, spec: RaceSpec) -> None:
    for line in approval.lines(root, spec):
        print(line)
