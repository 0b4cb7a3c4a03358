"""Workers as jobs of Slurm. The race's folder and the worktrees lie where every node sees them at the same path.

The node runs the shim, so `start.claim`, the log, the metrics and `exit.json` are simply there. One thread hands jobs
in, passes signals on through `scancel`, asks `squeue` how the jobs stand, and looks at the files: the kernel does not
tell of what another machine writes.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.errors import ToolError, WtraceError
from wtrace.files import read_small
from wtrace.runners import attempt_folder, engine
from wtrace.runners import slurm_commands as slurm
from wtrace.runners.base import Exit, Launch, Started
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wtrace.race.open_file import OpenFile

log = logging.getLogger("wtrace")

ENTRY = Path(__file__).with_name("engine_entry.py").absolute()
LOOK_EVERY_S = 0.2
ASK_EVERY_S = 1.0
ASK_SOON_S = 0.3  # while somebody waits for what Slurm has to say
FILES_COME_WITHIN_S = 5.0  # after the end of a job, on a file system that takes its time
JUDGED_WITHIN_S = 20.0  # an exit is told after this, whatever Slurm does not say
ANSWER_HOLDS_S = 5.0  # of Slurm's that a job runs, where it does not answer any more
INSIST_AFTER_S = 10.0
WATCHED = ("start.claim", "metrics.jsonl", "training.log", "exit.json")
TAKEN = {
    "BOOT_FAIL": "its node was lost",
    "DEADLINE": "its deadline in Slurm has passed",
    "NODE_FAIL": "its node was lost",
    "PREEMPTED": "it was preempted by another job",
    "REVOKED": "its job was revoked",
    "TIMEOUT": "its time limit in Slurm was reached",
}
REQUEUED = frozenset({"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "TIMEOUT"})


@dataclass(slots=True)
class _Attempt:
    """What the thread knows of one attempt. `ending` is set once, when nothing is left to learn."""

    folder: Path
    record: engine.Record
    state: str = ""  # as Slurm calls it; "": not known yet
    waits_for: str | None = None
    asked: bool = False  # we want it to end
    killed_at: float = 0.0  # monotonic, as all below
    over_since: float | None = None
    exit_since: float | None = None
    missed: int = 0  # how often in a row the controller did not know the job
    signs: tuple[object, ...] = ()
    job: slurm.Job | None = None
    ending: Exit | None = None


@dataclass(slots=True)
class _Shared:
    """What the loop and the thread both touch, under one lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    attempts: dict[Path, _Attempt] = field(default_factory=dict)
    news: set[Path] = field(default_factory=set)
    lost: list[Path] = field(default_factory=list)


