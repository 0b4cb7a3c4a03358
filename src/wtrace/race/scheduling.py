"""Who starts, of those that are ready: by priority, as far as what they ask for is free.

A worker that does not fit yet lets smaller ones go ahead, but only so often: after that, nobody ranked below it
starts on what it waits for until it has started itself. So neither blocks the other for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wtrace.data import data
from wtrace.race.phases import BUSY, Launching, Running, SettingUp
from wtrace.race.resources import Grant, Lack, Taken, demand_of, fit, never_fits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wtrace.config.spec import WorkerSpec
    from wtrace.race.resources import Room, Scarce
    from wtrace.race.state import State, Worker

MOST_OFTEN_PASSED = 3
SETTLED_AFTER_S = 60.0
"""What a worker uses of memory is taken to be visible from then on."""


@data
class Admitted:
    """Who starts with what, and whom it goes ahead of although these are ranked above it."""

    worker: str
    attempt: int
    grant: Grant | None
    ahead_of: tuple[str, ...] = ()


def admit(
    state: State, ready: Sequence[tuple[str, int]], now: float, room: Room | None
) -> Iterator[Admitted]:
    """Of those that are ready, ranked, who starts now. Before the machine is known only places are counted."""
    machine = state.machine
    if machine is None:
        places = state.spec.max_parallel or len(state.workers)
        free = places - sum(isinstance(worker.phase, BUSY) for worker in state.workers.values())
        yield from (Admitted(name, attempt, None) for name, attempt in ready[: max(0, free)])
        return
    held = [worker.grant or Grant() for worker in state.workers.values() if isinstance(worker.phase, BUSY)]
    if not ready or len(held) >= (state.spec.max_parallel or len(state.workers)):
        return
    young = [worker.grant for worker in state.workers.values() if worker.grant and _is_young(worker, now)]
    passed: list[tuple[str, Scarce]] = []
    kept: set[Scarce] = set()  # what somebody waits for who was passed over often enough
    for name, attempt in ready:
        spec = state.spec.worker(name)
        demand = demand_of(state.spec, spec, machine)
        if demand.competes_for(kept):
            continue
        found = fit(state.spec, spec, machine, Taken(held, young), room)
        if isinstance(found, Grant):
            held.append(found)
            young.append(found)
            ahead = tuple(each for each, what in passed if demand.competes_for([what]))
            yield Admitted(name, attempt, found, ahead)
        elif found.what != "now":
            passed.append((name, found.what))
            if state.workers[name].passed_over >= MOST_OFTEN_PASSED:
                kept.add(found.what)


def impossible(state: State, worker: WorkerSpec) -> str | None:
    """Why this machine can never run the worker; None: it can, or the machine is not known yet."""
    if state.machine is None or not (worker.gpus or worker.cpus or worker.memory_bytes):
        return None
    return never_fits(demand_of(state.spec, worker, state.machine), state.machine)


def lack_of(state: State, name: str, now: float, room: Room | None) -> Lack | None:
    """What a worker that is ready waits for at this moment, for whoever asks; None: nothing but its turn."""
    if state.machine is None:
        return None
    held = [worker.grant or Grant() for worker in state.workers.values() if isinstance(worker.phase, BUSY)]
    young = [worker.grant for worker in state.workers.values() if worker.grant and _is_young(worker, now)]
    found = fit(state.spec, state.spec.worker(name), state.machine, Taken(held, young), room)
    return found if isinstance(found, Lack) else None


def _is_young(worker: Worker, now: float) -> bool:
    phase = worker.phase
    if isinstance(phase, SettingUp):
        return True
    return isinstance(phase, Launching | Running) and now < phase.since + SETTLED_AFTER_S
