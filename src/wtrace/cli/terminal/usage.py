"""What the workers' process trees use right now, and the last line of each log."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtrace.data import data
from wtrace.runners.machine import start_nvml
from wtrace.text import plain, unstyled

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import psutil

    from wtrace.race.status import WorkerStanding

TAIL_BYTES = 8192
LINE_LENGTH = 400


@data
class Gauge:
    """One worker's use of the machine; None where it is not known."""

    cpu_percent: float | None = None  # of one core; a tree on four cores shows up to 400
    memory: int | None = None  # resident bytes of the tree, shared pages counted for each process
    gpu_memory: int | None = None  # bytes
    log_line: str | None = None  # safe for the terminal


class Gauges:
    """Samples worker trees at a bounded rate: between two samples that are `every_s` apart it answers from memory."""

    def __init__(self, every_s: float = 2.0) -> None:
        self._every_s = every_s
        self._sampled_at: float | None = None
        self._found: dict[str, Gauge] = {}
        self._trees = _Trees()
        self._logs: dict[str, _LogTail] = {}

    def sample(self, workers: Iterable[WorkerStanding], now: float) -> Mapping[str, Gauge]:
        """A gauge for each worker, by name. `now`: seconds of any clock that only goes forward."""
        if self._sampled_at is None or now - self._sampled_at >= self._every_s:
            self._found = self._sample(list(workers), now)
            self._sampled_at = now
        return self._found

    def _sample(self, workers: list[WorkerStanding], now: float) -> dict[str, Gauge]:
        pids = {worker.name: worker.pid for worker in workers if worker.pid is not None}
        used = self._trees.sample(pids, now)
        return {worker.name: self._gauge(worker, used) for worker in workers}

    def _gauge(self, worker: WorkerStanding, used: Mapping[str, Gauge]) -> Gauge:
        found = used.get(worker.name, Gauge())
        tail = self._logs.setdefault(worker.name, _LogTail())
        return Gauge(found.cpu_percent, found.memory, found.gpu_memory, tail.read(worker.log))


class _Trees:
    """CPU, memory and GPU memory of process trees, from one look at the process table."""

    def __init__(self) -> None:
        self._processes: dict[int, psutil.Process] = {}
        self._cpu_s: dict[int, tuple[float, float]] = {}  # pid -> (CPU seconds, when)
        self._gpu = _Gpu()

    def sample(self, pids: Mapping[str, int], now: float) -> dict[str, Gauge]:
        """A gauge without a log line for each root pid that is alive."""
        if not pids:
            self._processes, self._cpu_s = {}, {}
            return {}
        children = self._children()
        gpu = self._gpu.by_pid()
        found = {}
        seen: dict[int, tuple[float, float]] = {}
        for name, pid in pids.items():
            if pid in self._processes:
                found[name] = self._tree(_descendants(pid, children), now, gpu, seen)
        self._cpu_s = seen
        return found

    def _children(self) -> dict[int, list[int]]:
        """Each process's children. Processes are kept from sample to sample, so that a reused pid is noticed."""
        import psutil

        kept: dict[int, psutil.Process] = {}
        children: dict[int, list[int]] = {}
        for process in psutil.process_iter():
            try:
                children.setdefault(process.ppid(), []).append(process.pid)
            except psutil.Error:
                continue
            kept[process.pid] = process
        self._forget(kept)
        self._processes = kept
        return children

    def _forget(self, kept: Mapping[int, psutil.Process]) -> None:
        for pid, process in self._processes.items():
            if kept.get(pid) is not process:
                self._cpu_s.pop(pid, None)

    def _tree(
        self, pids: list[int], now: float, gpu: Mapping[int, int], seen: dict[int, tuple[float, float]]
    ) -> Gauge:
        import psutil

        memory = 0
        percents = []
        for pid in pids:
            try:
                with self._processes[pid].oneshot():
                    times = self._processes[pid].cpu_times()
                    memory += self._processes[pid].memory_info().rss
            except (psutil.Error, KeyError):
                continue
            seen[pid] = times.user + times.system, now
            percents.append(self._percent(pid, *seen[pid]))
        known = [percent for percent in percents if percent is not None]
        on_gpu = sum(gpu.get(pid, 0) for pid in pids) or None  # a container does not know its pids outside
        return Gauge(sum(known) if known else None, memory, on_gpu)

    def _percent(self, pid: int, cpu_s: float, now: float) -> float | None:
        before = self._cpu_s.get(pid)
        if before is None or now <= before[1]:
            return None
        return max(0.0, 100 * (cpu_s - before[0]) / (now - before[1]))


def _descendants(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found.extend(child for child in children.get(pid, ()) if child not in found)
    return found


class _Gpu:
    """GPU memory by pid through NVML, where `nvidia-ml-py` is installed and a driver answers."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._asked = False

    def by_pid(self) -> dict[int, int]:
        """Bytes on all GPUs by pid; empty where there is no GPU."""
        if not self._asked:
            self._asked = True
            self._nvml = start_nvml()
        if self._nvml is None:
            return {}
        try:
            return self._read()
        except self._nvml.NVMLError:
            return {}

    def _read(self) -> dict[int, int]:
        used: dict[int, int] = {}
        for index in range(self._nvml.nvmlDeviceGetCount()):
            device = self._nvml.nvmlDeviceGetHandleByIndex(index)
            for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(device):
                used[process.pid] = used.get(process.pid, 0) + (process.usedGpuMemory or 0)
        return used


class _LogTail:
    """The last line of one log, read again only when the file has changed."""

    def __init__(self) -> None:
        self._mark: tuple[str, int, int, int] | None = None
        self._line: str | None = None

    def read(self, path: str) -> str | None:
        """The line, or what was read last where the file cannot be read now."""
        if not path:
            return None
        try:
            found = Path(path).stat()
            mark = path, found.st_ino, found.st_size, found.st_mtime_ns
            if mark != self._mark:
                self._line = last_line(path)
                self._mark = mark
        except (OSError, ValueError):
            return self._line
        return self._line


def last_line(path: str) -> str | None:
    """The last line of a file that is not blank, safe for the terminal; of a huge line its end.

    Reads at most `TAIL_BYTES`, whatever the file holds; None for an empty file or what is no file. A carriage
    return ends a line too (progress bars). Raises OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold us up
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        tail = os.pread(descriptor, TAIL_BYTES, max(0, found.st_size - TAIL_BYTES))
    finally:
        os.close(descriptor)
    text = unstyled(tail.decode("utf-8", errors="replace"))
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    return plain(lines[-1].strip()[-LINE_LENGTH:]) if lines else None
