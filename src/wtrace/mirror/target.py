"""Where a mirror lies: a host that ssh knows and a folder on it, both checked before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config.names import CONTROL, host_problem, name_problem
from wtrace.config.placeholders import fill_text
from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.mirror import ssh_config as sshconfig
from wtrace.text import plain

if TYPE_CHECKING:
    from wtrace.config.spec import SyncSpec


@data
class Target:
    """A folder on another machine. Made by `resolve` or `address`, which refuse what is not safe to use."""

    name: str
    host: str
    folder: str  # there; relative to the home folder unless it begins with `/`
    every_s: float = 120.0
    results: bool = True
    rsync: str = "rsync"  # the far side's
    ssh_config: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.folder}"


def resolve(spec: SyncSpec, race: str, root: Path) -> Target:
    """The target of `[sync.NAME]` for a race of that name in that repo. UsageError where it could not be used safely."""
    where = f"sync.{spec.name}"
    if problem := name_problem(race):  # it becomes a folder on another machine
        raise UsageError(f"{where}: the race's name cannot be a folder's: {problem}")
    folder = fill_text(spec.path, {"race": race})
    _check(where, spec.host, folder, spec.rsync)
    config = None if spec.ssh_config is None else sshconfig.anchored(root, spec.ssh_config)
    return Target(spec.name, spec.host, folder, spec.every_s, spec.results, spec.rsync, config)


def address(text: str, *, rsync: str = "rsync", ssh_config: Path | None = None) -> Target:
    """The target that `HOST:PATH` names. UsageError where it is not of that form or could not be used safely."""
    host, colon, folder = text.partition(":")
    if not colon:
        raise UsageError(
            f"expected HOST:PATH, got {plain(text, 80) or 'nothing'}",
            hint="HOST is a name that ssh knows, PATH the repo there, such as ec2:work/repo",
        )
    _check("the target", host, folder, rsync)
    return Target(host, host, folder, rsync=rsync, ssh_config=ssh_config)


def _check(where: str, host: str, folder: str, rsync: str) -> None:
    if problem := host_problem(host):
        raise UsageError(f"{where}: this cannot be a host: {plain(host, 80) or 'it is empty'}", hint=problem)
    for what, path in (("path", folder), ("rsync", rsync)):
        if problem := _path_problem(path):
            raise UsageError(
                f"{where}: this cannot be its {what}: {plain(path, 80) or 'it is empty'}", hint=problem
            )


def _path_problem(path: str) -> str | None:
    if not path.strip() or CONTROL.search(path):
        return "expected a path on one line"
    if ".." in path.split("/"):
        return "expected a path without `..`"
    if path.startswith("~") and path != "~" and not path.startswith("~/"):
        return "another user's home must be written as a full path; `~/` is the one that ssh logs in to"
    return None
