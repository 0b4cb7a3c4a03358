"""Slurm's own programs, called as a user would: `sbatch`, `squeue`, `sacct`, `scancel`, `sinfo`; and whether they are there."""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from wtrace.config.names import did_you_mean
from wtrace.data import data
from wtrace.errors import ConfigError, ToolError
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from wtrace.runners.base import Launch

MOST_S = 8.0  # a controller that is there answers within milliseconds
SAVE_S = 5  # between the warning before a time limit and the limit, beside the grace
OVER = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
"""States that a job does not leave."""


@data
class Job:
    """One line of `squeue`. `used_s` and `limit_s` are of the running time; None: no limit."""

    id: str
    state: str
    reason: str
    used_s: int
    limit_s: int | None
    name: str


def sbatch_command(settings: Mapping[str, str], launch: Launch, name: str) -> list[str]:
    """The command that hands in one attempt. The job's script is read from standard input."""
    log = str(launch.folder / "slurm.log").replace("%", "%%")
    command = [
        "sbatch", "--parsable", f"--job-name={name}", "--chdir=/", f"--output={log}", "--open-mode=append",
        "--nodes=1", "--ntasks=1", "--no-requeue", f"--signal=B:TERM@{math.ceil(launch.grace_s) + SAVE_S}",
    ]  # fmt: skip
    command += [
        f"--{key}={settings[key]}"
        for key in ("partition", "account", "qos", "gres", "time")
        if key in settings
    ]
    needs = launch.needs
    if needs.cpus is not None:
        command.append(f"--cpus-per-task={math.ceil(needs.cpus)}")
    if needs.memory_bytes is not None:
        command.append(f"--mem={math.ceil(needs.memory_bytes / 2**20)}M")
    if needs.gpus and "gres" not in settings:
        command.append(f"--gres=gpu:{math.ceil(needs.gpus)}")
    return command + shlex.split(settings.get("options", ""))


def job_script(python: str, entry: Path, folder: Path) -> str:
    """What the node runs: nothing but the entry, which the job's signals then reach."""
    return f"#!/bin/sh\nexec {shlex.join([python, '-I', '-S', str(entry), str(folder)])}\n"


def submit(command: Sequence[str], script: str) -> str:
    """Hand a job in; returns its number. ToolError says why Slurm would not have it."""
    return call(command, script).strip().split(";")[0]


def my_jobs() -> list[Job]:
    """All jobs of this user that the controller still knows, also those that have ended."""
    form = "%i|%T|%r|%M|%l|%j"
    lines = call(
        ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--format={form}"]
    ).splitlines()
    rows = [line.split("|", 5) for line in lines]
    return [
        Job(row[0], row[1], row[2], seconds(row[3]) or 0, seconds(row[4]), row[5])
        for row in rows
        if len(row) == 6
    ]


def recorded_state(job: str) -> str | None:
    """The state of a job that the controller has forgotten, where there is accounting."""
    try:
        out = call(["sacct", "--noheader", "--parsable2", "-X", f"--jobs={job}", "--format=State"])
    except ToolError:
        return None
    words = out.split()
    return words[0] if words else None


def signal_job(job: str, name: str) -> None:
    """Send the signal to the job's shim. One that does not run is left alone."""
    call(["scancel", f"--signal={name}", "--batch", job], ok=None)


def cancel(job: str, *, pending_only: bool = False) -> None:
    """Take the job out of the queue, or end it at once."""
    call(["scancel", *(["--state=PENDING"] if pending_only else []), job], ok=None)


def partitions() -> dict[str, str]:
    """The partitions and whether each takes jobs: `up`, `down`, `drain`, `inactive`."""
    rows = (line.split() for line in call(["sinfo", "--noheader", "--format=%R %a"]).splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def version() -> str:
    """Slurm's version here. ToolError where there is none."""
    return call(["sinfo", "--version"]).strip()


def call(command: Sequence[str], given: str = "", *, ok: int | None = 0) -> str:
    """What the program prints. ToolError where it is missing, takes too long or (unless `ok` is None) fails."""
    try:
        done = subprocess.run(
            list(command),
            input=given,
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=False,
            errors="replace",
        )
    except FileNotFoundError:
        hint = "run wtrace where Slurm's commands are, usually on the login node"
        raise ToolError(f"Slurm is not to be had here: there is no `{command[0]}`", hint=hint) from None
    except subprocess.TimeoutExpired:
        hint = "`scontrol ping` tells whether slurmctld is up"
        raise ToolError(f"Slurm's `{command[0]}` did not answer within {MOST_S:g} s", hint=hint) from None
    if ok is not None and done.returncode != ok:
        raise _failure(command[0], done.stderr)
    return done.stdout


def _failure(program: str, told: str) -> ToolError:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    said = re.sub(r"^\w+: (error|fatal): ", "", lines[-1]) if lines else "no message"
    said = said.removeprefix("Batch job submission failed: ")
    unreachable = "contact slurm controller" in told or "configuration source" in told
    hint = "`scontrol ping` tells whether slurmctld is up" if unreachable else None
    return ToolError(f"Slurm's `{program}` failed: {plain(said, 200)}", hint=hint)


def seconds(text: str) -> int | None:
    """`[DAYS-][[HOURS:]MINUTES:]SECONDS` in seconds; None for UNLIMITED and what else is no time."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)", text.strip())
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def check_slurm(settings: Mapping[str, str]) -> Iterator[str]:
    """What is found out, a line each. ToolError where Slurm does not answer, ConfigError for a partition that is none."""
    yield version()
    known = partitions()
    for wanted in filter(None, settings.get("partition", "").split(",")):
        if wanted not in known:
            raise ConfigError(
                f"Slurm has no partition `{wanted}`{did_you_mean(wanted, known)}",
                hint=f"its partitions: {', '.join(known)}",
            )
        if known[wanted] != "up":
            raise ConfigError(f"Slurm's partition {wanted} is {known[wanted]}: no job would start there")
    yield f"partitions: {', '.join(known)}"
