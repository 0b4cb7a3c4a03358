"""Real engines for the tests: a Ray with a token, and Slurm's controller and node daemon, on this machine alone.

One of each per session, started when the first test asks for it and ended with the session, whatever happened.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from race_lab import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "a-token-of-the-tests"
SLURM_PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
SLURM_CONF = """
ClusterName=wtrace
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=0
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=closed Nodes={host} State=DOWN
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Ray:
    """A Ray that asks for a token, its dashboard at `address`; more nodes come and go as asked."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
        script = Path(__file__).with_name("ray_cluster.py")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "WTRACE_"))}
        with (folder / "ray.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True, start_new_session=True, cwd=folder,
                env={**kept, **self.env, "RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"},
            )  # fmt: skip
        self._expect("ready")

    def add_node(self, name: str, resource: str) -> None:
        """Another node, which has four of that resource."""
        self._say("add", name, resource)

    def kill_node(self, name: str) -> None:
        """Have a node vanish without a word."""
        self._say("kill", name)

    def _say(self, *words: str) -> None:
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        self._expect("done")

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.strip() == word:
                return
        raise AssertionError(f"Ray ended instead of saying {word}")

    def stop(self) -> None:
        """End it, with all of its processes: they are below this one, or have its log folder open."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


class Slurm:
    """slurmctld and slurmd with a folder of their own; `SLURM_CONF` in `env` leads to them."""

    def __init__(self, folder: Path) -> None:
        for name in ("state", "spool"):
            (folder / name).mkdir()
        conf = folder / "slurm.conf"
        host = socket.gethostname().split(".")[0]
        conf.write_text(SLURM_CONF.format(host=host, folder=folder, controller=free_port(), node=free_port()))
        self.env = {"SLURM_CONF": str(conf)}
        self._daemons: list[subprocess.Popen[bytes]] = []
        for daemon in ("slurmctld", "slurmd"):
            self._daemons.append(
                subprocess.Popen([daemon, "-D"], env={**os.environ, **self.env}, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )  # fmt: skip
        wait_for(
            lambda: self.call("sinfo", "-h", "-p", "main", "-o", "%t") == "idle", "Slurm's node to be idle"
        )

    def call(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.env}, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def stop(self) -> None:
        """End all jobs and both daemons."""
        self.call("scancel", "--user=root")
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.call("squeue", "-h"), "the jobs to end", 15)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()


class Engines:
    """The engines of a session, each started at its first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ray: Ray | None = None
        self._slurm: Slurm | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for engine in (self._ray, self._slurm):
            if engine is not None:
                engine.stop()

    @property
    def ray(self) -> Ray:
        """Skips the test where it cannot be had; on CI it must be."""
        if self._ray is None:
            missing = "" if importlib.util.find_spec("ray") else "Ray is not installed (the extra `ray`)"
            _skip_unless_ci(missing)
            folder = self._folder / "ray"
            folder.mkdir()
            self._ray = Ray(folder)
        return self._ray

    @property
    def slurm(self) -> Slurm:
        """Skips the test where it cannot be had; on CI it must be."""
        if self._slurm is None:
            lacking = [name for name in SLURM_PROGRAMS if shutil.which(name) is None]
            missing = f"Slurm is not installed (no {lacking[0]})" if lacking else ""
            _skip_unless_ci(missing or ("" if os.geteuid() == 0 else "only root can start Slurm's daemons"))
            folder = self._folder / "slurm"
            folder.mkdir()
            self._slurm = Slurm(folder)
        return self._slurm


def _skip_unless_ci(missing: str) -> None:
    if missing:
        assert not os.environ.get("CI") or os.geteuid() != 0, missing  # there .ci/run installs them
        pytest.skip(missing)


@contextlib.contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """Have these variables set, as they were before afterwards."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
