"""A worker's foreign sources, translated into records that are appended to its `metrics.jsonl`.

The supervisor reads that file as it reads every other worker's. It is also the translation's only memory: whoever
takes over reads it, reads the sources once more from their beginning, and appends what is not there yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.config import sources
from wtrace.data import data
from wtrace.files import open_regular
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.foreign import source_files
from wtrace.metrics.foreign.base import Anew, OwnLine, Problem
from wtrace.metrics.foreign.check_builder import Translator, plan_of
from wtrace.metrics.foreign.csv_file import CsvFile
from wtrace.metrics.foreign.event_file import EventFile
from wtrace.metrics.foreign.log_lines import CpuLimit, LogLines, TookTooLongError
from wtrace.metrics.foreign.numbering import Numbering
from wtrace.metrics.foreign.old_files import LEFTOVERS, OldFiles, read_leftovers, write_leftovers
from wtrace.metrics.foreign.source_files import (
    MOST_ENTRIES,
    MOST_FILES,
    MOST_FOLDERS,
    Leftover,
    Where,
    search,
)
from wtrace.metrics.foreign.trainer_state import TrainerState
from wtrace.metrics.foreign.witness import Witness
from wtrace.metrics.proposals.near import Near, nearest
from wtrace.metrics.records import Check, Epoch, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from wtrace.config.spec import MetricsSpec
    from wtrace.metrics.foreign.base import Item, Reader
    from wtrace.metrics.foreign.check_builder import Made, Plan
    from wtrace.metrics.foreign.rows import Reading
    from wtrace.metrics.foreign.source_files import Found
    from wtrace.metrics.slices import Slice
    from wtrace.race.context import RaceContext

LONGEST_HINT = 300  # characters
NEAREST_LIMIT_S = 0.2  # of processor time


@data
class Watched:
    """What to watch: a change of any of these means that `pump` may have something to do."""

    files: frozenset[Path]
    folders: frozenset[Path]


NOTHING_WATCHED = Watched(frozenset(), frozenset())


class Translation:
    """Follows one attempt's sources. Call `pump` whenever something changed; nothing here waits or raises."""

    def __init__(
        self,
        spec: MetricsSpec,
        plan: Plan,
        *,
        metrics: Path,
        log: Path,
        where: Where | None,
        leftovers: Mapping[str, Leftover],
        note_leftovers: Callable[[Mapping[str, Leftover]], None] | None = None,
        hints: Iterable[str] = (),
        witness: Witness | None = None,
    ) -> None:
        """`where` is None where the log is the source. Appends to `metrics`, which exists. `hints`: the first ones.

        `leftovers` lay there before; `note_leftovers` writes down which of them still count as that.
        """
        self._spec = spec
        self._wanted = plan.wanted
        self._log = log
        self._where = where
        self._old_files = OldFiles(leftovers, note_leftovers)
        self._translator = Translator(plan)
        self._passed_on: Counter[bytes] = Counter()
        self._mirror = _Mirror(metrics)
        self._readers: dict[Path, Reader] = {}  # in the order in which they were found
        self._numberings: dict[Path, Numbering] = {}
        self._origins: dict[Path, int] = {}
        self._next = 0  # of the readers: whose turn it is
        self._unread = 0  # how many of them have not said that they have no more
        self._has_ended = False
        self._search: Iterator[Found | None] | None = None  # one that is not at its end
        self._folders: frozenset[Path] = frozenset()
        self._told: set[str] = set()
        self._found_any = False
        self._hints = list(hints)
        self.witness = witness or Witness()
        self._recall(metrics)

    @property
    def watched(self) -> Watched:
        """The files and folders that were found so far."""
        return Watched(frozenset(self._readers), self._folders)

    @property
    def hindered(self) -> bool:
        """Whether records wait for the disk: call `pump` again in a while."""
        return self._mirror.is_behind

    @property
    def emptiness(self) -> str | None:
        """Why nothing was found until now, in words; None where something was."""
        if self._found_any:
            return None
        if self._where is None:
            what = "matches its pattern" if self._spec.pattern else "holds an object of JSON with a metric"
            return f"no line of its log {what}"
        path = self._spec.path or sources.DEFAULT_PATHS[self._spec.source]
        return f"no epoch was found in {path}" if self._readers else f"no file of this attempt is {path}"

    @property
    def silence(self) -> str | None:
        """Why no metric was found until now, in words; None where one was."""
        if self.emptiness is not None or not self._reads_lines:
            return self.emptiness
        if self.witness.with_values:
            self.witness.forget()  # nobody will ask which line comes nearest
            return None
        return "lines of its log tell an epoch, and none tells a metric"

    @property
    def lines_seen(self) -> int | None:
        """How many lines there were; None where the source has none."""
        return self.witness.lines if self._reads_lines and self._readers else None

    @property
    def is_seldom_written(self) -> bool:
        """Whether the source is written with each checkpoint only, so that silence means little."""
        return self._spec.source == "hf"

    @property
    def _reads_lines(self) -> bool:
        return self._spec.source in {"stdout", "jsonl"}

    def nearest(self) -> Near | None:
        """The line of the log that comes nearest to the pattern; None where there is no pattern, or nothing near it."""
        if self._spec.pattern is None:
            return None
        try:
            with CpuLimit(NEAREST_LIMIT_S):
                return nearest(self._spec.pattern, self.witness.rows)
        except (TookTooLongError, RecursionError):
            return None

    def pump(self, *, ended: bool, whole: bool = True, within: Slice | None = None) -> bool:
        """Translate what is new. True: there is more than one turn should take.

        `ended`: nobody writes any more. `whole`: it ended by itself and well, so that its last epoch is no part of one.
        A piece of a file at least is read, whatever is left `within` this slice.
        """
        if not self._mirror.write([]):
            return False
        if ended and not self._has_ended:
            self._has_ended, self._unread = (
                True,
                0,
            )  # once more all of them: what was written before the end is then read
        for path in self._old_files.written_anew():
            self._begin_again(path)
        searching = self._look()
        lines, more = self._read_pieces(within)
        more = more or searching
        if not more:
            if ended:
                lines += self._rest(whole=whole)
            left = self._translator.finish(whole=whole) if ended else self._translator.flush()
            lines += map(_encoded, left)
        self._mirror.write(lines)
        return more

    def _rest(self, *, whole: bool) -> list[bytes]:
        lines: list[bytes] = []
        for path, reader in self._readers.items():
            lines += self._translated(path, reader.finish(whole=whole))
            lines += self._taken(path, self._numberings[path].finish(whole=whole))
        return lines

    def take_hints(self) -> list[str]:
        """What a person should know, since the last call; each safe for a terminal."""
        hints = [*self._hints, *self._translator.hints]
        self._hints.clear()
        self._translator.hints.clear()
        return [printable(hint, LONGEST_HINT) for hint in hints]

    def close(self) -> None:
        """Let go of all files."""
        for reader in self._readers.values():
            reader.close()

    def _read_pieces(self, within: Slice | None) -> tuple[list[bytes], bool]:
        """A piece of each file, in turn, and of each again while the slice lasts; what it says, and whether there is more.

        There is more until all have said, one after the other, that they have none. That may take several slices.
        """
        readers = list(self._readers.items())
        if not self._unread or self._unread > len(readers):
            self._unread = len(readers)
        lines: list[bytes] = []
        reads = 0
        while self._unread and (reads < len(readers) if within is None else not (reads and within.is_used)):
            path, reader = readers[self._next % len(readers)]
            items, has_more = reader.read()
            lines += self._translated(path, items)
            self._unread = len(readers) if has_more else self._unread - 1
            self._next += 1
            reads += 1
        self._next = self._next % len(readers) if self._unread else 0
        return lines, self._unread > 0

    def _recall(self, metrics: Path) -> None:
        file = MetricsFile(metrics)
        more = True
        while more:
            batch = file.read()
            for line in batch.lines:
                self._passed_on[_digest(line.raw)] += 1
                if isinstance(line.record, Check | Epoch):
                    is_check = isinstance(line.record, Check)
                    self._translator.recall(line.record.epoch, line.record.metrics, is_check=is_check)
            more = batch.more
        file.close()

    def _look(self) -> bool:
        """Find files that were not there before, some at a time; True: there is more to look at."""
        if self._where is None:
            if self._log not in self._readers:
                self._add(self._log, 0)
            return False
        self._search = self._search or search(self._where)
        found = next(self._search)
        if found is None:
            return True
        self._search = None
        self._folders = frozenset(found.folders)
        for path in found.files:
            if path in self._readers:
                continue
            if len(self._readers) >= MOST_FILES:
                self._forget_all_but(found.files)
            if len(self._readers) < MOST_FILES:
                self._add(path, self._old_files.bytes_to_skip(path))
        if found.too_many:
            self._hint(
                "too many",
                f"more than {MOST_FILES} files, {MOST_FOLDERS} folders or {MOST_ENTRIES} entries lie where its metrics are "
                "looked for: name fewer",
            )
        return False

    def _forget_all_but(self, there: Iterable[Path]) -> None:
        """Let go of files that were removed, such as a trainer's older checkpoints."""
        for path in self._readers.keys() - set(there):
            self._readers.pop(path).close()
            del self._numberings[path]

    def _add(self, path: Path, skip: int) -> None:
        self._readers[path] = self._reader(path, skip)
        self._numberings[path] = self._numbering()
        self._origins.setdefault(path, len(self._origins))

    def _begin_again(self, path: Path) -> None:
        if path in self._readers:
            self._readers[path].close()
            self._add(path, 0)
            self._translator.anew(self._origins[path])

    def _reader(self, path: Path, skip: int) -> Reader:
        key = sources.epoch_key(self._spec)
        match self._spec.source:
            case "tensorboard":
                return EventFile(path, key, skip=skip)
            case "csv":
                must_name = self._spec.epoch_key is not None
                name = key or sources.EPOCH
                return CsvFile(path, name, must_name=must_name, skip=skip, witness=self.witness)
            case "hf":
                return TrainerState(path, key or sources.EPOCH, skip=skip)
        pattern = self._spec.pattern
        return LogLines(path, key or sources.EPOCH, pattern=pattern, skip=skip, witness=self.witness)

    def _translated(self, path: Path, items: Iterable[Item]) -> list[bytes]:
        lines: list[bytes] = []
        for item in items:
            self._found_any = self._found_any or not isinstance(item, Problem | Anew)
            if isinstance(item, Problem):
                self._hint(item.kind, item.text)
            elif isinstance(item, Anew):
                self._numberings[path] = self._numbering()
                self._translator.anew(self._origins[path])
            elif not isinstance(item, OwnLine):
                lines += self._taken(path, self._numberings[path].take(item))
            elif self._passed_on[digest := _digest(item.raw)]:
                self._passed_on[digest] -= 1
            else:
                lines.append(item.raw)
        return lines

    def _taken(self, path: Path, found: Iterable[Reading]) -> list[bytes]:
        """The records that are ripe because of these readings of a file."""
        numbering = self._numberings[path]
        for kind, text in numbering.hints:
            self._hint(kind, text)
        numbering.hints.clear()
        origin = self._origins[path]
        return [_encoded(record) for reading in found for record in self._translator.take(reading, origin)]

    def _numbering(self) -> Numbering:
        spec = self._spec
        repeats = spec.pattern is not None
        return Numbering(self._wanted, comes=spec.epoch_comes, counts=sources.counts(spec), repeats=repeats)

    def _hint(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._hints.append(f"its metrics: {text}")


class _Mirror:
    """Appends whole lines to a file; what the disk does not take waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = b""
        self._torn = not _ends_whole(path)  # then that stays a line of its own

    @property
    def is_behind(self) -> bool:
        return bool(self._waiting)

    def write(self, lines: list[bytes]) -> bool:
        """Append the lines, and those that wait. False: some wait."""
        if lines:
            self._waiting += b"".join([b"\n" if self._torn else b"", *(line + b"\n" for line in lines)])
            self._torn = False
        if not self.is_behind:
            return True
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            while self._waiting:
                self._waiting = self._waiting[os.write(fd, self._waiting) :]
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def _ends_whole(path: Path) -> bool:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read(1) in {b"", b"\n"}
    except OSError:
        return True


def _encoded(record: Made) -> bytes:
    return json.dumps(record).encode()


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()


def translation_of(race: RaceContext, worker: str, folder: Path) -> Translation | None:
    """The translation of an attempt whose folder this is; None where the worker writes records itself."""
    spec = race.spec.worker(worker)
    metrics = race.spec.metrics_of(spec)
    if sources.is_own(metrics):
        return None
    return Translation(
        metrics,
        plan_of(race.spec, spec, metrics),
        metrics=folder / "metrics.jsonl",
        log=folder / "training.log",
        where=_where(race, worker),
        leftovers=read_leftovers(folder),
        note_leftovers=partial(_note_again, folder),
        hints=sources.doubts(race.spec, spec),
    )


def note_leftovers(race: RaceContext, worker: str, folder: Path) -> None:
    """Write down, once and before the attempt begins, which of the files that will be read lie there already.

    What they hold comes from an earlier attempt or from a run by hand, and is not this attempt's.
    """
    where, file = _where(race, worker), folder / LEFTOVERS
    if where is None or file.exists():
        return
    write_leftovers(file, source_files.leftovers(where))


def _note_again(folder: Path, left: Mapping[str, Leftover]) -> None:
    """One of them was written anew since. Where the disk does not take it, it is found out once more."""
    with contextlib.suppress(OSError):
        write_leftovers(folder / LEFTOVERS, left)


def _where(race: RaceContext, worker: str) -> Where | None:
    spec = race.spec.worker(worker)
    place = sources.files_place(race.spec.metrics_of(spec))
    if place is None:
        return None
    worktree = Path(race.places[worker].worktree)
    return source_files.located(place, output=race.layout.output(worker), worktree=worktree, cwd=spec.cwd)
