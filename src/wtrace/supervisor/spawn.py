"""The supervisor as a process of its own: apart from the terminal, the only one in its repo."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from wtrace.errors import ToolError, UsageError
from wtrace.store import home

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wtrace.core.layout import Layout


@contextlib.contextmanager
def only_race(layout: Layout) -> Iterator[int]:
    """Hold the repo's lock. UsageError while another race runs, saying which."""
    home.make_home(layout)
    with home.race_lock(layout) as lock:
        if lock is None:
            raise UsageError(
                f"a race runs already in this repo: {home.who_holds(layout)}",
                hint="`wtrace watch` shows it, `wtrace stop` ends it",
            )
        yield lock


def spawn_supervisor(layout: Layout, race_id: str, lock: int) -> None:
    """Start the supervisor in a session of its own. It inherits the lock, so that there is never a gap.

    ToolError where the disk does not let us.
    """
    race = layout.race(race_id)
    try:
        home.write_holder(lock, race_id)
        race.log.touch(mode=0o600)
    except OSError as error:
        raise ToolError(f"no supervisor can be started in {race.folder}", seen=str(error)) from error
    # -P: nothing in the current folder may stand in for a module of ours.
    command = [sys.executable, "-P", "-m", "wtrace.race", str(layout.root), race_id]
    with race.log.open("ab") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            pass_fds=(lock,),
        )


def hand_nothing_on() -> None:
    """Let nothing that this process starts inherit its files: a worker's guardian that has just been forked would
    hold the lock of the repo beyond the supervisor's death."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 (numbers, not paths)
        with contextlib.suppress(OSError):  # the descriptor that listed them
            os.set_inheritable(int(name), int(name) <= 2)


def remove_drafts(folder: Path) -> None:
    """Remove what a supervisor that was killed while it wrote a page has left."""
    for draft in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            draft.unlink()
