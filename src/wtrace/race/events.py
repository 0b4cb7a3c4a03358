"""What happened, in the past tense. The journal holds these; the state of a race is what they amount to.

`at` is always in seconds since 1970, by the clock of the machine that supervises.
"""

from __future__ import annotations

from typing import Literal

from wtrace.data import data
from wtrace.judging.checks import CriterionStanding
from wtrace.race.open_file import FileId
from wtrace.race.resources import Grant, Machine
from wtrace.race.settling import SettleCause

StopCause = Literal[
    "beaten", "winner", "asked", "stalled", "refuted", "hopeless", "foreign", "past_end", "not_finite"
]
NOT_FINITE_LIMIT = 3
"""So many reports running that are not finite end a worker, where `on_nan` says so."""
RaceOutcome = Literal["won", "no_winner", "stopped"]


@data
class SupervisorStarted:
    """A supervisor took the race over: the first one, or one that resumes."""

    at: float
    pid: int
    resumed: bool


@data
class MachineFound:
    """What the supervisor may hand out."""

    at: float
    machine: Machine


@data
class HybridMade:
    """All others ended without success, and the branches that a hybrid combines were merged into its own."""

    at: float
    worker: str
    commit: str
    worktree: str
    note: str | None = None


@data
class HybridFailed:
    """The branches that a hybrid combines could not be merged; `reason` says why and how to go on by hand."""

    at: float
    worker: str
    reason: str


@data
class WorkerRefused:
    """The worker can never run on this machine; `reason` says what it lacks."""

    at: float
    worker: str
    reason: str


@data
class SetupStarted:
    """The start of a command that prepares the worktree was decided; `step` counts from 1."""

    at: float
    worker: str
    step: int
    grant: Grant | None = None
    ahead_of: tuple[str, ...] = ()  # workers ranked above it that lack something


@data
class SetupSkipped:
    """Nothing of what the set-up depends on has changed since it was done in this worktree."""

    at: float
    worker: str


@data
class SetupStopping:
    """A command that prepares a worktree is being ended: the race is over for its worker."""

    at: float
    worker: str


@data
class SetupEnded:
    """A command that prepares a worktree has ended; `problem` says why it failed."""

    at: float
    worker: str
    step: int
    code: int | None
    signal: int | None
    known: bool
    problem: str | None = None


@data
class WorkerLaunched:
    """The start of an attempt was decided. Stored before the runner is asked, so that it is never asked twice."""

    at: float
    worker: str
    attempt: int
    grant: Grant | None = None  # None in a race recorded before there were any
    ahead_of: tuple[str, ...] = ()


@data
class WorkerQueued:
    """The engine has taken the attempt, and has not started it yet; `text` says what it waits for."""

    at: float
    worker: str
    attempt: int
    text: str


@data
class WorkerStarted:
    """The runner says that the attempt runs."""

    at: float
    worker: str
    attempt: int
    pid: int | None
    handle: str


@data
class LinesRead:
    """New complete lines of a metrics file. Kept as the file's position, not in the journal."""

    at: float
    worker: str
    lines: int
    bad_lines: int
    epoch: int
    first_bad: str | None = None
    end_reason: str | None = None
    doing: str | None = None  # what the training said that it does just now


@data
class SampleIdsFixed:
    """The first check of the race fixed which samples all workers are judged on."""

    at: float
    worker: str
    digest: str


@data
class SampleIdsMissing:
    """A worker's samples carry no ids and those of `other` do: nobody can tell whether both are judged on the same ones."""

    at: float
    worker: str
    other: str


@data
class CheckJudged:
    """The referee judged the first check of a planned epoch."""

    at: float
    worker: str
    attempt: int
    epoch: int
    results: tuple[CriterionStanding, ...]
    checkpoint: str | None = None
    unfair: str | None = None  # every criterion was met, and why it cannot count all the same


@data
class MetricNotFinite:
    """A report's loss, or a metric that a criterion uses, is NaN or infinite (`value`, in words).

    `running`: in how many reports that hold the metric, one after the other. Those beyond `NOT_FINITE_LIMIT` are not told.
    """

    at: float
    worker: str
    epoch: int
    metric: str
    value: str
    running: int


@data
class MetricFinite:
    """The metric that was not finite is a number again."""

    at: float
    worker: str
    epoch: int
    metric: str


@data
class CheckStale:
    """The check of a planned epoch repeats the values of the check before, while `metric` is not finite since epoch `since`.

    Nothing was measured, so it is no check.
    """

    at: float
    worker: str
    epoch: int
    metric: str
    since: int


@data
class JudgeFilesFixed:
    """The files that judge, as they were in every branch when the race began: sha256 by path."""

    at: float
    digests: dict[str, str]


@data
class DataReported:
    """A training said by which checksum its data go."""

    at: float
    worker: str
    digest: str


@data
class SettlingAsked:
    """A training said that it saves after it reports, so that its win has to be waited for."""

    at: float
    worker: str


@data
class StrictnessAsked:
    """`wtrace run --strict`: a worker that runs code from outside of its worktree is refused."""

    at: float


@data
class ForeignCodeReported:
    """A training said which files of the repo it imported although they lie outside of its worktree."""

    at: float
    worker: str
    files: str  # in words, a few of them


@data
class ClaimMade:
    """A check met every criterion."""

    at: float
    worker: str
    epoch: int
    number: int
    checkpoint: str | None = None


