"""What of a config runs, writes or sends something on this machine: the part that a user approves.

A threshold, an epoch count or a priority is not among it, so that changing one asks nothing again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from typing import TYPE_CHECKING, Any

from wtrace.core.spec import RaceSpec
from wtrace.core.text import plain as visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wtrace.core.spec import IncludeSpec, SyncSpec, WorkerSpec

FORM = "wtrace commands 1"  # part of every digest: another form of the same config is another digest


def digest(spec: RaceSpec) -> str:
    """SHA-256 over all that is approved, environment values included. Take it before options are applied."""
    parts: dict[str, Any] = {
        "form": FORM,
        "workers": {worker.branch: _approved_of(worker) for worker in spec.workers},
        "confirm": None if spec.confirm is None else spec.confirm.command,
        "after": spec.after_winner,
        "worktrees": spec.worktrees,
        "runner": spec.runner,
        "runners": {runner.name: dict(runner.settings) for runner in spec.runners},
        "sync": {target.name: _approved_of_target(target) for target in spec.sync},
        "notify": spec.notify_urls,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def approved_parts(spec: RaceSpec) -> tuple[str, ...]:
    """The same for a person: lines that are safe for a terminal, without the values of the environment."""
    lines: list[str] = []
    for worker in spec.workers:
        lines += _lines_of(worker)
    if spec.confirm is not None:
        lines += ["confirmation of a claim", f"    {_shell(spec.confirm.command)}"]
    lines += _titled("after the race, for the winner", map(_shell, spec.after_winner))
    lines += _titled("sent to", map(_target, spec.sync))
    lines += _titled("told to", map(_service, spec.notify_urls))
    lines += _titled("runs on", _runners(spec))
    if spec.worktrees != RaceSpec.__dataclass_fields__["worktrees"].default:
        lines += _titled("worktrees in", [visible(spec.worktrees)])
    return tuple(lines)


def _approved_of(worker: WorkerSpec) -> dict[str, Any]:
    return {
        "command": worker.command,
        "cwd": worker.cwd,
        "env": dict(worker.env),
        "include": [(each.path, each.link) for each in worker.include],
        "setup": worker.setup,
        "runner": worker.runner,
    }


def _approved_of_target(target: SyncSpec) -> list[str | None]:
    return [target.host, target.path, target.rsync, target.ssh_config]


def _lines_of(worker: WorkerSpec) -> list[str]:
    details = [_shell(worker.command)]
    details += [f"set-up: {_shell(command)}" for command in worker.setup]
    if worker.cwd is not None:
        details.append(f"in: {visible(worker.cwd)}")
    if worker.env:
        details.append(f"sets: {', '.join(visible(name) for name in sorted(worker.env))}")
    if worker.include:
        details.append(f"brings along: {', '.join(map(_brought, worker.include))}")
    if worker.runner is not None:
        details.append(f"runs on: {visible(worker.runner)}")
    return [
        f"worker {visible(worker.name)} on branch {visible(worker.branch)}",
        *(f"    {line}" for line in details),
    ]


def _brought(item: IncludeSpec) -> str:
    return f"{visible(item.path)}{' (a link to the original)' if item.link else ''}"


def _runners(spec: RaceSpec) -> list[str]:
    lines = [] if spec.runner == "local" else [visible(spec.runner)]
    for runner in spec.runners:
        settings = ", ".join(f"{name} = {value}" for name, value in runner.settings.items())
        lines.append(visible(f"{runner.name}: {settings}"))
    return lines


def _target(target: SyncSpec) -> str:
    through = "" if target.rsync == "rsync" else f" through {target.rsync}"
    config = "" if target.ssh_config is None else f", with {target.ssh_config}"
    return visible(f"{target.host}:{target.path}{through}{config}")


def _service(url: str) -> str:
    """All that may be said of an address, which holds secrets: its scheme."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://", url)
    return f"{scheme[1].lower()}://…" if scheme else "an address without a scheme"


def _titled(title: str, lines: Iterable[str]) -> list[str]:
    below = [f"    {line}" for line in lines]
    return [title, *below] if below else []


def _shell(argv: Sequence[str]) -> str:
    """As a shell would take it; an argument that holds what cannot be seen is shown with escapes."""
    return " ".join(shlex.quote(each) if visible(each) == each else visible(repr(each)) for each in argv)
