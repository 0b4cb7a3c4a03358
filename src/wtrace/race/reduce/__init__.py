"""What happened changes the race: `evolve(state, event) -> state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race.event_text import tell
from wtrace.race.reduce import claiming, ending, judging, starting
from wtrace.race.status import Happening

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wtrace.race.state import State

RECENT_HAPPENINGS = 40


def evolve(state: State, event: ev.Event) -> State:
    """The state after the event. Pure; unknown workers are a programming error (KeyError)."""
    state = _RULES[type(event)](state, event)
    text = tell(event)
    if text is None:
        return state
    told = (*state.happenings[-RECENT_HAPPENINGS + 1 :], Happening(event.at, text))
    return replace(state, happenings=told)


_RULES: Mapping[type, Callable[[State, Any], State]] = {
    ev.SupervisorStarted: starting.supervisor_started,
    ev.MachineSlept: starting.machine_slept,
    ev.MachineFound: starting.machine_found,
    ev.WorkerRefused: starting.worker_refused,
    ev.SetupStarted: starting.setup_started,
    ev.SetupSkipped: starting.setup_skipped,
    ev.SetupStopping: starting.setup_stopping,
    ev.SetupEnded: starting.setup_ended,
    ev.HybridMade: starting.hybrid_made,
    ev.HybridFailed: starting.hybrid_failed,
    ev.WorkerLaunched: starting.worker_launched,
    ev.WorkerQueued: starting.worker_queued,
    ev.WorkerStarted: starting.worker_started,
    ev.LinesRead: judging.lines_read,
    ev.SampleIdsFixed: judging.sample_ids_fixed,
    ev.SampleIdsMissing: judging.sample_ids_missing,
    ev.CheckJudged: judging.check_judged,
    ev.ClaimMade: claiming.claim_made,
    ev.JudgeFilesFixed: judging.judge_files_fixed,
    ev.DataReported: judging.data_reported,
    ev.SettlingAsked: judging.settling_asked,
    ev.StrictnessAsked: judging.strictness_asked,
    ev.ForeignCodeReported: judging.foreign_code_reported,
    ev.FreezeStarted: claiming.freeze_started,
    ev.FreezeWaits: claiming.freeze_waits,
    ev.FreezeFailed: claiming.freeze_failed,
    ev.CheckpointFrozen: claiming.checkpoint_frozen,
    ev.ConfirmationStarted: claiming.confirmation_started,
    ev.ConfirmationQueued: claiming.confirmation_queued,
    ev.ConfirmationBegan: claiming.confirmation_began,
    ev.ConfirmationEnded: claiming.confirmation_ended,
    ev.VerdictReached: claiming.verdict_reached,
    ev.WorkerSettling: ending.worker_settling,
    ev.SavingSeen: ending.saving_seen,
    ev.WorkerSettled: ending.worker_settled,
    ev.WorkerStalled: ending.worker_stalled,
    ev.WorkerRecovered: ending.worker_recovered,
    ev.WorkerFoundHopeless: judging.found_hopeless,
    ev.WorkerPaused: ending.worker_paused,
    ev.WorkerUnpaused: ending.worker_unpaused,
    ev.StopAsked: ending.stop_asked,
    ev.WorkerStopping: ending.worker_stopping,
    ev.WorkerExited: ending.worker_exited,
    ev.RaceEnded: ending.race_ended,
    ev.Noticed: ending.noticed,
}