@data
class FreezeStarted:
    """What a claim names is to be copied to where nobody changes it, as soon as it is whole."""

    at: float
    number: int
    worker: str


@data
class FreezeWaits:
    """It cannot be copied yet; `text` says why. `whole`: it could be, and only the disk has no room."""

    at: float
    number: int
    worker: str
    text: str
    whole: bool = False


@data
class FreezeFailed:
    """There will be no copy of what a claim names; `problem` says why."""

    at: float
    number: int
    worker: str
    problem: str


@data
class CheckpointFrozen:
    """The checkpoint of a claim was copied to where nobody changes it."""

    at: float
    number: int
    path: str
    sha256: str


@data
class ConfirmationStarted:
    """A claim is being judged again on held-out data."""

    at: float
    number: int
    attempt: int
    worker: str


@data
class ConfirmationQueued:
    """The engine has taken the confirmation, and has not started it yet; its time does not run."""

    at: float
    number: int
    attempt: int
    worker: str
    text: str


@data
class ConfirmationBegan:
    """A confirmation that was queued runs."""

    at: float
    number: int
    attempt: int
    worker: str


@data
class ConfirmationEnded:
    """The confirmation was judged, or failed (`problem`)."""

    at: float
    number: int
    attempt: int
    worker: str
    results: tuple[CriterionStanding, ...] = ()
    problem: str | None = None


@data
class VerdictReached:
    """The first claim that counts. Stored before the first signal goes out."""

    at: float
    worker: str
    epoch: int
    confirmed: bool


@data
class WorkerSettling:
    """A worker that has won, or went on past its last planned check, is let go on until its saves are whole."""

    at: float
    worker: str
    cause: SettleCause
    epoch: int  # a reading of a later epoch says that it has gone on


@data
class SavingSeen:
    """What a settling worker is saving has changed; `logs` are the files (device, inode) that are open all along."""

    at: float
    worker: str
    file: str | None
    logs: tuple[FileId, ...] = ()


@data
class WorkerSettled:
    """A settling worker may be ended; `file`: it still wrote that when its time was over."""

    at: float
    worker: str
    file: str | None = None


@data
class WorkerStalled:
    """No metric for longer than `stall_after`."""

    at: float
    worker: str
    silent_s: float


@data
class WorkerRecovered:
    """A stalled worker reported again."""

    at: float
    worker: str


@data
class WorkerFoundHopeless:
    """The chance that a worker may still succeed, by its checks so far, fell below `[stop] hopeless_below`."""

    at: float
    worker: str
    chance: float
    checks: int


@data
class WorkerPaused:
    """A worker was halted on request."""

    at: float
    worker: str


@data
class WorkerUnpaused:
    """A halted worker was let go on."""

    at: float
    worker: str


@data
class StopAsked:
    """Somebody asked to stop these workers; none named: the race."""

    at: float
    workers: tuple[str, ...]
    by: str


@data
class WorkerStopping:
    """A worker is being ended: SIGTERM now, SIGKILL after the grace period."""

    at: float
    worker: str
    cause: StopCause


@data
class WorkerExited:
    """No process of the attempt is left."""

    at: float
    worker: str
    attempt: int
    code: int | None
    signal: int | None
    known: bool
    leftovers: int = 0
    # Why it could not even be started; how it ended, where more is known than a signal.
    reason: str | None = None
    last_words: str | None = None  # why it failed, by its log
    rebooted: bool = False  # the machine was restarted meanwhile
    resumable: bool = False  # and something lies in its output folder that it can go on from
    taken: bool = False  # the place where it ran took it away: a lost node, a time limit, a preemption
    mend: str | None = None  # what would keep it from failing so again, where that is known


@data
class MachineSlept:
    """The machine was suspended for so long, and has just gone on."""

    at: float
    slept_s: float


@data
class RaceEnded:
    """Nobody runs any more and nothing is left to decide."""

    at: float
    outcome: RaceOutcome


@data
class Noticed:
    """Something that a person should read, and that changes nothing."""

    at: float
    worker: str | None
    text: str
    topic: str | None = (
        None  # what is said once of that worker, whatever the words and however many supervisors
    )


Event = (
    SupervisorStarted
    | MachineSlept
    | MachineFound
    | HybridMade
    | HybridFailed
    | WorkerRefused
    | SetupStarted
    | SetupSkipped
    | SetupStopping
    | SetupEnded
    | WorkerLaunched
    | WorkerQueued
    | WorkerStarted
    | LinesRead
    | SampleIdsFixed
    | SampleIdsMissing
    | CheckJudged
    | MetricNotFinite
    | MetricFinite
    | CheckStale
    | JudgeFilesFixed
    | DataReported
    | SettlingAsked
    | StrictnessAsked
    | ForeignCodeReported
    | ClaimMade
    | FreezeStarted
    | FreezeWaits
    | FreezeFailed
    | CheckpointFrozen
    | ConfirmationStarted
    | ConfirmationQueued
    | ConfirmationBegan
    | ConfirmationEnded
    | VerdictReached
    | WorkerSettling
    | SavingSeen
    | WorkerSettled
    | WorkerStalled
    | WorkerRecovered
    | WorkerFoundHopeless
    | WorkerPaused
    | WorkerUnpaused
    | StopAsked
    | WorkerStopping
    | WorkerExited
    | RaceEnded
    | Noticed
)
