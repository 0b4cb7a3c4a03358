"""How `wtrace try` reads what it is given: by the config where that finds something there, else by what is proposed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.cli.terminal.trial_view import Tried
from wtrace.config import sources
from wtrace.config.spec import MetricsSpec, RaceSpec, WorkerSpec
from wtrace.data import data, replace
from wtrace.judging import referee
from wtrace.metrics.foreign import trial
from wtrace.metrics.foreign.check_builder import Plan, plan_of
from wtrace.metrics.foreign.source_files import Leftover, Where
from wtrace.metrics.foreign.witness import Witness
from wtrace.metrics.proposals import files
from wtrace.metrics.proposals.near import nearest
from wtrace.metrics.proposals.propose import (
    propose,
    propose_for_objects,
    propose_for_table,
    propose_for_values,
)
from wtrace.metrics.proposals.suggest import suggest
from wtrace.metrics.records import BadLine, Check, Epoch
from wtrace.race.trial import JudgedCheck, ReportedCheck, judged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtrace.config.spec import MetricsSource
    from wtrace.config.template import Suggestion
    from wtrace.metrics.proposals.propose import Proposal
    from wtrace.metrics.records import Record

BEGINNING_BYTES = 64 * 1024
LOOKED_AT = 1000  # lines, for one of the worker protocol
ALL_EPOCHS = 2**31  # without a config every epoch is of interest
NOT_CONFIGURED = "no source of metrics is configured, and nothing in it is a line of the worker protocol"


@data
class Setting:
    """The repo and its config, as far as there are any, and the worker as whose it is read."""

    root: Path | None = None
    spec: RaceSpec | None = None
    worker: WorkerSpec | None = None

    @property
    def metrics(self) -> MetricsSpec | None:
        """Where the config says that this worker's metrics come from."""
        return None if self.spec is None or self.worker is None else self.spec.metrics_of(self.worker)

    def plan(self, metrics: MetricsSpec) -> Plan:
        """Which epochs are judged of a source that is read so; without a config, all."""
        if self.spec is None or self.worker is None:
            key = sources.epoch_key(metrics)
            return Plan(1, ALL_EPOCHS, frozenset(), metrics.first_epoch, epoch_key=key)
        return plan_of(self.spec, self.worker, metrics)


@data
class Input:
    """What is read: a log, or files at a place. `told` names it. `ended`: its training came to its end by itself."""

    told: str
    log: Path
    where: Where | None = None
    leftovers: Mapping[str, Leftover] = field(default_factory=dict)
    ended: bool = True
    own: Path | None = None  # the records that the worker wrote itself


def answer(setting: Setting, given: Input, folder: Path) -> Tried:
    """What was read, and where it would stand. `folder` is for files of its own."""
    records = given.own or given.log
    if (setting.metrics is None or sources.is_own(setting.metrics)) and _holds_records(records):
        return _tried(setting, given, MetricsSpec(), trial.Read(records, Witness(), (), None))
    found = _as_configured(setting, given, folder)
    if found is not None and found.epochs:
        return found
    proposal = _proposal(setting, given)
    if proposal is None:
        nothing = found or _with_its_problems(setting, given, folder)
        return replace(nothing, emptiness=nothing.emptiness or "nothing in it looks like metrics")
    path = None if proposal.source == "stdout" else _path(setting, given)
    spec = _spec_of(proposal, path)
    read = _translate(setting, spec, given, folder / "proposed.jsonl")
    tried = _tried(setting, given, spec, read)
    emptiness = NOT_CONFIGURED if found is None and setting.spec is not None else None
    if found is not None:
        emptiness, near = found.emptiness, found.near
        return replace(tried, proposal=proposal, path=path, emptiness=emptiness, near=near)
    return replace(tried, proposal=proposal, path=path, emptiness=emptiness)


