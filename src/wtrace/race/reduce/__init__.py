"""What happened changes the race: `evolve(state, event) -> state`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wtrace.data import replace
from wtrace.race import events as ev
from wtrace.race.event_text import tell
from wtrace.race.reduce import claims, workers
from wtrace.race.status import Happening

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from wtrace.race.state import State

RECENT_HAPPENINGS = 40


def evolve(state: State, event: ev.Event) -> State:
    """The state after the event. Pure; unknown workers are a programming error (KeyError)."""
    before, state = state, _RULES[type(event)](state, event)
    text = tell(event, before, state)
    latest = max(state.latest, event.at)
    if text is None:
        return replace(state, latest=latest)
    told = (*state.happenings[-RECENT_HAPPENINGS + 1 :], Happening(event.at, text))
    return replace(state, happenings=told, latest=latest)


_RULES: Mapping[type, Callable[[State, Any], State]] = {
    ev.SupervisorStarted: workers.supervisor_started,
    ev.MachineSlept: workers.machine_slept,
    ev.MachineFound: workers.machine_found,
    ev.WorkerRefused: workers.worker_refused,
    ev.SetupStarted: workers.setup_started,
    ev.SetupSkipped: workers.setup_skipped,
    ev.SetupStopping: workers.setup_stopping,
    ev.SetupEnded: workers.setup_ended,
    ev.HybridMade: workers.hybrid_made,
    ev.HybridFailed: workers.hybrid_failed,
    ev.WorkerLaunched: workers.worker_launched,
    ev.WorkerQueued: workers.worker_queued,
    ev.WorkerStarted: workers.worker_started,
    ev.LinesRead: claims.lines_read,
    ev.SampleIdsFixed: claims.sample_ids_fixed,
    ev.SampleIdsMissing: claims.sample_ids_missing,
    ev.CheckJudged: claims.check_judged,
    ev.ClaimMade: claims.claim_made,
    ev.MetricNotFinite: claims.metric_not_finite,
    ev.MetricFinite: claims.metric_finite,
    ev.CheckStale: claims.check_stale,
    ev.JudgeFilesFixed: claims.judge_files_fixed,
    ev.DataReported: claims.data_reported,
    ev.SettlingAsked: claims.settling_asked,
    ev.StrictnessAsked: claims.strictness_asked,
    ev.ForeignCodeReported: claims.foreign_code_reported,
    ev.FreezeStarted: claims.freeze_started,
    ev.FreezeWaits: claims.freeze_waits,
    ev.FreezeFailed: claims.freeze_failed,
    ev.CheckpointFrozen: claims.checkpoint_frozen,
    ev.ConfirmationStarted: claims.confirmation_started,
    ev.ConfirmationQueued: claims.confirmation_queued,
    ev.ConfirmationBegan: claims.confirmation_began,
    ev.ConfirmationEnded: claims.confirmation_ended,
    ev.VerdictReached: claims.verdict_reached,
    ev.WorkerSettling: workers.worker_settling,
    ev.SavingSeen: workers.saving_seen,
    ev.WorkerSettled: workers.worker_settled,
    ev.WorkerStalled: workers.worker_stalled,
    ev.WorkerRecovered: workers.worker_recovered,
    ev.WorkerFoundHopeless: claims.found_hopeless,
    ev.WorkerPaused: workers.worker_paused,
    ev.WorkerUnpaused: workers.worker_unpaused,
    ev.StopAsked: workers.stop_asked,
    ev.WorkerStopping: workers.worker_stopping,
    ev.WorkerExited: workers.worker_exited,
    ev.RaceEnded: workers.race_ended,
    ev.Noticed: workers.noticed,
}
