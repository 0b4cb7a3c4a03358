"""GPUs handed out in whole races. No GPU is needed: a stand-in for NVML tells of some; CUDA is not asked."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from race_lab import Lab, Script
from wtrace.race.resources import Device, Machine
from wtrace.runners import machine

GIB = 2**30
PYNVML = '''
"""Tells of the GPUs in a file, by the names and units of nvidia-ml-py."""
import json, os, pathlib


class NVMLError(Exception):
    pass


class Memory:
    def __init__(self, free, total):
        self.free, self.total, self.used = free, total, total - free


def _read():
    return json.loads(pathlib.Path(os.environ["FAKE_GPUS"]).read_text())


def nvmlInit():
    if not pathlib.Path(os.environ["FAKE_GPUS"]).exists():
        raise NVMLError("Driver Not Loaded")


def nvmlDeviceGetCount():
    return len(_read())


def nvmlDeviceGetHandleByIndex(index):
    if not 0 <= index < len(_read()):
        raise NVMLError("Invalid Argument")
    return index


def nvmlDeviceGetHandleByUUID(uuid):
    return next(n for n, gpu in enumerate(_read()) if gpu["uuid"] == uuid)


def nvmlDeviceGetUUID(handle):
    return _read()[handle]["uuid"]


def nvmlDeviceGetName(handle):
    return "Test GPU"


def nvmlDeviceGetMemoryInfo(handle):
    gpu = _read()[handle]
    if gpu["free"] is None:
        raise NVMLError("Not Supported")
    return Memory(gpu["free"], gpu["total"])


def nvmlDeviceGetComputeRunningProcesses(handle):
    return []
'''


class Gpus:
    """A machine's GPUs, as NVML tells of them."""

    def __init__(self, folder: Path) -> None:
        self.modules = folder / "modules"
        self.modules.mkdir()
        (self.modules / "pynvml.py").write_text(PYNVML)
        self.file = folder / "gpus.json"

    def are(self, *free_gib: int | None) -> None:
        told = [
            {"uuid": f"GPU-{n}f0", "free": None if free is None else free * GIB, "total": 40 * GIB}
            for n, free in enumerate(free_gib)
        ]
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps(told))
        draft.rename(self.file)


@pytest.fixture
def gpus(tmp_path: Path) -> Gpus:
    return Gpus(tmp_path)


@pytest.fixture
def box(lab: Lab, gpus: Gpus) -> Lab:
    """A lab on a machine with these GPUs."""
    paths = [str(gpus.modules), *filter(None, [lab.env.get("PYTHONPATH")])]
    lab.env |= {"PYTHONPATH": os.pathsep.join(paths), "FAKE_GPUS": str(gpus.file)}
    lab.env.pop("CUDA_VISIBLE_DEVICES", None)
    return lab


@pytest.fixture
def nvml(gpus: Gpus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpus]:
    """The same for this process."""
    monkeypatch.setenv("FAKE_GPUS", str(gpus.file))
    monkeypatch.syspath_prepend(str(gpus.modules))
    before = sys.modules.pop("pynvml", None)
    yield gpus
    sys.modules.pop("pynvml", None)
    if isinstance(before, ModuleType):
        sys.modules["pynvml"] = before


def env_of(lab: Lab, worker: str) -> dict[str, str]:
    """The environment that the worker's training printed."""
    log = (lab.latest / worker / "training.log").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", log, re.MULTILINE))


TELL = "import os; [print(f'{k}={v}') for k, v in sorted(os.environ.items())]; import runpy; runpy.run_path('train.py')"


def race(lab: Lab, scripts: dict[str, Script], *, gpus: str = "", extra: str = "", each: str = "") -> None:
    """A race whose trainings print their environment first."""
    lab.race(scripts, race=extra, workers=f"{gpus}\n{each}")
    text = (lab.root / "wtrace.toml").read_text()
    (lab.home / "tell.py").write_text(TELL)
    (lab.root / "wtrace.toml").write_text(text.replace('"train.py"', f'"{lab.home}/tell.py"'))


RUNS: Script = [["forever"]]


def running(lab: Lab) -> list[str]:
    return [row["name"] for row in lab.status()["workers"] if row["state"] == "running" and row["pid"]]


