"""Fetch a race's progress and results from the machine that it runs on, into a folder of this one."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from wtrace.config.names import CONTROL, worker_name_problem
from wtrace.data import data
from wtrace.errors import UsageError
from wtrace.mirror import arrivals, remote_scripts, rsync, snapshot
from wtrace.mirror.errors import SyncError
from wtrace.mirror.push import check_far_side
from wtrace.race.published import PUBLISHED, is_published
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wtrace.mirror.connection import Connection
    from wtrace.mirror.process import Done
    from wtrace.mirror.snapshot import Snapshot

RACE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
FETCHED = tuple(each for each in PUBLISHED if not each.page)
"""Of what is published: pages that open in a browser are drawn here, from the data."""
_LIVE = ("-rt", "--checksum", *rsync.only(each for each in FETCHED if each.live))
_RESULTS = ("-rt", *rsync.EXCLUDED, "--checksum", *rsync.only(FETCHED))
_WINNER = ("-rlt", "--safe-links", *rsync.EXCLUDED, *rsync.ACTING)
_EVERYTHING = ("-rltnv", "--safe-links", *rsync.EXCLUDED)


@data
class Found:
    """A race on the other machine."""

    race_id: str
    folder: str  # there, as a full path
    ahead_s: float  # how much the clock there is ahead of ours


class Pull:
    """Mirrors one race of a repo elsewhere. Everything that comes from there is data, and stays in its folder."""

    def __init__(self, connection: Connection, mirror: Path, race_id: str | None = None) -> None:
        """`mirror` gets a folder per race. `race_id`: another one than the newest. UsageError for one that is none."""
        if race_id is not None and not RACE_ID.fullmatch(race_id):
            raise UsageError(f"this cannot be a race's id: {plain(race_id, 80) or 'it is empty'}")
        self._connection = connection
        self._mirror = mirror
        self._race_id = race_id or ""
        self.left_out: list[str] = []
        """What there is there, or came from there, and was not taken."""

    def find(self) -> Found:
        """The race that is to be fetched. UsageError when there is none, SyncError when nobody answers."""
        rsync.local_version()
        self._connection.open()
        target = self._connection.target
        asked = time.time()
        done = self._connection.run(remote_scripts.finding_race(target.folder, target.rsync, self._race_id))
        now = (asked + time.time()) / 2
        if done.code == remote_scripts.NO_RACE:
            what = f"race {self._race_id}" if self._race_id else "race"
            raise UsageError(
                f"there is no {what} at {plain(str(target), 120)}",
                hint="PATH is the repo that the race runs in, on that machine",
            )
        check_far_side(self._connection, done)
        return _found(done, now)

    def folder(self, found: Found) -> Path:
        """Where that race is mirrored."""
        return self._mirror / found.race_id

    def fetch(self, found: Found, told: Callable[[str], None] | None = None) -> Snapshot | None:
        """Fetch what is published, the progress first; returns where the race stands, if it says so."""
        arriving = self._arriving(found, "results")
        there = self._there("results/")
        self._receive([*_LIVE, there, "./"], found, arriving, timeout_s=rsync.PROGRESS_S)
        self._take_over(found, "results", _is_fetched)
        self._receive([*_RESULTS, rsync.RESUMES, there, "./"], found, arriving, told=told)
        self._take_over(found, "results", _is_fetched)
        return snapshot.read(self.folder(found) / "results")

    def fetch_winner(
        self,
        found: Found,
        winner: str,
        left_out: Sequence[str] = (),
        told: Callable[[str], None] | None = None,
    ) -> None:
        """Fetch the winner's output as `winner/`, without `left_out`, and check by checksum all that has arrived."""
        output = f"{_safe_worker(winner)}/output/"
        wanted = (*rsync.without(left_out), *_WINNER)
        arriving = self._arriving(found, "winner")
        there = self._there(output)
        self._receive([*wanted, rsync.RESUMES, there, "./"], found, arriving, told=told)
        rsync.verify(lambda each: self._receive(each, found, arriving), wanted, [there, "./"])
        more = self._receive([*_EVERYTHING, there, "./"], found, arriving)
        self.left_out += arrivals.left_there(more.out)
        self._take_over(found, "winner", lambda _: True)

    def _arriving(self, found: Found, what: str) -> Path:
        folder = self.folder(found) / arrivals.FOLDER / what
        try:
            for made in (self.folder(found), folder.parent, folder):  # each for its owner alone
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _not_written(folder, error) from error
        return folder

    def _take_over(self, found: Found, what: str, wanted: Callable[[str], bool]) -> None:
        place = self.folder(found) / what
        try:
            self.left_out += arrivals.take_over(self._arriving(found, what), place, wanted)
        except OSError as error:
            raise _not_written(place, error) from error

    def _there(self, folder: str) -> str:
        return f"{self._connection.target.host}:{folder}"

    def _receive(
        self,
        arguments: list[str],
        found: Found,
        cwd: Path,
        *,
        timeout_s: float = rsync.LONGEST_S,
        told: Callable[[str], None] | None = None,
    ) -> Done:
        return rsync.transfer(
            self._connection, arguments, folder=found.folder, cwd=cwd, timeout_s=timeout_s, told=told
        )


def _found(done: Done, now: float) -> Found:
    said = re.search(r"now=([0-9]{1,12}) folder=(/.*)\Z", done.out, re.DOTALL)
    race_id = said[2].rsplit("/", 1)[-1] if said else ""
    if said is None or CONTROL.search(said[2]) or not RACE_ID.fullmatch(race_id):
        raise SyncError("the other machine's answer cannot be understood", seen=plain(done.out.strip(), 200))
    return Found(race_id, said[2], int(said[1]) + 0.5 - now)


def _is_fetched(path: str) -> bool:
    return is_published(path, FETCHED)


def _not_written(folder: Path, error: OSError) -> SyncError:
    why = error.strerror or str(error)
    return SyncError(f"what was fetched cannot be put into {plain(str(folder), 120)}: {plain(why, 120)}")


def _safe_worker(name: str) -> str:
    """A worker's name as a folder's; it comes from the other machine."""
    if problem := worker_name_problem(name):
        raise SyncError("the winner's name cannot be a folder's", seen=f"{plain(name, 80)}: {problem}")
    return name
