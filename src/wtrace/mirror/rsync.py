"""rsync, called so that every version on either side understands: 2.6.9, macOS' openrsync, and what came after.

docs/decisions/0006-rsync-over-openssh.md lists the options that are used and those that are not, and why.
"""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from wtrace.mirror import process, remote_scripts
from wtrace.mirror.errors import SyncError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wtrace.mirror.connection import Connection
    from wtrace.mirror.process import Done
    from wtrace.race.published import Published

PARTIAL = ".wtrace-partial"  # where an unfinished file waits for the next try; never under its own name
RESUMES = f"--partial-dir={PARTIAL}"
_COMPARE = ("-nv", "--checksum", "--stats")
EXCLUDED = ("--exclude=.*.tmp", f"--exclude={PARTIAL}", "--exclude=.wtrace-race")
ACTING = (
    "--exclude=.?*",
    "--exclude=-*",
    "--exclude=[Hh][Ee][Aa][Dd]",
    "--exclude=[Gg][Ii][Tt]~[0-9]*",
    "--exclude=*[\x01-\x1f\x7f]*",
)
"""What `core.names.acting_problem` says, as every rsync understands it."""
VANISHED = 24  # a file went away while it was sent: it is not needed any more
IDLE_S = 600  # without a byte; a checksum of a large file takes its time, and ssh sees by itself who is gone
LONGEST_S = 12 * 3600.0

UNTOLD = "\ufffd\u2026"
"""Stand in a path for what cannot be written, or was left out of it as private."""
MOST_LEFT_OUT = 1000
MOST_LEFT_OUT_BYTES = 500_000  # in all: a command line has an end
PROGRESS_S = 300.0  # what is small and takes longer is given up


def only(published: Iterable[Published]) -> tuple[str, ...]:
    """The options that let nothing but these through."""
    paths = [each.path for each in published]
    folders = dict.fromkeys(path.rpartition("/")[0] for path in paths if "/" in path)
    included = [*(f"/{folder}/" for folder in folders), *(f"/{path}" for path in paths)]
    return (*(f"--include={path}" for path in included), "--exclude=*")


def without(paths: Sequence[str]) -> tuple[str, ...]:
    """The options that leave out these files, seen from the folder that is sent; where there are too many, all of it."""
    if len(paths) > MOST_LEFT_OUT or sum(len(os.fsencode(path)) for path in paths) > MOST_LEFT_OUT_BYTES:
        return ("--exclude=/*",)
    return tuple(f"--exclude=/{_no_pattern(path)}" for path in paths)


def _no_pattern(path: str) -> str:
    """A backslash means itself unless there is a wildcard in the pattern: one for what was not to be told of the path."""
    if not re.search(rf"[*?[{UNTOLD}]", path):
        return path
    return re.sub(rf"[{UNTOLD}]", "*", re.sub(r"([*?[\\])", r"\\\1", path))


class Version(NamedTuple):
    """What an rsync is. openrsync says that it is compatible with 2.6.9 where it is macOS'."""

    name: str  # rsync or openrsync
    number: tuple[int, ...]
    text: str

    @property
    def knows_checksum(self) -> bool:
        """Whether it has `--checksum` and `--partial-dir`: all but OpenBSD's own openrsync."""
        return self.name == "rsync" or self.number >= (2, 6, 9)


def parse_version(text: str) -> Version | None:
    """From the first lines of `rsync --version`; None when no rsync would say that."""
    found = re.search(r"rsync\s+version v?([0-9]{1,6}(?:\.[0-9]{1,6})*)", text)
    number = tuple(map(int, found[1].split("."))) if found else ()
    if "openrsync" in text:
        return Version("openrsync", number, "openrsync")
    return Version("rsync", number, f"rsync {found[1]}") if found else None


@functools.cache
def local_version() -> Version:
    """The rsync of this machine. SyncError where there is none."""
    done = process.run(["rsync", "--version"], timeout_s=10.0)
    version = parse_version(done.out + done.err)
    if version is None:
        raise SyncError("the rsync of this machine does not say what it is", seen=(done.out + done.err)[:200])
    return version


def transfer(
    connection: Connection,
    arguments: Sequence[str],
    *,
    folder: str,
    cwd: Path,
    timeout_s: float = LONGEST_S,
    idle_s: int = IDLE_S,
    told: Callable[[str], None] | None = None,
) -> Done:
    """Run rsync in `cwd`, its far side in `folder` there. SyncError for whatever is not a success."""
    target = connection.target
    shown = ["--info=progress2"] if told is not None and _shows_a_total() else []
    plain_names = ["--no-protect-args"] if _may_protect() else []
    argv = ["rsync", *plain_names, *shown, f"--timeout={idle_s}", "-e", connection.shell]
    argv += ["--rsync-path", remote_scripts.entering(folder, target.rsync), *arguments]
    done = process.run(argv, timeout_s=timeout_s, cwd=cwd, told=told)
    if done.code not in (0, VANISHED):
        raise connection.trouble(done)
    return done


def verify(transfer: Callable[[list[str]], Done], options: Sequence[str], ends: Sequence[str]) -> None:
    """Compare both ends file by file, by checksum, and transfer again what differs.

    SyncError when it then still differs, or when this rsync does not count.
    """
    done = transfer([*options, *_COMPARE, *ends])
    if not _differing(done):
        return
    transfer([*options, "--checksum", RESUMES, *ends])
    done = transfer([*options, *_COMPARE, *ends])
    if count := _differing(done):
        raise SyncError(
            f"{count} files differ after they were transferred",
            seen=plain(done.out.strip(), 200),
            hint="something here or there changes them",
        )


def _differing(done: Done) -> int:
    found = re.search(r"Number of (?:regular )?files transferred: ([0-9,.]{1,20})", done.out)
    if found is None:
        raise SyncError("what arrived could not be checked: this rsync does not count", seen=done.out[-200:])
    return int(re.sub(r"\D", "", found[1]))


def _may_protect() -> bool:
    """Whether this rsync could be built to quote by a protocol that older ones lack."""
    version = local_version()
    return version.name == "rsync" and version.number >= (3,)


def _shows_a_total() -> bool:
    version = local_version()
    return version.name == "rsync" and version.number >= (3, 1)
