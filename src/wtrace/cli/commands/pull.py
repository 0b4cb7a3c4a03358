"""`wtrace pull`: progress and results, fetched from the machine that a race runs on."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wtrace.cli.common import (
    RaceOption,
)
from wtrace.text import ago, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, RenderableType

    from wtrace.mirror.pull import Found, Pull
    from wtrace.mirror.snapshot import Snapshot

MIRROR = Path("wtrace-mirror")
REPORTS = ("SUCCESS_REPORT.md", "FAILURE_REPORT.md")
EVERY_S = 15.0
LEAVE = "Ctrl-C: leave; the race goes on"


def pull(
    target: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PATH", help="The repo that the race runs in, on a machine that ssh knows."
        ),
    ],
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until the race has ended, and show what arrives.")
    ] = False,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Where mirrors lie, one folder per race.")
    ] = MIRROR,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=1, help="With --watch: how often.")
    ] = EVERY_S,
    race: RaceOption = None,
    ssh_config: Annotated[
        Path | None, typer.Option("--ssh-config", metavar="FILE", help="The config file for ssh.")
    ] = None,
    rsync: Annotated[
        str, typer.Option("--rsync", metavar="PROGRAM", help="rsync on the far side.")
    ] = "rsync",
) -> None:
    """Mirror a race from the machine that it runs on, such as `wtrace pull ec2:work/repo`. Needs no repo here.

    Progress comes first; of a race that has ended also the results and the winner's output, checked when they are
    here. A machine that cannot be reached: exit code 4, and what is in the way.
    """
    from wtrace.mirror.connection import Connection
    from wtrace.mirror.pull import Pull
    from wtrace.mirror.target import address

    there = address(target, rsync=rsync, ssh_config=ssh_config)
    with Connection(there) as connection:
        fetching = Mirror(Pull(connection, into, race), there.host)
        if watch:
            _watch(fetching, every)
        else:
            fetching.fetch()
            _print(fetching)


class Mirror:
    """What has been fetched so far, and how old it is."""

    def __init__(self, pull: Pull, host: str) -> None:
        self._pull = pull
        self._host = host
        self._found: Found | None = None
        self.snapshot: Snapshot | None = None
        self.page = ""
        self.error: str | None = None
        self.fetched: float | None = None

    @property
    def folder(self) -> Path | None:
        """Where it lies."""
        return None if self._found is None else self._pull.folder(self._found)

    @property
    def left_out(self) -> list[str]:
        """What was not taken, in words."""
        from wtrace.mirror.arrivals import in_words, not_whole_in_words

        torn = () if self.snapshot is None else self.snapshot.winner_left_out
        told = (in_words(self._pull.left_out), not_whole_in_words(torn))
        return [line for line in told if line is not None]

    @property
    def is_complete(self) -> bool:
        """Whether nothing more will come."""
        if self.error is not None or self.folder is None:
            return False
        if self.snapshot is not None:
            return self.snapshot.closed
        return any((self.folder / "results" / name).exists() for name in REPORTS)

    def fetch(self, *, bars: bool = True) -> None:
        """Fetch what is new. SyncError when the machine cannot be reached; what was fetched before stays."""
        from wtrace.cli.terminal.transfer_bar import bar

        found = self._found = self._pull.find()
        self.snapshot = self._pull.fetch(found)
        if self.snapshot is not None:
            _draw(self._pull.folder(found), self.snapshot)
        self.page = _read(self._pull.folder(found) / "results" / "PARALLEL_PROGRESS.md")
        self.fetched, self.error = time.time(), None
        if self.is_complete and self.snapshot is not None and self.snapshot.standing.winner is not None:
            showing = bar(f"the winner's output from {self._host}") if bars else nullcontext()
            with showing as told:
                self._pull.fetch_winner(
                    found, self.snapshot.standing.winner, self.snapshot.winner_left_out, told
                )

    def age_line(self, now: float) -> str:
        """How old the data is by the clock of the machine that it comes from, and what is in the way."""
        if self.fetched is None or self._found is None:
            told = f"nothing from {self._host} yet"
        else:
            at = self.fetched if self.snapshot is None else self.snapshot.standing.at - self._found.ahead_s
            told = f"from {self._host}, as of {ago(max(0.0, now - at))}, fetched {ago(max(0.0, now - self.fetched))}"
        return told if self.error is None else f"{told}; {plain(self.error, 200)}"

    def lines(self, width: int, now: float) -> Sequence[str]:
        """The race as a table, or the progress page where there is no more than that."""
        if self.snapshot is None:
            return [plain(line) for line in self.page.splitlines()]
        from wtrace.cli.terminal.table import status_lines

        return status_lines(
            self.snapshot.standing, width, now + (self._found.ahead_s if self._found else 0.0)
        )


def _draw(folder: Path, snapshot: Snapshot) -> None:
    from wtrace.errors import ToolError
    from wtrace.supervisor.publishing.mirrored import draw_pages

    try:
        draw_pages(folder, snapshot)
    except OSError as error:
        raise ToolError(f"the pages cannot be written into {folder}", seen=str(error)) from error


def _print(mirror: Mirror) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    for line in mirror.lines(width, time.time()):
        print(line)
    print(mirror.age_line(time.time()))
    for line in mirror.left_out:
        print(line)
    print(plain(f"in {mirror.folder}"))


def _watch(mirror: Mirror, every_s: float) -> None:
    show = _watch_live if sys.stdout.isatty() else _watch_lines
    try:
        show(mirror, every_s)
    except KeyboardInterrupt:
        print(plain(f"left; what was fetched lies in {mirror.folder}"))
        return
    _print(mirror)


def _watch_lines(mirror: Mirror, every_s: float) -> None:
    def told() -> None:
        standing = None if mirror.snapshot is None else mirror.snapshot.standing
        race = "" if standing is None else f"{plain(standing.name)} {standing.state}; "
        print(f"{time.strftime('%H:%M:%S')} {race}{mirror.age_line(time.time())}", flush=True)

    _fetch_until_complete(mirror, every_s, told)


def _watch_live(mirror: Mirror, every_s: float) -> None:
    """The age counts up by itself also while a fetch waits for a machine that does not answer."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(
        console=console, screen=True, refresh_per_second=1, get_renderable=lambda: _picture(mirror, console)
    ) as live:
        _fetch_until_complete(mirror, every_s, live.refresh)


def _picture(mirror: Mirror, console: Console) -> RenderableType:
    from rich.text import Text

    width, height = console.width, console.height
    now = time.time()
    lines = [mirror.age_line(now), "", *mirror.lines(width, now)][: height - 1]
    return Text("\n".join([*lines, LEAVE]), no_wrap=True, overflow="ellipsis")


def _fetch_until_complete(mirror: Mirror, every_s: float, told: Callable[[], None]) -> None:
    from wtrace.mirror.agent import backoff_s
    from wtrace.mirror.errors import SyncError

    tries = 0
    while True:
        began = time.monotonic()
        try:
            mirror.fetch(bars=False)
            tries = 0
        except SyncError as error:
            tries += 1
            mirror.error = error.what
            if mirror.fetched is None and tries == 1:
                raise
        told()
        if mirror.is_complete:
            return
        pause_s = began + every_s - time.monotonic() if not tries else max(every_s, backoff_s(tries))
        time.sleep(max(0.0, pause_s))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