def answer_as_any(setting: Setting, given: Input, folder: Path) -> Tried:
    """As `answer`, where no worker is named: as that of the first one in whose way something is read.

    A note names the others, where that makes a difference.
    """
    spec = setting.spec
    if spec is None:
        return answer(setting, given, folder)
    racing = [worker for worker in spec.workers if not worker.control] or list(spec.workers)
    ways: dict[MetricsSpec, WorkerSpec] = {}
    for worker in racing:
        ways.setdefault(spec.metrics_of(worker), worker)
    first: Tried | None = None
    for number, worker in enumerate(ways.values()):
        own_folder = folder / str(number)
        own_folder.mkdir()
        found = answer(replace(setting, worker=worker), given, own_folder)
        if found.is_configured and found.epochs:
            return replace(found, notes=(*found.notes, *_of_others(spec, worker, racing)))
        first = first or found
    assert first is not None
    assert first.worker is not None
    return replace(first, notes=(*first.notes, *_of_others(spec, first.worker, racing)))


def _of_others(spec: RaceSpec, worker: WorkerSpec, racing: Sequence[WorkerSpec]) -> Iterator[str]:
    """Whose files are read in another way than this worker's, and for whom other epochs are planned."""
    metrics = spec.metrics_of(worker)
    read = [each.name for each in racing if spec.metrics_of(each) != metrics]
    if read:
        yield f"this is how {worker.name} is read, and {', '.join(read)} in another way: `--worker NAME`"
    planned = [
        f"{each.name} up to {spec.epochs_of(each)}"
        for each in racing
        if spec.metrics_of(each) == metrics and spec.epochs_of(each) != spec.epochs_of(worker)
    ]
    if planned:
        yield f"{worker.name} is judged up to {spec.epochs_of(worker)}, and {', '.join(planned)}: `--worker NAME`"


def _with_its_problems(setting: Setting, given: Input, folder: Path) -> Tried:
    """What the reader of its kind has to say of a file in which nothing is found."""
    kind = _kind(given.log)
    spec = MetricsSpec() if kind == "stdout" else MetricsSpec(kind, path=_path(setting, given))
    if kind == "stdout":
        return _tried(setting, given, spec, trial.Read(folder / "none", Witness(), (), None))
    return replace(
        _tried(setting, given, spec, _translate(setting, spec, given, folder / "kind.jsonl")), emptiness=None
    )


def _as_configured(setting: Setting, given: Input, folder: Path) -> Tried | None:
    """As the config has it; None where that says nothing of such a file."""
    spec = setting.metrics
    if spec is None or sources.is_own(spec):
        return None
    if given.where is None and not _is_read_so(spec, _kind(given.log)):
        return None
    read = _translate(setting, spec, given, folder / "configured.jsonl")
    tried = _tried(setting, given, spec, read)
    if tried.epochs:
        return tried
    near = nearest(spec.pattern, read.witness.rows) if spec.pattern is not None else None
    why = read.emptiness or "lines that tell an epoch match, and none that tells a metric"
    return replace(tried, emptiness=why, near=near)


def _is_read_so(spec: MetricsSpec, kind: MetricsSource) -> bool:
    """Whether a file of this kind can be what the config means: lines are lines, whatever they are called."""
    by_lines = {"jsonl", "stdout"}
    return spec.source == kind or (spec.source in by_lines and kind in by_lines)


def _kind(path: Path) -> MetricsSource:
    return files.kind_of(path.name, _beginning(path))


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(BEGINNING_BYTES).decode("utf-8", "replace")


def _holds_records(path: Path) -> bool:
    """Whether lines of the worker protocol stand at its beginning."""
    if not path.is_file():
        return False
    some = (record for record, _ in zip(trial.records_of(path), range(LOOKED_AT), strict=False))
    return any(isinstance(record, Check | Epoch) for record in some)


