"""What `wtrace doctor` asks about each worker's worktree: what it would bring along, and whose code it imports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wtrace.errors import WtraceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.config.spec import RaceSpec, WorkerSpec
    from wtrace.supervisor.imports import Proof

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
    from wtrace.git import lfs
    from wtrace.git.find import common_dir

    if lfs.is_used(common_dir(root), root) and not lfs.is_installed():
        yield "git lfs", "warning", "this repository uses it, and it is not installed", "install git-lfs"


def about_imports(root: Path, spec: RaceSpec, *, trusted: bool) -> Iterator[Found]:
    """Whose code each worker would import. Its Python is started for it, hence only when its commands are approved."""
    from wtrace.race.context import RaceContext
    from wtrace.race.paths import Layout
    from wtrace.race.view import Place
    from wtrace.supervisor.create import worktrees_folder
    from wtrace.supervisor.imports import prove_imports

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
