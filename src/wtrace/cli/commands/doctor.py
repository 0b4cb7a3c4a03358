"""`wtrace doctor`: is this machine fit for a race? One line per question, with the mend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wtrace.cli.common import ConfigOption, find_root, read_config
from wtrace.data import data
from wtrace.errors import ConfigError, WtraceError
from wtrace.text import plain, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.supervisor.integrity import Proof

OLDEST_GIT = (2, 31)  # the oldest whose worktree commands do what wtrace asks of them
MERGING_GIT = (2, 38)  # the oldest that merges without a worktree
LITTLE_SPACE = 2 << 30
FEW_WATCHES = 1024
MOST_S = 10.0
UNAPPROVED = "the commands are not approved"


@data
class Answer:
    """What was found out about one thing."""

    about: str
    state: Literal["ok", "warning", "problem"]
    text: str
    mend: str | None = None


def doctor(config: ConfigOption = None) -> int:
    """Check what a race needs: git, disk, GPUs, Python, the config, its branches, its sync targets.

    Exit code 1 on a problem.
    """
    worst = 0
    for answer in _answers(config):
        print(plain(f"{answer.state:8} {answer.about}: {answer.text}"))
        if answer.mend is not None:
            print(plain(f"         mend: {answer.mend}"))
        worst = max(worst, answer.state == "problem")
    return int(worst)


def _answers(config: Path | None) -> Iterator[Answer]:
    yield _python()
    yield _git()
    try:
        root = find_root()
    except WtraceError as error:
        yield Answer("repository", "problem", error.what, error.hint)
        return
    yield Answer("repository", "ok", str(root))
    yield _disk(root)
    yield from _gpus()
    yield from _watches()
    yield from _lingering()
    try:
        spec = read_config(root, config)
    except ConfigError as error:
        yield Answer("config", "problem", error.what, error.hint)
        return
    yield Answer("config", "ok", f"{len(spec.workers)} workers, {len(spec.success)} criteria")
    trust = _trust(root, spec)
    trusted = trust.state == "ok"
    yield trust
    yield from _branches(root, spec)
    yield from _sources(root, spec)
    yield from _worktrees(root, spec, trusted=trusted)
    yield from (*_targets(root, spec), *_engines(spec)) if trusted else _not_asked(spec)


def _not_asked(spec: RaceSpec) -> Iterator[Answer]:
    """Other machines: how they are reached, and what they are told of this user, is the config's to say."""
    from wtrace.config.engines import LOCAL

    names = [f"sync.{target.name}" for target in spec.sync]
    names += [f"runner {name}" for name in dict.fromkeys(map(spec.runner_of, spec.workers)) if name != LOCAL]
    yield from (Answer(name, "ok", f"not asked: {UNAPPROVED}") for name in names)


def _engines(spec: RaceSpec) -> Iterator[Answer]:
    """Each place other than this machine that workers run on."""
    from wtrace.supervisor.places import check_engine, engines_of

    for engine in engines_of(spec):
        try:
            yield Answer(f"runner {engine.name}", "ok", "; ".join(check_engine(engine)))
        except WtraceError as error:
            told = error.what if error.seen is None else f"{error.what}: {error.seen}"
            yield Answer(f"runner {engine.name}", "problem", told, error.hint)


def _worktrees(root: Path, spec: RaceSpec, *, trusted: bool) -> Iterator[Answer]:
    """What the workers ask for and bring along, and whose code they import."""

    yield from (Answer(*found) for found in about_resources(spec))
    yield from (Answer(*found) for found in (*about_include(root, spec), *about_lfs(root)))
    yield from (Answer(*found) for found in about_imports(root, spec, trusted=trusted))


def _targets(root: Path, spec: RaceSpec) -> Iterator[Answer]:
    """rsync here, and each machine that progress is sent to."""
    if not spec.sync:
        return
    from wtrace.mirror.diagnose import questions
    from wtrace.mirror.rsync import local_version
    from wtrace.mirror.target import resolve

    try:
        yield Answer("rsync", "ok", local_version().text)
    except WtraceError as error:
        yield Answer("rsync", "problem", error.what, error.hint or "install rsync")
        return
    for target in spec.sync:
        for answer in questions(resolve(target, spec.name, root)):
            yield Answer(f"sync.{target.name} {answer.name}", answer.state, answer.text, answer.mend)


