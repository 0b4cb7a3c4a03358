"""What a user approves of a config, with the content of the files that it names, and what was approved on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config import approval
from wtrace.errors import ToolError, WtraceError
from wtrace.mirror import ssh_config
from wtrace.store import approvals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.config.spec import RaceSpec

LARGEST = 1_000_000  # bytes of a file that an engine's settings name


def digest(root: Path, spec: RaceSpec) -> str:
    """What is noted when this config is approved for the repo at `root`."""
    return approval.digest(spec, contents(root, spec))


def lines(root: Path, spec: RaceSpec) -> tuple[str, ...]:
    """All of it for a person to read."""
    return approval.approved_parts(spec, contents(root, spec))


def is_approved(root: Path, spec: RaceSpec) -> bool:
    """Whether this user has approved this config here."""
    return approvals.is_trusted(root, digest(root, spec))


def may_go_on(root: Path, race_id: str, recorded: RaceSpec) -> bool:
    """Whether what this record would start again was approved here: it was started here, or approved since."""
    now = digest(root, recorded)
    return approvals.was_started(root, race_id, now) or approvals.is_trusted(root, now)


def note_start(root: Path, race_id: str, recorded: RaceSpec) -> str | None:
    """Note that this race was started here, so that it may be resumed unasked; what is in the way of that."""
    try:
        approvals.note_start(root, race_id, digest(root, recorded))
    except ToolError as error:
        return f"{error.what} ({error.seen}): resuming this race will ask for approval"
    return None


def contents(root: Path, spec: RaceSpec) -> dict[str, str]:
    """SHA-256 of what each file that the config names holds; of one that is not there a word."""
    found = {}
    for target in spec.sync:
        if target.ssh_config is not None:
            found[target.ssh_config] = _of_ssh(ssh_config.anchored(root, target.ssh_config))
    for runner in spec.runners:
        for value in runner.settings.values():
            found |= {name: _of_file(root / name) for name in _files_in(root, str(value))}
    return found


def _of_ssh(file: Path) -> str:
    try:
        parts = [hashlib.sha256(part).hexdigest() for part in ssh_config.all_of(file)]
    except WtraceError:
        return "not there"
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _files_in(root: Path, setting: str) -> Iterator[str]:
    """What an engine's setting names of the repo: `--export-file=env.txt`."""
    words: list[str] = []
    with contextlib.suppress(ValueError):
        words = shlex.split(setting)
    for word in words:
        name = word.rpartition("=")[2]
        with contextlib.suppress(OSError, ValueError):
            file = root / name
            if file.is_file() and file.resolve().is_relative_to(root) and file.stat().st_size <= LARGEST:
                yield name


def _of_file(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return "not there"
