"""Read a log or a metrics file as a race would, without a race."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.metrics.follower import MetricsFile
from wtrace.metrics.foreign.event_file import EventFile
from wtrace.metrics.foreign.log_lines import LogLines
from wtrace.metrics.foreign.rows import Reading
from wtrace.metrics.foreign.source_files import Where
from wtrace.metrics.foreign.trainer_state import TrainerState
from wtrace.metrics.foreign.translation import Translation
from wtrace.metrics.foreign.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wtrace.config.spec import MetricsSource, MetricsSpec
    from wtrace.metrics.foreign.check_builder import Plan
    from wtrace.metrics.foreign.source_files import Leftover
    from wtrace.metrics.records import Record

MOST_ROWS = 20_000
SHOWN = 3  # of the first matching lines, and of the last


@data
class Read:
    """What came of it: the records are in the file `records`; `emptiness` says why nothing was found, in words."""

    records: Path
    witness: Witness
    hints: tuple[str, ...]
    emptiness: str | None


def only(path: Path) -> Where:
    """The place that is this one file."""
    return Where(path.parent, (re.sub(r"([*?[])", r"[\1]", path.name),))


def translate(
    spec: MetricsSpec,
    plan: Plan,
    *,
    log: Path,
    where: Where | None,
    leftovers: Mapping[str, Leftover],
    records: Path,
    ended: bool,
) -> Read:
    """Read a source that is no file of records; these are written to `records`, which must not exist yet.

    `ended`: nobody writes any more, and the training came to its end by itself.
    """
    records.touch(mode=0o600)
    witness = Witness(matches=SHOWN)
    translation = Translation(
        spec, plan, metrics=records, log=log, where=where, leftovers=leftovers, witness=witness
    )
    hints: list[str] = []
    more = True
    while more and not translation.hindered:
        more = translation.pump(ended=ended)
        hints += translation.take_hints()
    translation.close()
    return Read(records, witness, tuple(hints), translation.emptiness)


def records_of(path: Path) -> Iterator[Record]:
    """The records of a file in the form of the worker protocol; lines that cannot be used among them."""
    file = MetricsFile(path)
    more = True
    while more:
        batch = file.read()
        yield from (line.record for line in batch.lines)
        more = batch.more
    last = file.remainder()
    if last is not None:
        yield last.record
    file.close()


def readings_of(path: Path, source: MetricsSource) -> list[Reading]:
    """What stands in an event file, or in a trainer's state; of the first, steps are taken for epochs."""
    reader = EventFile(path, None) if source == "tensorboard" else TrainerState(path, "epoch")
    found: list[Reading] = []
    more = True
    while more and len(found) < MOST_ROWS:
        items, more = reader.read()
        found += [item for item in items if isinstance(item, Reading)]
    reader.close()
    return found


def rows_of(path: Path) -> list[str]:
    """The first lines of a log as a terminal shows them, without colours."""
    witness = Witness(rows=MOST_ROWS)
    reader = LogLines(path, "epoch", witness=witness)
    more = True
    while more and witness.lines < MOST_ROWS:
        _, more = reader.read()
    if not more:
        reader.finish(whole=True)
    reader.close()
    return witness.rows