def test_each_worker_sees_the_gpu_it_was_given_and_no_other(box: Lab, gpus: Gpus) -> None:
    gpus.are(40, 40)
    scripts: dict[str, Script] = {name: [["mark", name], ["wait", "go"], ["check", 5, 1.0]] for name in "ab"}
    race(box, scripts | {"c": [["check", 5, 1.0]]}, gpus="gpus = 1")
    box.wtrace("run", "--detach")
    for name in "ab":
        box.wait_for_mark(name)
    assert box.worker("c")["state"] == "waiting"
    assert [env_of(box, name)["CUDA_VISIBLE_DEVICES"] for name in "ab"] == ["0", "1"]
    assert env_of(box, "a")["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    box.open_gate("go")
    box.wtrace("watch")
    assert env_of(box, "c")["CUDA_VISIBLE_DEVICES"] in {"0", "1"}


def test_what_wtrace_was_started_with_is_what_it_hands_out(box: Lab, gpus: Gpus) -> None:
    gpus.are(40, 40, 40)
    box.env["CUDA_VISIBLE_DEVICES"] = "GPU-2,0"
    race(box, {"a": [["check", 5, 1.0]], "b": [["check", 5, 1.0]]}, gpus="gpus = 1")
    box.wtrace("run", expect=1)
    assert [env_of(box, name)["CUDA_VISIBLE_DEVICES"] for name in "ab"] == ["GPU-2", "0"]
    assert "CUDA_DEVICE_ORDER" not in env_of(box, "a")


def test_a_race_that_asks_for_no_gpu_leaves_the_variable_alone(box: Lab, gpus: Gpus) -> None:
    gpus.are(40)
    box.env["CUDA_VISIBLE_DEVICES"] = "0"
    race(box, {"a": [["check", 5, 1.0]]})
    box.wtrace("run", expect=1)
    assert env_of(box, "a")["CUDA_VISIBLE_DEVICES"] == "0"


def test_more_gpus_than_there_are_is_told_before_anything_is_made(box: Lab, gpus: Gpus) -> None:
    gpus.are(40)
    race(box, {"a": RUNS}, gpus="gpus = 2")
    done = box.wtrace("run", expect=2)
    assert "workers.a: asks for 2 GPUs, and this machine has 1" in done.stderr
    assert not (box.root / ".wtrace" / "races").exists()
    assert not (box.root.parent / "repo-worktrees").exists()
    gpus.file.unlink()
    assert "this machine has none" in box.wtrace("run", expect=2).stderr


def test_a_resumed_supervisor_hands_out_what_is_not_in_use(box: Lab, gpus: Gpus) -> None:
    gpus.are(40, 40)
    race(box, {"a": [["mark", "a"], *RUNS], "b": [["wait", "go"], ["exit", 0]], "c": RUNS}, gpus="gpus = 1")
    box.wtrace("run", "--detach")
    box.wait_for(lambda: len(running(box)) == 2, "two to run")
    os.kill(box.status()["supervisor"]["pid"], signal.SIGKILL)
    box.wait_for(lambda: not box.status()["supervisor"]["alive"], "the supervisor's death")
    box.wtrace("run", "--resume", "--detach")
    box.wait_for(lambda: box.status()["supervisor"]["alive"], "the next supervisor")
    assert box.worker("c")["state"] == "waiting"
    box.open_gate("go")
    box.wait_for(lambda: running(box) == ["a", "c"], "c to run on what b had")
    assert [env_of(box, name)["CUDA_VISIBLE_DEVICES"] for name in "abc"] == ["0", "1", "1"]
    box.wtrace("stop")


def test_a_worker_waits_until_others_free_the_memory_of_a_gpu(box: Lab, gpus: Gpus) -> None:
    gpus.are(3)
    race(box, {"a": [["check", 5, 2.0]]}, gpus="gpus = 1", extra='wait_for_gpu_memory = "8 GiB"')
    box.wtrace("run", "--detach")
    box.wait_for(lambda: "8.0 GiB of a GPU's memory" in box.wtrace("status").stdout, "why it waits")
    assert box.worker("a")["state"] == "waiting"
    gpus.are(9)
    box.wtrace("watch")
    assert box.worker("a")["state"] == "won"
    assert "memory" not in box.wtrace("status").stdout.split("★ a won")[0]


def test_nobody_starts_where_too_little_memory_would_be_left(lab: Lab) -> None:
    lab.race({"a": [["forever"]]}, race='memory_floor = "900 TB"')
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: "waits for memory" in lab.wtrace("status").stdout, "why it waits")
    assert lab.worker("a")["state"] == "waiting"
    lab.wtrace("stop")
    assert lab.worker("a")["state"] == "skipped"


