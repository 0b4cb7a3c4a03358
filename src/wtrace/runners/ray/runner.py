"""Workers as jobs of Ray. Everything passes through the dashboard's address: jobs, signals, and what a worker leaves.

The node runs a keeper (`ray_keeper.py`), which runs the worker just as the local runner does and puts its files on a
wire. One thread per attempt reads that wire and writes the files here, where the supervisor looks for them.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import re
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtrace.data import replace
from wtrace.errors import ToolError, WtraceError
from wtrace.runners import attempt_folder, engine
from wtrace.runners.base import Exit, Launch, Started
from wtrace.runners.ray.client import Client, UnreachableError, resources_of
from wtrace.runners.ray.parcel import pack
from wtrace.runners.ray.wire import BrokenWireError, Mirror, entries
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from wtrace.race.open_file import OpenFile

log = logging.getLogger("wtrace")

START = "exec $(command -v python3 || command -v python) -I -S"
ASK_EVERY_S = 0.3
ASK_AGAIN_S = 3.0
SAVE_S = 600  # Ray waits this long beyond the grace for a keeper that has much to do
GIVES_UP_AFTER_S = 10.0  # the job is over and its wire cannot be read: the node is gone
INSIST_AFTER_S = 10.0
HANDS_IN_FOR_S = 120.0  # tries to hand a job in to a Ray that does not answer
LAST_WORDS_S = 10.0
OVER = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
DEFAULT_CPUS = 1.0


@dataclass(slots=True)
class _Attempt:
    """What is known of one attempt. `ending` is set once, when nothing is left to learn."""

    folder: Path
    record: engine.Record
    launch: Launch | None = None  # None: adopted
    output: Path | None = None
    node: str = ""
    waits_for: str | None = None
    asked: bool = False  # we want it to end
    wants_stop: threading.Event = field(default_factory=threading.Event)
    killed_at: float = 0.0
    turn: threading.Event | None = None  # set when the one before it has been handed in
    handed_in: threading.Event = field(default_factory=threading.Event)
    entries: int = 0  # how many of its wire's have been seen
    trouble: str = ""  # what the wire was last said to be broken by
    ending_seen: bool = False
    open: frozenset[OpenFile] = frozenset()  # as its keeper told last
    ending: Exit | None = None


class RayRunner:
    """Runs commands as jobs of a Ray cluster. No method waits for Ray."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        self._name = name
        self._settings = settings
        self._attempts: dict[Path, _Attempt] = {}
        self._bell = engine.Bell()
        self._lock = threading.Lock()
        self._lost: list[Path] = []
        self._news: set[Path] = set()
        self._client: Client | None = None
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, launch: Launch) -> None:
        """Have the attempt handed in. One that Ray has already, from an earlier supervisor, is taken over."""
        if launch.folder in self._attempts:
            return
        job = job_name(launch.folder, launch.marker)
        record = engine.Record(self._name, job, launch.grace_s)
        engine.write_record(launch.folder, record)
        self._follow(_Attempt(launch.folder, record, launch, launch.parcel.output if launch.parcel else None))

    def started(self, folder: Path) -> Started | None:
        """What `start.claim` says; the worker has no pid here."""
        return engine.started_elsewhere(folder, "ray")

    def queued(self, folder: Path) -> str | None:
        """What Ray says while the job has not started."""
        attempt = self._attempts.get(folder)
        return None if attempt is None else attempt.waits_for

    def exited(self, folder: Path) -> Exit | None:
        """How the attempt ended, once everything that it left has come back."""
        attempt = self._attempts.get(folder)
        return attempt_folder.read_exit(folder) if attempt is None else attempt.ending

    def stop(self, folder: Path) -> None:
        """Have Ray tell the keeper, which goes down the ladder with the worker's own grace."""
        self.stop_all([folder])

    def stop_all(self, folders: Iterable[Path]) -> None:
        """As `stop` for each, all at once."""
        for folder in folders:
            self.adopt(folder)
            attempt = self._attempts.get(folder)
            if attempt is not None and attempt.ending is None:
                attempt.asked = True
                attempt.wants_stop.set()
                self._in_background(self._stop, attempt)

    def kill(self, folder: Path) -> None:
        """SIGKILL to the whole tree through the keeper. One that has ended and only sends the rest is left alone."""
        attempt = self._attempts.get(folder)
        if attempt is None or attempt.ending is not None or attempt.ending_seen:
            return
        now = time.monotonic()
        if now > attempt.killed_at + INSIST_AFTER_S:
            attempt.killed_at = now
            attempt.asked = True
            attempt.wants_stop.set()
            self._in_background(
                self._tell if attempt.node else self._stop, attempt, *(["kill"] if attempt.node else [])
            )

    def pause(self, folder: Path) -> None:
        """Halt the whole tree. The job keeps what it was given."""
        if folder in self._attempts:
            self._in_background(self._tell, self._attempts[folder], "pause")

    def unpause(self, folder: Path) -> None:
        """Let a halted tree go on."""
        if folder in self._attempts:
            self._in_background(self._tell, self._attempts[folder], "unpause")

    def writing(self, folder: Path, below: Sequence[Path]) -> frozenset[OpenFile] | None:
        """What its keeper has told, up to a second or two ago, of its output folder alone; see `Runner.writing`."""
        attempt = self._attempts.get(folder)
        if attempt is None or not attempt.node:
            return None
        places = [str(place) for place in below]
        return frozenset(
            file for file in attempt.open if any(f"{file.path}/".startswith(f"{p}/") for p in places)
        )

    def halt(self, folder: Path, within_s: float) -> bool | None:  # noqa: ARG002
        """Not to be told from here when it stands still."""
        return None

    def adopt(self, folder: Path) -> bool:
        """Follow a job that an earlier supervisor handed in. False: it never got that far."""
        if folder in self._attempts:
            return True
        record = engine.read_record(folder)
        if record is None or not record.job:
            return False
        self._follow(_Attempt(folder, record, output=output_of(folder)))
        return True

    def boot_lost(self, folder: Path) -> bool:  # noqa: ARG002
        """A node that was restarted is Ray's to tell of."""
        return False

    def lost(self) -> list[Path]:
        """Attempts that ended without an `exit.json` of a keeper's since the last call; they have one now."""
        with self._lock:
            lost, self._lost = self._lost, []
        return lost

    def news(self) -> set[Path]:
        """Folders of which Ray has said something new; what is written into them the kernel tells of."""
        self._bell.silence()
        with self._lock:
            news, self._news = self._news, set()
        return news

    def fileno(self) -> int:
        """Readable when there are news."""
        return self._bell.fileno()

    def close(self) -> None:
        """Let go of everything; the jobs run on. What is being said to Ray may be said to its end."""
        self._closed.set()
        until = time.monotonic() + LAST_WORDS_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._bell.close()

    def _follow(self, attempt: _Attempt) -> None:
        before = next(reversed(self._attempts.values()), None)
        attempt.turn = None if before is None else before.handed_in
        self._attempts[attempt.folder] = attempt
        self._in_background(self._mind, attempt)

    def _in_background(self, deed: Any, *args: Any) -> None:
        def do() -> None:
            try:
                deed(*args)
            except (WtraceError, OSError) as error:
                log.warning("%s: %s", self._name, error)

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=do, name=f"ray {self._name}", daemon=True))
        self._threads[-1].start()

    # What follows runs in threads.

    def _reach(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client(self._settings)
            return self._client

    def _mind(self, attempt: _Attempt) -> None:
        """From the submission to the end of one attempt."""
        try:
            attempt.ending = attempt_folder.read_exit(attempt.folder)
            goes_on = attempt.ending is None and self._submit(attempt)
            attempt.handed_in.set()
            if goes_on:
                self._read_on(attempt)
        except WtraceError as error:
            words = error.what if error.seen is None else f"{error.what}: {error.seen}"
            self._end_unseen(attempt, refused=words)
        except Exception as error:  # whatever it is, the race must go on
            log.exception("%s", self._name)
            self._end_unseen(attempt, refused=f"a bug: {error}")
        attempt.handed_in.set()
        if not self._closed.is_set():
            self._tell_loop(attempt)

    def _submit(self, attempt: _Attempt) -> bool:
        """Hand it in; a job of that name is taken to be this one's. False: nothing is left to follow."""
        launch = attempt.launch
        if launch is None:
            return True
        if attempt.turn is not None:  # who comes first in Ray's queue runs first
            attempt.turn.wait()
        until = time.monotonic() + HANDS_IN_FOR_S
        while not attempt.wants_stop.is_set():
            try:
                client = self._reach()
                if client.info(attempt.record.job) is None:
                    self._hand_in(client, attempt, launch)
                return True
            except (
                UnreachableError
            ) as error:  # it may have the job all the same: under its name it is found again
                log.warning("%s: %s", self._name, error)
                if time.monotonic() > until:
                    raise
                self._closed.wait(ASK_AGAIN_S)
        self._end_unseen(attempt)
        return False

    def _hand_in(self, client: Client, attempt: _Attempt, launch: Launch) -> None:
        needs = launch.needs
        with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
            parcel = Path(folder, "parcel.zip")
            pack(launch, parcel, self._settings.get("python"))
            client.submit(
                attempt.record.job,
                f"{START} ray_entry.py {attempt.record.job}",
                runtime_env={
                    "working_dir": str(parcel),
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(int(launch.grace_s) + SAVE_S)},
                },
                entrypoint_num_cpus=0 if launch.beside else needs.cpus or DEFAULT_CPUS,
                entrypoint_label_selector=self._near(launch),
                entrypoint_num_gpus=needs.gpus or None,
                entrypoint_memory=needs.memory_bytes,
                entrypoint_resources=resources_of(self._settings) or None,
                metadata={"wtrace": launch.marker},
            )
        if attempt.wants_stop.is_set():
            self._stop(attempt)

    def _near(self, launch: Launch) -> dict[str, str] | None:
        """The node of the attempt that this one belongs to, unless it needs a GPU, which may be free elsewhere."""
        other = self._attempts.get(launch.beside) if launch.beside and not launch.needs.gpus else None
        if other is None or not other.node:
            return None
        info = self._reach().info(other.record.job)  # a node that was lost would never take it
        lives = info is not None and info["status"] in ("RUNNING", "SUCCEEDED")
        return {"ray.io/node-id": other.node} if lives else None

    def _read_on(self, attempt: _Attempt) -> None:
        """Read the wire until the exit has come, again and again where the line breaks."""
        mirror = Mirror(
            attempt.folder,
            attempt.output or output_of(attempt.folder),
            lambda number: self._fetch(attempt, number),
        )
        silent_since: float | None = None
        try:
            while mirror.exit is None and not self._closed.is_set():
                over = self._watch_job(attempt)
                if attempt.node and self._read(attempt, mirror):
                    silent_since = None
                elif over is not None:
                    silent_since = silent_since or time.monotonic()
                    if not attempt.node or time.monotonic() > silent_since + GIVES_UP_AFTER_S:
                        self._end_lost(attempt, over)
                        return
                self._closed.wait(ASK_EVERY_S)
        finally:
            mirror.close()
        if mirror.exit is not None:
            self._end(attempt, mirror.exit)

    def _watch_job(self, attempt: _Attempt) -> dict[str, Any] | None:
        """Where the job stands; returned when it is over."""
        try:
            info = self._reach().info(attempt.record.job)
        except ToolError as error:
            log.warning("%s: %s", self._name, error)
            return None
        if info is None:
            return {"status": "UNKNOWN", "message": "Ray does not know the job any more"}
        attempt.node = str(info.get("driver_node_id") or attempt.node)
        status = str(info["status"])
        if status == "PENDING" and attempt.waits_for is None:
            attempt.waits_for = f"waits in the queue of Ray: job {attempt.record.job}"
            self._tell_loop(attempt)
        return info if status in OVER else None

    def _read(self, attempt: _Attempt, mirror: Mirror) -> bool:
        """Read the wire, from its beginning, as long as it holds; whether anything new came."""
        count = 0
        try:
            wire = f"wtrace/{attempt.record.job}/wire"
            with self._reach().read(attempt.node, wire, follow=True) as blocks:
                for header, content in entries(blocks):
                    count += 1
                    mirror.take(header, content)
                    if header["is"] == "claim":
                        attempt.waits_for = None
                        self._tell_loop(attempt)
                    attempt.ending_seen, attempt.open = mirror.ending, mirror.open
                    if mirror.exit is not None or self._closed.is_set():
                        break
        except (WtraceError, BrokenWireError, OSError) as error:
            if str(error) != attempt.trouble:
                log.info("%s: the wire of %s: %s", self._name, attempt.record.job, error)
            attempt.trouble = str(error)
        is_news = count > attempt.entries
        attempt.entries = max(count, attempt.entries)
        return is_news

    def _fetch(self, attempt: _Attempt, number: int) -> AbstractContextManager[Iterable[bytes]]:
        file = f"wtrace/{attempt.record.job}/files/{number}"
        return self._reach().read(attempt.node, file, follow=False)

    def _stop(self, attempt: _Attempt) -> None:
        client, job = self._reach(), attempt.record.job
        info = client.info(job)
        if info is not None:
            client.stop(job)
        if info is not None and info["status"] == "PENDING":  # Ray would start it first, whenever that may be
            self._tell(attempt, "cancel")

    def _tell(self, attempt: _Attempt, what: str) -> None:
        """Have a small job on the same node tell the keeper; on the head where there is no node yet."""
        if attempt.node or what == "cancel":
            there = {"ray.io/node-id": attempt.node} if attempt.node else None
            job = f"{attempt.record.job}-{what}-{time.time_ns():x}"
            with tempfile.TemporaryDirectory(prefix="wtrace-") as folder:
                for name in ("ray_entry.py", "ray_tell.py"):
                    Path(folder, name).write_bytes(Path(__file__).with_name(name).read_bytes())
                self._reach().submit(
                    job,
                    f"{START.replace(' -I', '')} ray_tell.py {attempt.record.job} {what}",
                    runtime_env={"working_dir": folder},
                    entrypoint_label_selector=there,
                )

    def _end(self, attempt: _Attempt, content: bytes) -> None:
        engine.write_whole(attempt.folder / "exit.json", content)
        ending = attempt_folder.read_exit(attempt.folder)
        if ending is not None and ending.stopped and not attempt.asked:
            ending = replace(ending, taken=f"Ray ended it (job {attempt.record.job})")
        attempt.ending = ending
        self._tell(attempt, "forget")

    def _end_lost(self, attempt: _Attempt, info: Mapping[str, Any]) -> None:
        """Ray says that the job is over, and its keeper is not to be heard."""
        lines = str(info.get("message") or "no reason given").strip().split("\n")
        said = plain(lines[-1 if "last available logs" in lines[0] else 0], 200)  # of our entry, or Ray's own
        if attempt.asked:
            self._end_unseen(attempt)
        elif (attempt.folder / "start.claim").exists():
            self._end_unseen(attempt, taken=f"its node was lost (Ray: {said})")
        else:
            self._end_unseen(attempt, refused=f"Ray did not start it: {said}")

    def _end_unseen(self, attempt: _Attempt, *, taken: str | None = None, refused: str | None = None) -> None:
        attempt_folder.write_unknown_exit(attempt.folder)
        with self._lock:
            self._lost.append(attempt.folder)
        attempt.ending = Exit(None, None, known=False, at=time.time(), taken=taken, refused=refused)

    def _tell_loop(self, attempt: _Attempt) -> None:
        with self._lock:
            self._news.add(attempt.folder)
        self._bell.ring()


def job_name(folder: Path, marker: str) -> str:
    """The name of an attempt's job: the same whenever it is asked for, and nobody else's."""
    own = hashlib.sha256(f"{platform.node()}:{folder}".encode()).hexdigest()[:10]
    return f"wtrace-{re.sub('[^A-Za-z0-9]+', '-', marker)[:80]}-{own}"


def output_of(folder: Path) -> Path:
    """Where the output of the worker lies to which this attempt belongs."""
    return folder.parent.parent / "output"