class SlurmRunner:
    """Runs commands as jobs of Slurm. No method but `close` waits for Slurm."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        self._name = name
        self._settings = settings
        self._shared = _Shared()
        self._bell = engine.Bell()
        self._todo: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0
        self._answered_at = 0.0

    def start(self, launch: Launch) -> None:
        """Have the attempt handed in. One that Slurm has already, from an earlier supervisor, is taken over."""
        attempt = self._know(launch.folder)
        self._do(lambda: self._submit(attempt, launch))

    def started(self, folder: Path) -> Started | None:
        """What `start.claim` says; the worker has no pid here."""
        return engine.started_elsewhere(folder, "slurm")

    def queued(self, folder: Path) -> str | None:
        """Why Slurm has not started the job yet."""
        attempt = self._shared.attempts.get(folder)
        return None if attempt is None else attempt.waits_for

    def exited(self, folder: Path) -> Exit | None:
        """How the attempt ended, once Slurm has said whether it took the worker away."""
        attempt = self._shared.attempts.get(folder)
        return attempt_folder.read_exit(folder) if attempt is None else attempt.ending

    def stop(self, folder: Path) -> None:
        """Take the job out of the queue, or have its shim go down the ladder."""
        self.stop_all([folder])

    def stop_all(self, folders: Iterable[Path]) -> None:
        """As `stop` for each."""
        for folder in folders:
            attempt = self._know(folder)
            attempt.asked = True
            attempt_folder.request_stop(folder)  # for one that is about to start
            self._do(lambda attempt=attempt: self._stop(attempt))  # type: ignore[misc]

    def kill(self, folder: Path) -> None:
        """SIGKILL to the whole tree through the shim; if that does not help, by Slurm."""
        attempt = self._know(folder)
        attempt.asked = True
        self._do(lambda: self._kill(attempt))

    def pause(self, folder: Path) -> None:
        """Halt the whole tree. The job keeps its node."""
        self._signal(folder, "TSTP")

    def unpause(self, folder: Path) -> None:
        """Let a halted tree go on."""
        self._signal(folder, "CONT")

    def writing(self, folder: Path, below: Sequence[Path]) -> frozenset[OpenFile] | None:  # noqa: ARG002
        """Not to be asked from here: the processes run on a node."""
        return None

    def halt(self, folder: Path, within_s: float) -> bool | None:  # noqa: ARG002
        """Not to be told from here when it stands still."""
        return None

    def adopt(self, folder: Path) -> bool:
        """Follow a job that an earlier supervisor handed in. False: Slurm never had it."""
        record = engine.read_record(folder)
        if record is None or not record.job:
            return False
        self._know(folder)
        self._do(lambda: None)
        return True

    def boot_lost(self, folder: Path) -> bool:  # noqa: ARG002
        """A node that was restarted is Slurm's to tell of."""
        return False

    def lost(self) -> list[Path]:
        """Attempts that ended without an `exit.json` of the shim's since the last call; they have one now."""
        with self._shared.lock:
            lost, self._shared.lost = self._shared.lost, []
        return lost

    def news(self) -> set[Path]:
        """Folders in which a file has grown, or of which Slurm has said something new."""
        self._bell.silence()
        with self._shared.lock:
            news, self._shared.news = self._shared.news, set()
        return news

    def fileno(self) -> int:
        """Readable when there are news."""
        return self._bell.fileno()

    def close(self) -> None:
        """Let go of everything; the jobs run on."""
        if self._thread is not None:
            self._todo.put(None)
            self._thread.join()
        self._bell.close()

    def _know(self, folder: Path) -> _Attempt:
        with self._shared.lock:
            attempt = self._shared.attempts.get(folder)
            if attempt is None:
                record = engine.read_record(folder) or engine.Record(self._name)
                attempt = self._shared.attempts[folder] = _Attempt(folder, record)
        return attempt

    def _do(self, deed: Callable[[], None]) -> None:
        self._todo.put(deed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"slurm {self._name}", daemon=True)
            self._thread.start()

    def _signal(self, folder: Path, name: str) -> None:
        attempt = self._know(folder)
        self._do(lambda: slurm.signal_job(attempt.record.job, name) if attempt.record.job else None)

    # What follows runs in the thread.

    def _work(self) -> None:
        while True:
            try:
                deed = self._todo.get(timeout=LOOK_EVERY_S)
                if deed is None:
                    return
                deed()
            except queue.Empty:
                pass
            except (WtraceError, OSError) as error:
                log.warning("%s: %s", self._name, error)
            self._look()

    def _submit(self, attempt: _Attempt, launch: Launch) -> None:
        """Hand it in, unless Slurm has it already under the attempt's own name."""
        folder = launch.folder
        if attempt.record.job or attempt.ending is not None or attempt_folder.read_exit(folder) is not None:
            return
        name = "wtrace:" + launch.marker.replace(" ", "_")
        try:
            before = [job.id for job in slurm.my_jobs() if job.name == name]
            job = before[-1] if before else self._hand_in(launch, name)
            attempt.record = replace(attempt.record, job=job)
            engine.write_record(folder, attempt.record)
            self._tell(attempt, f"waits in the queue of Slurm: job {job}")
        except ToolError as error:
            self._end(attempt, self._unknown(attempt, refused=str(error)))

    def _hand_in(self, launch: Launch, name: str) -> str:
        python = self._settings.get("python", sys.executable)
        command = launch.command
        if command[0] == sys.executable:
            command = (python, *command[1:])
        content = engine.launch_json(launch, str(launch.folder), command, str(launch.cwd), launch.env)
        engine.write_whole(launch.folder / engine.LAUNCH, content)
        script = slurm.job_script(python, ENTRY, launch.folder)
        return slurm.submit(slurm.sbatch_command(self._settings, launch, name), script)

    def _stop(self, attempt: _Attempt) -> None:
        if attempt.ending is None and attempt.record.job:
            slurm.cancel(attempt.record.job, pending_only=True)
            slurm.signal_job(attempt.record.job, "TERM")

    def _kill(self, attempt: _Attempt) -> None:
        now = time.monotonic()
        if attempt.ending is None and attempt.record.job and now > attempt.killed_at + INSIST_AFTER_S:
            insists, attempt.killed_at = attempt.killed_at > 0, now
            slurm.cancel(attempt.record.job, pending_only=not insists)
            slurm.signal_job(attempt.record.job, "KILL" if insists else "USR1")

    def _look(self) -> None:
        """Look at the files, and ask Slurm where that is due."""
        now = time.monotonic()
        with self._shared.lock:
            living = [
                each for each in self._shared.attempts.values() if each.ending is None and each.record.job
            ]
        for attempt in living:
            self._look_at(attempt, now)
        hurry = any(each.exit_since is not None or each.state in ("", "PENDING") for each in living)
        if living and now >= self._asked_at + (ASK_SOON_S if hurry else ASK_EVERY_S):
            self._asked_at = now
            self._ask(living, now)
        for attempt in living:
            self._judge(attempt, now)

    def _look_at(self, attempt: _Attempt, now: float) -> None:
        signs = tuple(_sign(attempt.folder / name) for name in WATCHED)
        if signs != attempt.signs:
            attempt.signs = signs
            self._tell(attempt, None if signs[0] else attempt.waits_for)
        if signs[-1] is not None and attempt.exit_since is None:
            attempt.exit_since = now

    def _ask(self, living: list[_Attempt], now: float) -> None:
        try:
            jobs = {job.id: job for job in slurm.my_jobs()}
        except ToolError as error:
            log.warning("%s: %s", self._name, error)
            return
        self._answered_at = now
        for attempt in living:
            attempt.job = jobs.get(attempt.record.job)
            attempt.missed = 0 if attempt.job else attempt.missed + 1
            if attempt.job is not None:
                attempt.state = attempt.job.state
            elif attempt.missed > 2:  # forgotten, which happens minutes after the end
                attempt.state = slurm.recorded_state(attempt.record.job) or "UNKNOWN"
            is_over = attempt.state in slurm.OVER or attempt.state == "UNKNOWN"
            attempt.over_since = (attempt.over_since or now) if is_over else None
            if attempt.job is not None and attempt.state == "PENDING":
                why = plain(attempt.job.reason, 60)
                self._tell(attempt, f"waits in the queue of Slurm: job {attempt.record.job} ({why})")
            elif (
                not is_over
            ):  # there may be files of a form of its own, of which the kernel does not tell either
                self._tell(attempt, None)

    def _judge(self, attempt: _Attempt, now: float) -> None:
        """Whether nothing is left to learn about the attempt's end."""
        ending = None if self._runs(attempt, now) else attempt_folder.read_exit(attempt.folder)
        if ending is not None and (attempt.asked or attempt.over_since is not None):
            self._end(attempt, ending if attempt.asked else self._explained(attempt, ending))
        elif ending is not None and attempt.exit_since and now > attempt.exit_since + JUDGED_WITHIN_S:
            self._end(attempt, ending)
        elif attempt.over_since is not None and now > attempt.over_since + FILES_COME_WITHIN_S:
            self._end(attempt, self._unseen(attempt))

    def _runs(self, attempt: _Attempt, now: float) -> bool:
        """Whether Slurm said so lately: then an `exit.json` is not its guardian's word."""
        return attempt.state == "RUNNING" and now < self._answered_at + ANSWER_HOLDS_S

    def _explained(self, attempt: _Attempt, ending: Exit) -> Exit:
        """The exit that the shim saw, with what Slurm knows of its cause. Only a SIGTERM that we did not ask for needs one."""
        if attempt.state in TAKEN:
            return self._taken(attempt, ending)
        if not ending.stopped:
            return ending
        job = attempt.job
        lead_s = attempt.record.grace_s + slurm.SAVE_S + 60  # Slurm warns up to a minute early
        if job is not None and job.limit_s is not None and job.used_s >= job.limit_s - lead_s:
            return replace(ending, taken=TAKEN["TIMEOUT"], requeue=True)
        return replace(ending, taken=f"Slurm asked it to leave (job {attempt.record.job})", requeue=True)

    def _unseen(self, attempt: _Attempt) -> Exit:
        """The end of a job of which the shim could not tell."""
        unknown = self._unknown(attempt)
        job, state = attempt.record.job, attempt.state
        if attempt.asked:
            return unknown
        if state in TAKEN:
            return self._taken(attempt, unknown)
        if state == "OUT_OF_MEMORY":
            return replace(unknown, oom=True)
        if state == "CANCELLED":
            return replace(unknown, taken=f"job {job} was cancelled in Slurm")
        if (attempt.folder / "start.claim").exists():
            return replace(unknown, taken=f"job {job} is gone from Slurm ({state})")
        words = _last_words(attempt.folder / "slurm.log")
        return replace(unknown, refused=f"job {job} ended before the worker began ({state}){words}")

    @staticmethod
    def _taken(attempt: _Attempt, ending: Exit) -> Exit:
        words = f"{TAKEN[attempt.state]} (job {attempt.record.job})"
        return replace(ending, taken=words, requeue=attempt.state in REQUEUED)

    def _unknown(self, attempt: _Attempt, refused: str | None = None) -> Exit:
        attempt_folder.write_unknown_exit(attempt.folder)
        with self._shared.lock:
            self._shared.lost.append(attempt.folder)
        at = time.time()
        return Exit(code=None, signal=None, known=False, at=at, refused=refused)

    def _end(self, attempt: _Attempt, ending: Exit) -> None:
        attempt.ending = ending
        self._tell(attempt, None)

    def _tell(self, attempt: _Attempt, waits_for: str | None) -> None:
        attempt.waits_for = waits_for
        with self._shared.lock:
            self._shared.news.add(attempt.folder)
        self._bell.ring()


def _sign(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_size, info.st_mtime_ns


def _last_words(path: Path) -> str:
    try:
        lines = read_small(path, 2**26).decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f": {plain(last, 200)}" if last else ""
