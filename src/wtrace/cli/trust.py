"""`wtrace trust`: show and approve the commands of this repo's config."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from wtrace.cli.common import ConfigOption, find_root, read_config
from wtrace.core import trust as approved
from wtrace.errors import TrustError
from wtrace.store import trusted

if TYPE_CHECKING:
    from pathlib import Path

    from wtrace.core.spec import RaceSpec


def trust(config: ConfigOption = None) -> None:
    """Show the commands that this repo's config starts, and approve them. A changed command asks again."""
    root = find_root()
    spec = read_config(root, config)
    _show(spec)
    trusted.trust(root, approved.digest(spec))
    print("approved for this repo, until one of them changes")


def ask_for_trust(root: Path, spec: RaceSpec, *, approve: bool, may_ask: bool = True) -> None:
    """Return when this user has approved the commands, or does so now. TrustError otherwise; nothing was started.

    `may_ask`: whether the question may be put, on a terminal.
    """
    if approve:
        return
    digest = approved.digest(spec)
    if trusted.is_trusted(root, digest):
        return
    if not (may_ask and sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrustError(
            "the commands of this config have not been approved by you",
            hint="`wtrace trust` shows and approves them; on a machine of your own: --trust, or WTRACE_TRUST=1",
        )
    _show(spec)
    if not typer.confirm("Approve these commands for this repo?"):
        raise TrustError("not approved; nothing was started")
    trusted.trust(root, digest)


def _show(spec: RaceSpec) -> None:
    for line in approved.approved_parts(spec):
        print(line)
