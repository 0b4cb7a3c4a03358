"""Send a race's progress and results to another machine. Files appear there whole, under their names, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.mirror import process, remote_scripts, rsync
from wtrace.race.published import PUBLISHED
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wtrace.mirror.connection import Connection
    from wtrace.mirror.process import Done

_LIVE = rsync.only(each for each in PUBLISHED if each.live)
_RESULTS = ("-rt", *rsync.EXCLUDED, *rsync.only(PUBLISHED))
_WINNER = ("-rlt", "--safe-links", *rsync.EXCLUDED, *rsync.ACTING)


class Push:
    """One race's way to one target, over a connection that is opened when it is needed and held."""

    def __init__(self, connection: Connection, race_id: str, results: Path) -> None:
        self._connection = connection
        self._target = connection.target
        self._race_id = race_id
        self._results = results
        self._prepared: object = None

    def progress(self) -> None:
        """Send the progress page, the dashboard and the standing. SyncError says what is in the way."""
        self._prepare()
        # By checksum: a page rewritten within a second, at the same size, looks the same by any other sign.
        arguments = ["-rt", "--checksum", *_LIVE, "./", self._there("results/")]
        self._send(arguments, self._results, timeout_s=rsync.PROGRESS_S)

    def results(self, told: Callable[[str], None] | None = None) -> None:
        """Send all of `results/`: the report and the figures too."""
        self._prepare()
        self._send(
            [*_RESULTS, "--checksum", rsync.RESUMES, "./", self._there("results/")], self._results, told=told
        )

    def winner(
        self, output: Path, left_out: Sequence[str] = (), told: Callable[[str], None] | None = None
    ) -> None:
        """Send the winner's output as `winner/`, without `left_out`; after a break it goes on where it ended.

        What would act on its own where it lies, such as `.git`, stays here too: `arrivals.left_here` names it.
        """
        self._prepare()
        self._send(
            [*rsync.without(left_out), *_WINNER, rsync.RESUMES, "./", self._there("winner/")],
            output,
            told=told,
        )

    def verify(self, output: Path | None, left_out: Sequence[str] = ()) -> None:
        """Compare what arrived, byte by byte through checksums, and send again what differs.

        SyncError when it then still differs.
        """
        self._prepare()
        self._verify(_RESULTS, self._results, "results/")
        if output is not None:
            self._verify((*rsync.without(left_out), *_WINNER), output, "winner/")

    def _verify(self, options: tuple[str, ...], here: Path, there: str) -> None:
        rsync.verify(lambda each: self._send(each, here), options, ["./", self._there(there)])

    def _there(self, folder: str) -> str:
        return f"{self._target.host}:{folder}"

    def _send(
        self,
        arguments: list[str],
        cwd: Path,
        *,
        timeout_s: float = rsync.LONGEST_S,
        told: Callable[[str], None] | None = None,
    ) -> Done:
        return rsync.transfer(
            self._connection, arguments, folder=self._target.folder, cwd=cwd, timeout_s=timeout_s, told=told
        )

    def _prepare(self) -> None:
        """Once per login: make the folder there, and see that the rsync there can do what is needed."""
        rsync.local_version()
        login = self._connection.open()
        if self._prepared is login:
            return
        target = self._target
        done = self._connection.run(remote_scripts.preparing(target.folder, target.rsync, self._race_id))
        check_far_side(self._connection, done)
        self._prepared = login


def check_far_side(connection: Connection, done: Done) -> None:
    """SyncError unless a script of `sync.far` went well and found an rsync that has what is needed."""
    target = connection.target
    if done.code == remote_scripts.NO_RSYNC:
        raise connection.trouble(process.Done(done.code, "", f"{target.rsync}: command not found"))
    if done.code != 0:
        raise connection.trouble(done, otherwise=f"its folder {plain(target.folder, 80)} cannot be used")
    version = rsync.parse_version(done.out)
    if version is None or not version.knows_checksum:
        raise connection.trouble(process.Done(1, "", f"unknown option --checksum: {done.out.strip()}"))
