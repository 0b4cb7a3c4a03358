"""What a machine has, what a worker asks of it, and who gets what: decided here, probed by `runners.machine`.

Only workers of the local runner are given resources of this machine; another engine is told the numbers instead.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal

from wtrace.data import data, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.config.spec import RaceSpec, WorkerSpec

ROUNDING = 1e-9
"""Shares such as 0.1 do not add up exactly."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Scarce = Literal["places", "gpus", "cpus", "memory", "now"]


@data
class Device:
    """A GPU that may be handed out. `id` is what `CUDA_VISIBLE_DEVICES` takes."""

    id: str
    memory_bytes: int | None = None


@data
class Machine:
    """What there is. `by_bus`: the ids are indices in the order of the PCI bus."""

    cores: int
    devices: tuple[Device, ...] = ()
    memory_bytes: int | None = None
    by_bus: bool = False


@data
class Room:
    """What is free right now, whoever uses the rest. None, or a device that is missing: not known."""

    memory_bytes: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)  # free bytes by id


@data
class Demand:
    """What one worker asks for."""

    gpus: float = 0.0
    cpus: float = 0.0
    memory_bytes: int = 0
    places: float = 1.0

    def competes_for(self, scarce: Iterable[Scarce]) -> bool:
        """Whether it would take anything of what others wait for."""
        wants = {
            "places": True,
            "gpus": self.gpus > 0,
            "cpus": self.cpus > 0,
            "memory": self.memory_bytes > 0,
        }
        return any(wants.get(what, False) for what in scarce)


@data
class Grant:
    """What one worker was given. `devices` is None in a race that hands out no GPUs."""

    devices: tuple[str, ...] | None = None
    gpus: float = 0.0
    cpus: float = 0.0
    memory_bytes: int = 0
    places: float = 1.0
    threads: int | None = None
    by_bus: bool = False

    @property
    def of_each_device(self) -> float:
        """How much of each of its GPUs is its own."""
        return min(self.gpus, 1.0)


@data
class Lack:
    """Why a worker cannot start yet. `what` is "now" where not other workers but the moment is in the way."""

    what: Scarce
    why: str


@data
class Taken:
    """What running workers hold. `young` are those whose use of memory cannot be seen in what is free yet."""

    grants: Sequence[Grant] = ()
    young: Sequence[Grant] = ()


def is_local(spec: RaceSpec, worker: WorkerSpec) -> bool:
    """Whether this machine's resources are what the worker runs on."""
    return spec.runner_of(worker) == "local"


def hands_out_gpus(spec: RaceSpec) -> bool:
    """Whether any worker of this machine asks for GPUs."""
    return any(worker.gpus > 0 and is_local(spec, worker) for worker in spec.workers)


def wants_gpus_counted(spec: RaceSpec) -> bool:
    """Whether the race depends on how many GPUs there are."""
    return spec.max_parallel is None or hands_out_gpus(spec)


def wants_memory_counted(spec: RaceSpec) -> bool:
    """Whether the race depends on how much memory there is."""
    return any(worker.memory_bytes for worker in spec.workers)


def wants_room(spec: RaceSpec) -> bool:
    """Whether a start depends on what is free at that moment."""
    watched = spec.wait_for_gpu_memory_bytes is not None and hands_out_gpus(spec)
    return watched or spec.memory_floor_bytes is not None


def demand_of(spec: RaceSpec, worker: WorkerSpec, machine: Machine) -> Demand:
    """What the worker asks of this machine. With `max_parallel = "auto"` a share of a GPU is that share of a place."""
    if not is_local(spec, worker):
        return Demand()
    by_gpus = spec.max_parallel is None and machine.devices and worker.gpus > 0
    return Demand(
        worker.gpus, worker.cpus or 0.0, worker.memory_bytes or 0, places=worker.gpus if by_gpus else 1.0
    )


def places_of(spec: RaceSpec, machine: Machine) -> int:
    """How many may run at once; "auto": as many as there are GPUs, or all where there is none."""
    return spec.max_parallel or len(machine.devices) or len(spec.workers)


def never_fits(demand: Demand, machine: Machine) -> str | None:
    """Why this machine, all idle, could not run it; None: it could."""
    if demand.gpus > len(machine.devices):
        return f"asks for {_gpus(demand.gpus)}, and this machine has {len(machine.devices) or 'none'}"
    if demand.cpus > machine.cores:
        return f"asks for {demand.cpus:g} cores, and this machine has {machine.cores}"
    if machine.memory_bytes is not None and demand.memory_bytes > machine.memory_bytes:
        return f"asks for {_gib(demand.memory_bytes)} of memory, and this machine has {_gib(machine.memory_bytes)}"
    return None


def at_once(spec: RaceSpec, machine: Machine) -> int:
    """How many workers this machine runs side by side, those that start first; hybrids come later."""
    firsts = [worker for worker in spec.workers if not worker.combines]
    places = min(places_of(spec, machine), len(firsts))
    if not any(worker.gpus or worker.cpus or worker.memory_bytes for worker in firsts):
        return max(1, places)
    grants: list[Grant] = []
    for worker in sorted(firsts, key=lambda worker: -worker.priority):
        found = _fit(spec, worker, machine, Taken(grants), None)
        if isinstance(found, Grant):
            grants.append(found)
    return max(1, len(grants))