def _python() -> Answer:
    version = ".".join(map(str, sys.version_info[:3]))
    return Answer("python", "ok", f"{version} at {sys.executable}")


def _git() -> Answer:
    found = _output("git", "--version")
    if found is None:
        return Answer("git", "problem", "not found", "install git")
    words = found.split()
    numbers = words[2].split(".")[:2] if len(words) > 2 else []
    version = tuple(int(number) for number in numbers if number.isdigit())
    if version < OLDEST_GIT:
        return Answer("git", "problem", found, f"wtrace needs git {'.'.join(map(str, OLDEST_GIT))} or newer")
    if version < MERGING_GIT:
        mend = f"git {'.'.join(map(str, MERGING_GIT))} or newer is needed to merge the winner"
        return Answer("git", "warning", found, mend)
    return Answer("git", "ok", found)


def _disk(root: Path) -> Answer:
    free = shutil.disk_usage(root).free
    if not os.access(root, os.W_OK):
        return Answer(
            "disk", "problem", f"{root} cannot be written", "wtrace keeps its records in .wtrace/ there"
        )
    if free < LITTLE_SPACE:
        return Answer("disk", "warning", f"only {size(free)} free", "checkpoints may not fit")
    return Answer("disk", "ok", f"{size(free)} free")


def _gpus() -> Iterator[Answer]:
    found = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    if found is None:
        yield Answer("gpus", "ok", "none")
    else:
        yield Answer("gpus", "ok", "; ".join(found.splitlines()))
        try:
            import pynvml  # noqa: F401
        except ImportError:
            yield Answer("gpu memory", "warning", "not shown in the live view", "pip install nvidia-ml-py")


def _watches() -> Iterator[Answer]:
    """The kernel's limit on watched files; each worker takes two or three."""
    try:
        with open("/proc/sys/fs/inotify/max_user_watches", encoding="ascii") as file:  # noqa: PTH123
            limit = int(file.read())
    except (OSError, ValueError):
        return
    if limit < FEW_WATCHES:
        yield Answer(
            "file watches",
            "warning",
            f"at most {limit}",
            "sysctl fs.inotify.max_user_watches=65536 raises it",
        )


def _lingering() -> Iterator[Answer]:
    """Whether systemd ends what a user leaves running when she logs out."""
    kills = _output("loginctl", "show", "-p", "KillUserProcesses", "--value")
    if kills is None:
        return
    lingers = _output("loginctl", "show-user", str(os.getuid()), "-p", "Linger", "--value")
    if kills == "yes" and lingers != "yes":
        yield Answer(
            "logout", "problem", "systemd ends your processes when you log out", "loginctl enable-linger"
        )
    else:
        yield Answer("logout", "ok", "processes outlive it")


def _trust(root: Path, spec: RaceSpec) -> Answer:
    from wtrace.supervisor.approval import is_approved

    if os.environ.get("WTRACE_TRUST") == "1":
        return Answer("trust", "ok", "approved by WTRACE_TRUST=1")
    if is_approved(root, spec):
        return Answer("trust", "ok", "you have approved these commands")
    return Answer("trust", "warning", "you have not approved these commands yet", "wtrace trust shows them")


def _branches(root: Path, spec: RaceSpec) -> Iterator[Answer]:
    from wtrace.git.branches import find_source, read_refs

    refs = read_refs(root)
    for worker in spec.workers:
        try:
            source = find_source(root, refs, worker.branch)
        except WtraceError as error:
            yield Answer(f"branch {worker.branch}", "problem", error.what, error.hint)
            continue
        if source is None:
            yield Answer(
                f"branch {worker.branch}", "warning", "is missing", "wtrace setup makes it from the base"
            )
        else:
            yield Answer(f"branch {worker.branch}", "ok", source.commit[:12])