def _translate(setting: Setting, spec: MetricsSpec, given: Input, records: Path) -> trial.Read:
    is_log = sources.files_place(spec) is None
    where = None if is_log else given.where or trial.only(given.log)
    return trial.translate(
        spec,
        setting.plan(spec),
        log=given.log,
        where=where,
        leftovers=given.leftovers,
        records=records,
        ended=given.ended,
    )


def _tried(setting: Setting, given: Input, metrics: MetricsSpec, read: trial.Read) -> Tried:
    """What the records say, each check judged as it comes: its samples are not kept."""
    epochs: dict[int, dict[str, object]] = {}
    bad: list[BadLine] = []
    lines = [0]
    checks = _checks(
        trial.records_of(read.records) if read.records.exists() else iter(()), epochs, bad, lines
    )
    if setting.spec is None or setting.worker is None:
        list(checks)
        found: tuple[JudgedCheck, ...] = ()
    else:
        found = tuple(judged(setting.spec, setting.worker.name, checks))
    if sources.is_own(metrics):
        read.witness.lines, read.witness.matched = lines[0], lines[0] - len(bad)
    notes = [*read.hints, *(f"{each.reason}: {each.excerpt}" for each in bad[:1])]
    if setting.spec is not None and setting.worker is not None:
        notes += sources.doubts(setting.spec, replace(setting.worker, metrics=metrics))
    return Tried(
        given.told,
        metrics,
        read.witness,
        epochs,
        found,
        tuple(notes),
        setting.spec,
        setting.worker,
        emptiness=read.emptiness,
        bad_lines=len(bad),
    )


def _checks(
    records: Iterator[Record], epochs: dict[int, dict[str, object]], bad: list[BadLine], lines: list[int]
) -> Iterator[ReportedCheck]:
    """The checks among the records; what else they say is added to the others.

    As in a race, samples with ids are the same at every check: those of the first one.
    """
    ids: str | None = None
    for record in records:
        lines[0] += 1
        if isinstance(record, BadLine):
            bad.append(record)
        if isinstance(record, Epoch | Check):
            epochs.setdefault(record.epoch, {}).update(record.metrics)
        if isinstance(record, Check):
            samples = record.samples or {}
            digest = referee.ids_digest(samples)
            problem = referee.ids_problem(samples)
            if problem is None and digest is not None and ids is not None and digest != ids:
                problem = "its sample ids are not those of the first check"
            ids = ids or digest
            if problem is not None:
                bad.append(BadLine(problem, f"the check at epoch {record.epoch}"))
                continue
            yield ReportedCheck(record.epoch, record.metrics, record.samples or {})


def _proposal(setting: Setting, given: Input) -> Proposal | None:
    """How the file, or the log, could be read."""
    kind = _kind(given.log)
    if kind in {"tensorboard", "hf"}:
        return propose_for_values(kind, [reading.values for reading in trial.readings_of(given.log, kind)])
    rows = trial.rows_of(given.log)
    if kind == "csv":
        return propose_for_table(rows[0], rows[1:]) if rows else None
    if kind == "jsonl":
        return propose_for_objects(rows)
    wanted = () if setting.spec is None else [name for each in setting.spec.success for name in each.metrics]
    return propose(rows, wanted)


def _path(setting: Setting, given: Input) -> str:
    return files.path_of(str(given.log), None if setting.root is None else str(setting.root))


def _spec_of(proposal: Proposal, path: str | None) -> MetricsSpec:
    return MetricsSpec(
        proposal.source,
        proposal.pattern,
        path,
        epoch_key=proposal.epoch_key,
        first_epoch=proposal.first_epoch,
        epoch_comes=proposal.epoch_comes,
    )


def suggested(root: Path, file: Path, told: str) -> Suggestion | None:
    """What a log suggests for a config; None where nothing in it looks like metrics."""
    setting, given = Setting(root), Input(told, file)
    with tempfile.TemporaryDirectory(prefix="wtrace-try-") as folder:
        found = answer(setting, given, Path(folder))
    return None if found.proposal is None else suggest(told, found.proposal, found.path, found.epochs)
