"""From an attempt's files to events: that it runs, what it reports, how it ended."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from wtrace.config.schedule import is_planned
from wtrace.judging import referee
from wtrace.metrics.follower import MetricsFile, Position
from wtrace.metrics.foreign.translation import NOTHING_WATCHED, Watched
from wtrace.metrics.records import BadLine, Check, End, Epoch, Other, Start, excerpt, printable
from wtrace.race import events as ev
from wtrace.race.event_text import foreign_code, no_ids
from wtrace.race.phases import ALIVE, Launching, Running, Stopping
from wtrace.runners.base import Exit
from wtrace.store.reader import StoredPosition
from wtrace.supervisor import failpoints
from wtrace.supervisor.integrity import changed_judge_file
from wtrace.supervisor.jobs import crashes
from wtrace.supervisor.jobs.unmatched import EarlyWord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wtrace.metrics.follower import Line
    from wtrace.metrics.foreign.translation import Translation
    from wtrace.metrics.slices import Slice
    from wtrace.runners.base import Runner
    from wtrace.supervisor.journal import Journal


MOST_DOING = 80  # characters
AT_ONCE_BYTES = 16 * 1024  # a few hundred lines at most that have a meaning: some milliseconds
NOT_READ = "it had reported far more than was read when the race was decided: the rest stays in its files"
NOTICE_AGAIN_AFTER_S = 60.0
HUGE = re.compile(rb"[eE]\+?\d{3}")  # a number that may be too large for a double, and is read as infinite
HUGE_LOOKED_FOR_BYTES = 4096  # of a line; a longer one holds samples
LONGEST_METRIC = 60  # characters of a metric's name that are told
LOST_LOSS = "its loss is no number any more"
OUT_OF_MEMORY = "killed by SIGKILL while the kernel's out-of-memory killer was at work in its cgroup"


def _has_files(folder: Path) -> bool:
    """Whether anything lies in the folder: what a training may go on from."""
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _may_hold_no_number(raw: bytes) -> bool:
    """Whether a look at the values is worth its time: most lines of most trainings hold finite numbers alone."""
    is_short = len(raw) <= HUGE_LOOKED_FOR_BYTES
    return b"NaN" in raw or b"Infinity" in raw or (is_short and HUGE.search(raw) is not None)


def _is_finite_in(record: Epoch | Check, metric: str) -> bool:
    """Whether the report holds the metric, as it was told, and it is a number."""
    named = (value for name, value in record.metrics.items() if printable(name, LONGEST_METRIC) == metric)
    return any(isinstance(value, int | float) and math.isfinite(value) for value in named)


def unknown_exit(now: float) -> Exit:
    """The end of something that ended without anybody who could say how."""
    return Exit(code=None, signal=None, known=False, at=now)


class Intake:
    """Reads one attempt's folder whenever something changed in it, and notes what it finds."""

    def __init__(
        self,
        journal: Journal,
        runner: Runner,
        folder: Path,
        *,
        root: Path,
        worktree: Path,
        output: Path,
        worker: str,
        attempt: int,
        since: StoredPosition | None,
        translation: Translation | None = None,
    ) -> None:
        """`root` is the main worktree. `translation`: what writes the metrics file where the worker itself does not."""
        self.folder = folder
        self.metrics = folder / "metrics.jsonl"
        self._journal = journal
        self._runner = runner
        self._root = root
        self._worktree = worktree
        self._output = output
        self._worker = worker
        self._attempt = attempt
        self._count = since or StoredPosition(0, 0, 0, 0, 0, 0, None)
        start = None if since is None else Position(since.offset, since.device, since.inode)
        self._file = MetricsFile(self.metrics, start)
        self._translation = translation
        self._early: EarlyWord | None = None
        self._problem: str | None = None
        self._quiet_until: dict[
            str, float
        ] = {}  # a file that is replaced all the time is not told all the time
        self._must_be_finite = frozenset(
            name for criterion in journal.state.spec.success for name in criterion.metrics
        )
        self.done = False
        self.is_lost = False  # nobody is left of it, and no exit could be written down: its folder is gone

    def read(self, now: float, within: Slice, *, may_have_ended: bool = True) -> bool:
        """Note what is new, a little of it at least; True when there is more than is read `within` this slice."""
        self._note_start(now)
        # The exit first, the lines after it: what was written before the exit is then certainly read.
        exit_ = self._exit(now) if may_have_ended or self.is_lost else None
        if exit_ is None and self._is_decided:
            return False
        if exit_ is not None:
            failpoints.reach("before-drain")
        untranslated = self._translate(now, exit_, within)
        more = self._note_lines(now, within) or untranslated
        if exit_ is not None and (self._is_decided or not (more or self.hindered)):
            self._note_exit(now, exit_, is_read=not more)
            failpoints.reach("after-drain")
            return False
        return more

    @property
    def _is_decided(self) -> bool:
        """Whether the race is over for it: of what it still has to say, a last slice is read when it has ended."""
        phase = self._journal.state.workers[self._worker].phase
        return isinstance(phase, Stopping) and (phase.cause == "beaten" or self._journal.state.stop_asked)

    def _exit(self, now: float) -> Exit | None:
        return self._runner.exited(self.folder) or (unknown_exit(now) if self.is_lost else None)

    def close(self) -> None:
        """Let go of the files."""
        self._file.close()
        if self._translation is not None:
            self._translation.close()

    @property
    def is_translated(self) -> bool:
        """Whether the metrics come from files of the worker's own."""
        return self._translation is not None

    @property
    def sources(self) -> Watched:
        """What else than the attempt's folder and its metrics file is to be watched."""
        return NOTHING_WATCHED if self._translation is None else self._translation.watched

    @property
    def hindered(self) -> bool:
        """Whether the disk keeps translated records from being written: read again in a while."""
        return self._translation is not None and self._translation.hindered

    def _translate(self, now: float, exit_: Exit | None, within: Slice) -> bool:
        """Bring the metrics file up to what the worker's own files say; True when there is more."""
        translation = self._translation
        if translation is None:
            return False
        whole = exit_ is not None and self._ended_well(exit_)
        more = translation.pump(ended=exit_ is not None, whole=whole, within=within)
        hints = translation.take_hints()
        if exit_ is not None and exit_.code == 0 and not more and (silence := translation.silence):
            near = translation.nearest()
            hints.append(f"{silence}; {near.told}" if near is not None else silence)
        for hint in hints:
            self._notice_once(now, hint, hint)
        if exit_ is None and not more:
            self._tell_early(now, translation)
        return more

    @property
    def due(self) -> float | None:
        """When to read although nothing changed (seconds since 1970)."""
        return None if self.done or self._early is None else self._early.due

    def _tell_early(self, now: float, translation: Translation) -> None:
        phase = self._journal.state.workers[self._worker].phase
        if self._early is None and isinstance(phase, Running) and not translation.is_seldom_written:
            self._early = EarlyWord(translation, self._worker, phase.since)
        if self._early is not None:
            for topic, text in self._early.look(now):
                self._notice_once(now, topic, text)

    def _ended_well(self, exit_: Exit) -> bool:
        """Whether it ended by itself and well: what it was at is then done. One that was told to end may have been amid it."""
        phase = self._journal.state.workers[self._worker].phase
        told_to = exit_.stopped or exit_.taken is not None or isinstance(phase, Stopping)
        return exit_.known and exit_.code == 0 and not told_to

    def _note_start(self, now: float) -> None:
        if isinstance(self._journal.state.workers[self._worker].phase, Launching):
            started = self._runner.started(self.folder)
            if started is not None:
                self._journal.note(
                    ev.WorkerStarted(now, self._worker, self._attempt, started.pid, started.handle)
                )
            else:
                self._note_queue(now)

    def _note_queue(self, now: float) -> None:
        text = self._runner.queued(self.folder)
        phase = self._journal.state.workers[self._worker].phase
        if text is not None and isinstance(phase, Launching) and phase.waits_for != text:
            self._journal.note(ev.WorkerQueued(now, self._worker, self._attempt, text))

    def _note_exit(self, now: float, exit_: Exit, *, is_read: bool) -> None:
        if not is_read:
            self._notice(now, NOT_READ)
        last = self._file.remainder() if is_read else None
        if last is not None:
            self._count = self._count._replace(offset=last.end)
            # A torn end is counted as bad, but is no complete line.
            self._note_records(now, [last], complete=0 if isinstance(last.record, BadLine) else 1)
        if isinstance(self._journal.state.workers[self._worker].phase, ALIVE):
            ended_by_us = isinstance(self._journal.state.workers[self._worker].phase, Stopping)
            words = (
                None
                if ended_by_us and exit_.signal
                else crashes.words_of(self.folder / "training.log", exit_)
            )
            rebooted = self._runner.boot_lost(self.folder)
            again = rebooted or exit_.requeue
            self._journal.note(
                ev.WorkerExited(
                    now,
                    self._worker,
                    self._attempt,
                    exit_.code,
                    exit_.signal,
                    exit_.known,
                    exit_.leftovers,
                    reason=OUT_OF_MEMORY if exit_.oom else exit_.taken or exit_.refused,
                    last_words=words,
                    mend=None if words is None else self._mend_of(words),
                    rebooted=rebooted,
                    resumable=again and _has_files(self._output),
                    taken=exit_.taken is not None,
                )
            )
        self.done = True
        self.close()

    def _mend_of(self, words: str) -> str | None:
        cwd = self._journal.state.spec.worker(self._worker).cwd
        return crashes.mend_of(words, root=self._root, worktree=self._worktree, cwd=cwd)

    def _note_lines(self, now: float, within: Slice) -> bool:
        while (more := self._note_batch(now)) and not within.is_used:
            pass
        return more

    def _note_batch(self, now: float) -> bool:
        batch = self._file.read(AT_ONCE_BYTES)
        if batch.restarted is not None:
            self._notice_file(now, f"its metrics file was {batch.restarted} and is read anew")
        if batch.problem is not None and batch.problem != self._problem:
            self._notice_file(now, f"its metrics cannot be read: {batch.problem}")
        self._problem = batch.problem
        if batch.position is not None and batch.lines:
            self._count = self._count._replace(
                offset=batch.position.offset, device=batch.position.device, inode=batch.position.inode
            )
            self._note_records(now, batch.lines, complete=len(batch.lines))
        return batch.more

    def _note_records(self, now: float, lines: list[Line], *, complete: int) -> None:
        bad: list[BadLine] = []
        epoch, end_reason, doing = 0, None, None
        for line in lines:
            record = self._take(now, line)
            match record:
                case BadLine():
                    bad.append(record)
                case Epoch(epoch=number) | Check(epoch=number):
                    epoch = max(epoch, number)
                case End(reason=reason):
                    end_reason = reason
                case Other(text=str(text)):
                    doing = printable(text, MOST_DOING)
                case _:
                    pass
        first_bad = f"{bad[0].reason}: {bad[0].excerpt}" if bad else None
        old = self._count
        self._count = old._replace(
            lines=old.lines + complete,
            bad_lines=old.bad_lines + len(bad),
            epoch=max(old.epoch, epoch),
            first_bad=old.first_bad or first_bad,
        )
        self._journal.writer.set_position(self._worker, self._attempt, self._count)
        self._journal.note(
            ev.LinesRead(now, self._worker, complete, len(bad), epoch, first_bad, end_reason, doing)
        )

    def _take(self, now: float, line: Line) -> Start | Epoch | Check | End | Other | BadLine:
        """Keep the line, judge it where it is a check; returns what it turned out to be."""
        writer, worker, attempt = self._journal.writer, self._worker, self._attempt
        record = line.record
        if isinstance(record, Epoch | Check):
            self._look_for_lost_numbers(now, line.raw, record)
        match record:
            case Epoch():
                writer.add_epoch(worker, attempt, record.epoch, now, line.raw)
            case Check():
                return self._take_check(now, line, record)
            case Start():
                writer.add_record(worker, attempt, "start", now, line.raw)
                self._note_info(now, record.info or {})
            case End():
                writer.add_record(worker, attempt, "end", now, line.raw)
            case Other():
                writer.add_record(worker, attempt, "other", now, line.raw)
            case BadLine():
                pass
        return record

    def _take_check(self, now: float, line: Line, check: Check) -> Check | BadLine:
        state = self._journal.state
        problem = self._ids_problem(now, check)
        if problem is not None:
            return BadLine(problem, excerpt(line.raw))
        max_epochs = state.spec.epochs_of(state.spec.worker(self._worker))
        judged = is_planned(check.epoch, state.spec.check_every, max_epochs) and not state.workers[
            self._worker
        ].has_judged(check.epoch)
        results = (
            referee.judge(
                state.spec.success, check.metrics, check.samples or {}, divisor=self._journal.divisor
            )
            if judged
            else ()
        )
        lost = state.workers[self._worker].lost_behind(results)
        if judged and lost is not None:
            judged = False
            since = state.workers[self._worker].lost_since
            self._journal.note(ev.CheckStale(now, self._worker, check.epoch, lost.metric, since))
        self._journal.writer.add_check(
            self._worker,
            self._attempt,
            check.epoch,
            now,
            offset=line.end,
            judged=judged,
            results=results if judged else (),
            raw=line.raw,
        )
        if judged:
            self._tell_of_missing_ids(now, check)
            unfair = None
            if all(result.met for result in results):
                unfair = self._unfair(check)
            self._journal.note(
                ev.CheckJudged(
                    now, self._worker, self._attempt, check.epoch, results, check.checkpoint, unfair
                )
            )
        return check

    def _tell_of_missing_ids(self, now: float, check: Check) -> None:
        """A worker whose samples cannot be compared with the others' is told so once."""
        other = self._other_with_ids(check)
        if other is not None and self._worker not in self._journal.state.without_ids:
            self._journal.note(ev.SampleIdsMissing(now, self._worker, other))

    def _other_with_ids(self, check: Check) -> str | None:
        """Who sent sample ids, where this check has none to be compared by."""
        state = self._journal.state
        missing = referee.cannot_be_compared(state.spec.success, check.samples or {})
        return state.ids_first if missing else None

    def _unfair(self, check: Check) -> str | None:
        """Why a check that met every criterion cannot count all the same."""
        state = self._journal.state
        if state.is_refused(self._worker):
            return foreign_code(state.foreign[self._worker])
        first = state.other_data(self._worker)
        if first is not None:
            return f"its data are not those of {first}: their checksums differ"
        other = self._other_with_ids(check)
        if other is not None:
            return no_ids(other)
        return changed_judge_file(self._worktree, state.judge_files)

    def _note_info(self, now: float, info: Mapping[str, object]) -> None:
        """What a start record says that matters for fair play."""
        digest, foreign = info.get("data"), info.get("foreign_modules")
        if info.get("on_win") == "settle" and not self._journal.state.workers[self._worker].saves_late:
            self._journal.note(ev.SettlingAsked(now, self._worker))
        if isinstance(digest, str) and self._journal.state.data.get(self._worker) != digest:
            self._journal.note(ev.DataReported(now, self._worker, digest))
            first = self._journal.state.other_data(self._worker)
            if first is not None:
                self._notice(now, f"its data are not those of {first}: its checks will not count")
        if isinstance(foreign, list) and foreign:
            shown = ", ".join(printable(str(name), 200) for name in foreign[:3])
            more = ", …" if len(foreign) > 3 else ""
            self._journal.note(ev.ForeignCodeReported(now, self._worker, shown + more))

    def _ids_problem(self, now: float, check: Check) -> str | None:
        """Samples with ids must be the same for every worker and check; the first check of the race fixes them."""
        samples = check.samples or {}
        problem = referee.ids_problem(samples)
        digest = None if problem is not None else referee.ids_digest(samples)
        if digest is None:
            return problem
        fixed = self._journal.state.sample_ids
        if fixed is None:
            self._journal.note(ev.SampleIdsFixed(now, self._worker, digest))
            return None
        return None if digest == fixed else "its sample ids are not those of the race's first check"

    def _look_for_lost_numbers(self, now: float, raw: bytes, record: Epoch | Check) -> None:
        """Tell of a loss, or of a metric that a criterion uses, that is NaN or infinite, and of its coming back."""
        lost = self._journal.state.workers[self._worker].lost
        if lost is None and not _may_hold_no_number(raw):
            return
        found = next((name for name, value in record.metrics.items() if self._is_lost(name, value)), None)
        if found is None:
            if lost is not None and _is_finite_in(record, lost.metric):
                self._journal.note(ev.MetricFinite(now, self._worker, record.epoch, lost.metric))
            return
        metric, value = printable(found, LONGEST_METRIC), str(record.metrics[found])
        running = 1 if lost is None else lost.running + 1
        if running <= ev.NOT_FINITE_LIMIT:
            self._journal.note(ev.MetricNotFinite(now, self._worker, record.epoch, metric, value, running))
        if "loss" in found.lower():
            text = f"{LOST_LOSS}: {metric} is {value} at epoch {record.epoch}"
            self._notice_once(now, LOST_LOSS, text)

    def _is_lost(self, name: str, value: object) -> bool:
        watched = name in self._must_be_finite or "loss" in name.lower()
        return watched and isinstance(value, float) and not math.isfinite(value)

    def _notice_file(self, now: float, text: str) -> None:
        if now >= self._quiet_until.get(text, now):
            self._quiet_until[text] = now + NOTICE_AGAIN_AFTER_S
            self._notice(now, text)

    def _notice_once(self, now: float, topic: str, text: str) -> None:
        """Once of this attempt, also where another supervisor reads all of it once more."""
        of_attempt = f"attempt {self._attempt}: {topic}"
        if (self._worker, of_attempt) not in self._journal.state.topics:
            self._journal.note(ev.Noticed(now, self._worker, text, of_attempt))

    def _notice(self, now: float, text: str) -> None:
        self._journal.note(ev.Noticed(now, self._worker, text))