def _sources(root: Path, spec: RaceSpec) -> Iterator[Answer]:
    """Workers that may never be heard of: no source of metrics is configured, and their branch mentions none."""
    from wtrace.git.mentions import silence
    from wtrace.supervisor.create import worktrees_folder

    parent = worktrees_folder(root, spec)
    for worker in spec.workers:
        why = silence(root, spec, worker, parent / worker.name)
        if why is not None:
            what, _, mend = why.rpartition(": ")
            yield Answer(f"metrics of {worker.name}", "warning", what, mend)


def _output(*command: str) -> str | None:
    """What the command prints, or None where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


State = Literal["ok", "warning", "problem"]
Found = tuple[str, State, str, str | None]
"""About, state, text, mend."""

OWN_ENVIRONMENT = (
    'give the worktree an environment of its own: setup = [["uv", "sync"]], or '
    '[["python", "-m", "venv", ".venv"], ["python", "-m", "pip", "install", "-e", "."]]'
)


def about_include(root: Path, spec: RaceSpec) -> Iterator[Found]:
    """Whether what each worker brings along is there."""
    from wtrace.git import copies

    for worker in spec.workers:
        try:
            copies.check(root, worker.name, worker.include)
        except WtraceError as error:
            yield "files to bring", "problem", error.what, error.hint or error.seen


def about_lfs(root: Path) -> Iterator[Found]:
    """Whether files that Git LFS keeps can be fetched."""
    from wtrace.git import checkout
    from wtrace.git.find import common_dir

    if checkout.is_lfs_used(common_dir(root), root) and not checkout.is_lfs_installed():
        yield "git lfs", "warning", "this repository uses it, and it is not installed", "install git-lfs"


def about_imports(root: Path, spec: RaceSpec, *, trusted: bool) -> Iterator[Found]:
    """Whose code each worker would import. Its Python is started for it, hence only when its commands are approved."""
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.view import Place
    from wtrace.supervisor.create import worktrees_folder
    from wtrace.supervisor.integrity import prove_imports

    parent = worktrees_folder(root, spec)
    there = [worker for worker in spec.workers if (parent / worker.name / ".git").is_file()]
    if not there or not trusted:
        why = "there is no worktree yet (wtrace setup)" if trusted else "the commands are not approved"
        yield "imports", "ok", f"not looked at: {why}", None
        return
    places = {each.name: Place(each.branch, "", str(parent / each.name), "", "") for each in spec.workers}
    race = RaceContext("doctor", spec, Layout(root).setups, places)
    for worker in there:
        yield _told(worker, prove_imports(race, worker.name, os.environ, root))


def _told(worker: WorkerSpec, proof: Proof) -> Found:
    about = f"imports {worker.name}"
    if proof.trouble is not None:
        return about, "warning", f"{proof.python} could not be asked: {proof.trouble}", None
    if proof.foreign:
        first = proof.foreign[0]
        more = f" (and {len(proof.foreign) - 1} more)" if len(proof.foreign) > 1 else ""
        text = (
            f"{first.name}{more} comes from {first.origin}, not from its worktree: it would train other code"
        )
        return about, "problem", text, OWN_ENVIRONMENT
    own = [module.name for module in proof.modules if module.whose == "own"]
    shown = ", ".join(own[:5]) + (", …" if len(own) > 5 else "")
    return about, "ok", f"its own code{f': {shown}' if own else ''}, by {proof.python}", None


def about_resources(spec: RaceSpec) -> Iterator[Found]:
    """The GPUs that would be handed out, and whether this machine is enough for what the workers ask."""
    from wtrace.race import resources
    from wtrace.runners import machine
    from wtrace.text import size

    found = machine.look(gpus=True, memory=True, visible=os.environ.get("CUDA_VISIBLE_DEVICES"))
    told = ", ".join(
        f"{device.id} ({size(device.memory_bytes)})" if device.memory_bytes else device.id
        for device in found.devices
    )
    if told or resources.hands_out_gpus(spec):
        yield "resources", "ok", f"GPUs to hand out: {told or 'none'}", None
    for worker in spec.workers:
        lack = resources.never_fits(resources.demand_of(spec, worker, found), found)
        if lack is not None:
            mend = "pip install nvidia-ml-py; a driver must be loaded" if not found.devices else None
            yield f"resources {worker.name}", "problem", f"it {lack}", mend
