"""What of a config acts on this machine: runs, writes, sends or decides what is merged. That a user approves.

A threshold, an epoch count or a priority is not among it, so that changing one asks nothing again. Whatever is not
named in `FREE` is approved: a new key of the config is, until somebody decides otherwise.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wtrace.config.spec import ConfirmSpec, IncludeSpec, RaceSpec, SyncSpec, WorkerSpec
from wtrace.text import plain as visible

if TYPE_CHECKING:
    from collections.abc import Iterable

FORM = "wtrace commands 2"  # part of every digest: another form of the same config is another digest

FREE: Mapping[type, frozenset[str]] = {
    RaceSpec: frozenset({
        "success", "check_every", "max_epochs", "max_parallel", "grace_s", "stall_after_s", "progress_every_s",
        "cost_per_hour", "signal", "on_win", "settle_s", "wait_for_gpu_memory_bytes", "memory_floor_bytes", "judge", "figures", "hopeless_below",
        "on_nan",
    }),
    WorkerSpec: frozenset({"max_epochs", "priority", "gpus", "cpus", "memory_bytes"}),
    ConfirmSpec: frozenset({"attempts", "timeout_s"}),
    SyncSpec: frozenset({"every_s"}),
}  # fmt: skip
"""What judges, counts, waits or shows, and starts nothing."""

WORDS = {
    "base": "begins at", "merge": "merges the winner", "worktrees": "worktrees in", "retries": "restarts after a crash",
    "on_stall": "when a worker stalls", "keep_checkpoints": "checkpoints that are kept", "cwd": "in", "env": "sets",
    "include": "brings along", "sparse": "only", "runner": "runs on", "control": "a control, which never wins",
}  # fmt: skip

Contents = Mapping[str, str]
"""SHA-256 of what each file that the config names holds, by the name it is given there."""


def digest(spec: RaceSpec, contents: Contents) -> str:
    """SHA-256 over all that is approved, environment values included. Take it before options are applied."""
    parts = {
        "form": FORM,
        "race": _plain(_told_by_content(spec, contents)),
        "contents": sorted(contents.values()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def approved_parts(spec: RaceSpec, contents: Contents) -> tuple[str, ...]:
    """The same for a person: lines that are safe for a terminal, without the values of the environment."""
    lines = _titled(f"race {visible(spec.name)}", _race_lines(spec))
    for worker in spec.workers:
        lines += _titled(
            f"worker {visible(worker.name)} on branch {visible(worker.branch)}", _lines_of(worker)
        )
    if spec.confirm is not None:
        lines += ["confirmation of a claim", f"    {_shell(spec.confirm.command)}"]
    lines += _titled("after the race, for the winner", map(_shell, spec.after_winner))
    lines += _titled("sent to", map(_target, spec.sync))
    lines += _titled("told to", map(_service, spec.notify_urls))
    lines += _titled("runs on", _runners(spec))
    lines += _titled(
        "files that these name, by SHA-256", (f"{visible(name)}: {contents[name]}" for name in contents)
    )
    return tuple(lines)


def _told_by_content(spec: RaceSpec, contents: Contents) -> dict[str, Any]:
    """The race's fields; a file of a target's counts by what it holds, wherever a copy of it lies."""
    sync = {
        target.name: {
            **_fields(target),
            "ssh_config": contents.get(target.ssh_config or "", target.ssh_config),
        }
        for target in spec.sync
    }
    workers = {worker.name: worker for worker in spec.workers}  # their order starts nothing
    return {**_fields(spec), "workers": workers, "sync": sync}


def _fields(value: Any) -> dict[str, Any]:
    free = FREE.get(type(value), frozenset())
    return {name: getattr(value, name) for name in value.__dataclass_fields__ if name not in free}


def _plain(value: Any) -> Any:
    """As JSON has it, without what is free."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(part) for name, part in _fields(value).items()}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value


def _race_lines(spec: RaceSpec) -> list[str]:
    """What holds for all workers and is not as usual."""
    apart = ("name", "workers", "confirm", "after_winner", "runner", "runners", "sync", "notify_urls")
    return _unusual(spec, apart)


def _lines_of(worker: WorkerSpec) -> list[str]:
    return [
        _shell(worker.command),
        *(f"set-up: {_shell(command)}" for command in worker.setup),
        *_unusual(worker, ("name", "branch", "command", "setup")),
    ]


def _unusual(value: Any, apart: Sequence[str]) -> list[str]:
    """A line for each part that is approved and is not what it is where the config says nothing."""
    lines = []
    for name, part in _fields(value).items():
        declared = value.__dataclass_fields__[name]
        usual = declared.default_factory() if callable(declared.default_factory) else declared.default
        if name not in apart and part != usual:
            lines.append(visible(f"{WORDS.get(name, name.replace('_', ' '))}: {_in_words(part)}"))
    return lines


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):  # an environment, whose values are nobody's business
        return ", ".join(sorted(value))
    if isinstance(value, tuple):
        return ", ".join(map(_in_words, value))
    if isinstance(value, IncludeSpec):
        return _brought(value)
    if hasattr(value, "__dataclass_fields__"):
        return "; ".join(_unusual(value, ()))
    return "yes" if value is True else str(value)


def _brought(item: IncludeSpec) -> str:
    return f"{item.path}{' (a link to the original)' if item.link else ''}"


def _runners(spec: RaceSpec) -> list[str]:
    lines = [] if spec.runner == "local" else [visible(spec.runner)]
    for runner in spec.runners:
        settings = ", ".join(f"{name} = {value}" for name, value in runner.settings.items())
        lines.append(visible(f"{runner.name}: {settings}"))
    return lines


def _target(target: SyncSpec) -> str:
    through = "" if target.rsync == "rsync" else f" through {target.rsync}"
    config = "" if target.ssh_config is None else f", with {target.ssh_config}"
    what = "" if target.results else ", progress only"
    return visible(f"{target.name}: {target.host}:{target.path}{through}{config}{what}")


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
