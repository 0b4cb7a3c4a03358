"""What this machine has and what of it is free right now: cores, memory, and GPUs through NVML.

GPUs are known only where `nvidia-ml-py` (the extra `gpu`) is installed and a driver answers; else there are none.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from wtrace.race.resources import Device, Machine, Room, visible_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PORTS_REMEMBERED = 1000
_ports: deque[int] = deque(maxlen=PORTS_REMEMBERED)


def look(*, gpus: bool, memory: bool, visible: str | None) -> Machine:
    """The machine as far as the race depends on it. `visible` is the `CUDA_VISIBLE_DEVICES` of whoever starts it:

    what it does not name is not handed out, and what it names goes on under the same name.
    """
    devices = tuple(_devices(visible)) if gpus else ()
    return Machine(
        cores=_cores(),
        devices=devices,
        memory_bytes=_total_memory() if memory else None,
        by_bus=visible is None and bool(devices),
    )


def look_for_room(machine: Machine) -> Room:
    """What is free of it at this moment."""
    import psutil

    nvml = start_nvml() if machine.devices else None
    known = {} if nvml is None else _handles(nvml, [device.id for device in machine.devices])
    free = {name: found[0] for name, handle in known.items() if (found := _memory(nvml, handle)) is not None}
    return Room(psutil.virtual_memory().available, free)


def free_port() -> int:
    """A TCP port that is free now, and that was not given to anybody lately who may not have taken it yet."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _ports:
            _ports.append(port)
            return port


def start_nvml() -> Any:
    """The NVML library, ready to be asked; None where it is missing or has no driver to talk to."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _cores() -> int:
    """The cores that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _total_memory() -> int:
    import psutil

    total: int = psutil.virtual_memory().total
    return total


def _devices(visible: str | None) -> Iterator[Device]:
    nvml = start_nvml()
    if nvml is None:
        return
    tokens = visible_tokens(visible)
    wanted = [str(n) for n in range(_count(nvml))] if tokens is None else list(tokens)
    for name, handle in _handles(nvml, wanted).items():
        found = _memory(nvml, handle)
        yield Device(name, None if found is None else found[1])


def _handles(nvml: Any, names: Sequence[str]) -> dict[str, Any]:
    """The devices that go by these names, up to the first name that is none's, as CUDA does."""
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = _handle(nvml, name)
        except (nvml.NVMLError, LookupError):
            break
    return found


def _handle(nvml: Any, name: str) -> Any:
    if name.isdecimal():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    if name.startswith("MIG-"):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    for index in range(_count(nvml)):  # a UUID may be abbreviated
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        if _text(nvml.nvmlDeviceGetUUID(handle)).startswith(name):
            return handle
    raise LookupError(name)


def _count(nvml: Any) -> int:
    try:
        return int(nvml.nvmlDeviceGetCount())
    except nvml.NVMLError:
        return 0


def _memory(nvml: Any, handle: Any) -> tuple[int, int] | None:
    """Free and total bytes; None where the device does not tell."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:
        return None
    return int(memory.free), int(memory.total)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