def fit(
    spec: RaceSpec, worker: WorkerSpec, machine: Machine, taken: Taken, room: Room | None
) -> Grant | Lack:
    """What the worker gets, or what it lacks. `room` is None where nobody looked; then memory is not waited for."""
    found = _fit(spec, worker, machine, taken, room)
    if isinstance(found, Lack) or not is_local(spec, worker):
        return found
    threads = machine.cores // at_once(spec, machine) if worker.cpus is None else int(worker.cpus)
    return replace(found, threads=max(1, threads))


def _fit(
    spec: RaceSpec, worker: WorkerSpec, machine: Machine, taken: Taken, room: Room | None
) -> Grant | Lack:
    demand = demand_of(spec, worker, machine)
    lack = _lack_of_numbers(spec, demand, machine, taken) or _lack_of_memory_now(spec, demand, taken, room)
    if lack is not None:
        return lack
    devices = _choose(spec, demand, machine, taken, room)
    if isinstance(devices, Lack):
        return devices
    return Grant(
        devices if is_local(spec, worker) and hands_out_gpus(spec) else None,
        demand.gpus,
        demand.cpus,
        demand.memory_bytes,
        demand.places,
        by_bus=machine.by_bus,
    )


def default_variables(grant: Grant | None) -> dict[str, str]:
    """What is set only where the user has not: the threads of a worker that asked for no cores of its own."""
    if grant is None or grant.threads is None or grant.cpus:
        return {}
    return dict.fromkeys(THREAD_VARIABLES, str(grant.threads))


def variables(grant: Grant | None) -> dict[str, str]:
    """What is set unless the config sets it: the threads that were asked for, no GPU for who asked for none."""
    if grant is None:
        return {}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if grant.devices == () else {}
    own = grant.threads is not None and grant.cpus
    return hidden | (dict.fromkeys(THREAD_VARIABLES, str(grant.threads)) if own else {})


def device_variables(grant: Grant | None) -> dict[str, str]:
    """What is set whatever the config says: the GPUs that were handed out."""
    if grant is None or not grant.devices:
        return {}
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"} if grant.by_bus else {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(grant.devices), **order}


def visible_tokens(value: str | None) -> tuple[str, ...] | None:
    """The devices that `CUDA_VISIBLE_DEVICES` names, as CUDA reads it: up to the first that is none. None: not set."""
    if value is None:
        return None
    found: list[str] = []
    for token in map(str.strip, value.split(",")):
        if token in found or not (token.isdecimal() or token.startswith(("GPU-", "MIG-"))):
            break
        found.append(token)
    return tuple(found)


def _lack_of_numbers(spec: RaceSpec, demand: Demand, machine: Machine, taken: Taken) -> Lack | None:
    places = places_of(spec, machine)
    if sum(each.places for each in taken.grants) + demand.places > places + ROUNDING:
        return Lack("places", f"{places} run at once")
    if demand.cpus and sum(each.cpus for each in taken.grants) + demand.cpus > machine.cores + ROUNDING:
        return Lack("cpus", f"waits for {demand.cpus:g} free cores")
    held = sum(each.memory_bytes for each in taken.grants)
    if demand.memory_bytes and held + demand.memory_bytes > (machine.memory_bytes or float("inf")):
        return Lack("memory", f"waits for {_gib(demand.memory_bytes)} of memory that nobody has set aside")
    return None


def _lack_of_memory_now(spec: RaceSpec, demand: Demand, taken: Taken, room: Room | None) -> Lack | None:
    if room is None or room.memory_bytes is None or spec.memory_floor_bytes is None:
        return None
    promised = sum(each.memory_bytes for each in taken.young)
    left = room.memory_bytes - promised - demand.memory_bytes
    if left >= spec.memory_floor_bytes:
        return None
    return Lack(
        "now",
        f"waits for memory: {_gib(max(0, left))} would be left, the floor is {_gib(spec.memory_floor_bytes)}",
    )


def _choose(
    spec: RaceSpec, demand: Demand, machine: Machine, taken: Taken, room: Room | None
) -> tuple[str, ...] | Lack:
    """The devices for a demand. Parts go where the least is used; where others ask for whole GPUs, where the most is."""
    if demand.gpus <= 0:
        return ()
    used = {device.id: 0.0 for device in machine.devices}
    for grant in taken.grants:
        for name in grant.devices or ():
            if name in used:
                used[name] += grant.of_each_device
    part = min(demand.gpus, 1.0)
    free = [name for name in used if used[name] + part <= 1 + ROUNDING]
    count = max(1, round(demand.gpus))
    if len(free) < count:
        return Lack("gpus", f"waits for {_gpus(demand.gpus)}")
    ready = [name for name in free if _has_memory(spec, name, taken, room)]
    if len(ready) < count:
        assert spec.wait_for_gpu_memory_bytes is not None
        return Lack("now", f"waits until {_gib(spec.wait_for_gpu_memory_bytes)} of a GPU's memory are free")
    together = any(worker.gpus >= 1 and is_local(spec, worker) for worker in spec.workers)
    ready.sort(key=lambda name: -used[name] if together else used[name])  # stable: in the machine's order
    return tuple(ready[:count])


def _has_memory(spec: RaceSpec, device: str, taken: Taken, room: Room | None) -> bool:
    """Whether so much of its memory is free as is waited for, beside what those that started just now will take."""
    wanted = spec.wait_for_gpu_memory_bytes
    if wanted is None or room is None or device not in room.devices:
        return True
    promised = wanted * sum(device in (each.devices or ()) for each in taken.young)
    return room.devices[device] - promised >= wanted


def _gpus(count: float) -> str:
    return f"{count:g} {'GPU' if count <= 1 else 'GPUs'}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