def test_threads_are_divided_and_ports_are_everybodys_own(box: Lab, gpus: Gpus) -> None:
    box.env |= {"MASTER_PORT": "29500", "OMP_NUM_THREADS": "7"}
    race(box, {"a": [["check", 5, 1.0]], "b": [["check", 5, 1.0]]}, extra="max_parallel = 2")
    box.wtrace("run", expect=1)
    ports = {env_of(box, name)["MASTER_PORT"] for name in "ab"}
    assert len(ports) == 2
    assert "29500" not in ports
    cores = len(os.sched_getaffinity(0))
    assert env_of(box, "a")["OMP_NUM_THREADS"] == "7", "what the user has set stays"
    assert env_of(box, "a")["MKL_NUM_THREADS"] == str(max(1, cores // 2))


def test_a_port_is_free_and_not_given_twice() -> None:
    ports = [machine.free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", ports[0]))


@pytest.mark.parametrize(
    ("visible", "ids", "by_bus"),
    [
        (None, ["0", "1"], True),
        ("", [], False),
        ("1", ["1"], False),
        ("1,5,0", ["1"], False),
        ("GPU-1f0,0", ["GPU-1f0", "0"], False),
        ("GPU-1", ["GPU-1"], False),
        ("GPU-9,0", [], False),
    ],
)
def test_the_machine_has_what_nvml_tells_and_cuda_would_see(
    nvml: Gpus, visible: str | None, ids: list[str], by_bus: bool
) -> None:
    nvml.are(10, 20)
    found = machine.look(gpus=True, memory=True, visible=visible)
    assert ([device.id for device in found.devices], found.by_bus) == (ids, by_bus)
    assert all(device.memory_bytes == 40 * GIB for device in found.devices)
    assert found.cores >= 1
    assert found.memory_bytes is not None and found.memory_bytes > 0


def test_what_is_free_is_read_anew_and_what_is_not_told_is_not_known(nvml: Gpus) -> None:
    nvml.are(10, None)
    two = Machine(1, (Device("0"), Device("GPU-1f0")))
    room = machine.look_for_room(two)
    assert dict(room.devices) == {"0": 10 * GIB}
    assert room.memory_bytes is not None
    nvml.are(9, 1)
    assert dict(machine.look_for_room(two).devices) == {"0": 9 * GIB, "GPU-1f0": GIB}


def test_without_a_driver_there_are_no_gpus(nvml: Gpus) -> None:
    assert machine.look(gpus=True, memory=False, visible=None).devices == ()


def test_nvidias_own_library_is_asked_as_it_wants_to_be() -> None:
    """The real one, where it is installed: without a driver it must say so, with one it must tell of GPUs."""
    try:
        real = importlib.import_module("pynvml")
    except ImportError:
        pytest.skip("nvidia-ml-py is not installed")
    used = re.findall(r"nvml\.(nvml\w+|NVML\w+)", Path(machine.__file__).read_text())
    assert used
    assert [name for name in used if not hasattr(real, name)] == []
    found = machine.look(gpus=True, memory=False, visible=None).devices
    assert bool(found) == (machine.start_nvml() is not None)


def test_a_dry_run_tells_what_is_asked_for_and_brought(box: Lab, gpus: Gpus) -> None:
    gpus.are(40)
    each = 'gpus = 0.5\ncpus = 1\nsetup = [["uv", "sync"]]\ninclude = [".env"]\nsparse = ["src"]'
    race(box, {"a": RUNS, "b": RUNS}, each=each, extra='max_parallel = "auto"')
    told = box.wtrace("run", "--dry-run").stdout
    assert "2 workers, at most 2 at once" in told
    for line in ("asks:    0.5 GPUs, 1 cores", "set-up:  uv sync", "brings:  .env", "only:    src"):
        assert told.count(line) == 2
    assert "CUDA_VISIBLE_DEVICES=(what is free when it starts)" in told
    assert not (box.root / ".wtrace").exists()
    gpus.file.unlink()
    assert "cannot run here: it asks for 0.5 GPU" in box.wtrace("run", "--dry-run").stdout
