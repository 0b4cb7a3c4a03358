"""What a training imports to report: `from wtrace import Reporter`.

Standard library only, and no newer syntax than Python 3.8 has: a worker may run another Python than wtrace.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_READ_AT_MOST_BYTES = 1_000_000  # a longer line is not read by wtrace


class Reporter:
    """Appends a training's records to the race's metrics file; outside a race every method does nothing.

    Numbers may be Python's, NumPy's or tensors (`.tolist()`, `.item()`); NaN may be reported. A full disk or a
    value without JSON form is one warning on standard error, not an exception: a training must not end because
    of its reporting. May be used from several threads and after a fork.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Report to `path`, or to the file that the environment variable `WTRACE_METRICS` names."""
        self._path = os.fspath(path) if path is not None else os.environ.get("WTRACE_METRICS") or None
        self._fd: int | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._torn = False
        self._warned: set[str] = set()
        if self._path is not None:
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            except OSError as error:
                self._warn("metrics cannot be written to " + self._path, error)

    @property
    def active(self) -> bool:
        """Whether anybody is told."""
        return self._fd is not None

    def start(self, max_epochs: int | None = None, info: Mapping[str, Any] | None = None) -> None:
        """The training begins. `info`: what is worth knowing of it later (seed, device, data checksum).

        In a worktree, modules that were imported from elsewhere in the same repo are told too: an editable install
        would let every branch run the main checkout's code.
        """
        if self._fd is None:
            return
        foreign = foreign_modules(os.getcwd(), list(sys.modules.values()))
        told = dict(info or {}, **({"foreign_modules": foreign} if foreign else {}))
        self._report("start", max_epochs=max_epochs, info=told or None)

    def epoch(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """An epoch is done."""
        self._report("epoch", epoch=_whole(epoch), metrics=metrics)

    def check(
        self,
        epoch: int,
        metrics: Mapping[str, Any] | None = None,
        samples: Mapping[str, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        objects: Mapping[str, Any] | None = None,
    ) -> None:
        """The model was evaluated: the race is judged by this.

        `samples` and `objects` are columns (lists, arrays, tensors) of equal length. `checkpoint` is relative to the output folder, or
        an absolute path inside it.
        """
        if self._fd is None:
            return
        self._report(
            "check",
            epoch=_whole(epoch),
            metrics=metrics or {},
            samples=samples,
            checkpoint=None if checkpoint is None else _inside_output(os.fspath(checkpoint)),
            objects=objects,
        )

    def progress(self, text: str) -> None:
        """What the training does just now, in a few words: shown in its row until its first check is judged."""
        self._report("progress", text=text)

    def end(self, reason: str) -> None:
        """The training ends by itself."""
        self._report("end", reason=reason)

    def close(self) -> None:
        """Let go of the file; everything is written already."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy in another process opens the file by itself."""
        return Reporter, (self._path,)

    def _report(self, event: str, **fields: Any) -> None:
        if self._fd is None:
            return
        record = {"event": event, **{name: value for name, value in fields.items() if value is not None}}
        try:
            line = json.dumps(record, default=_plain).encode()
        except (TypeError, ValueError, RecursionError) as error:
            self._warn("a record of event '" + event + "' could not be put into JSON", error)
            return
        if len(line) > _READ_AT_MOST_BYTES:
            size = "%.1f MB" % (len(line) / 1e6)
            self._warn("a record is too long to be read (at most 1 MB): send fewer samples", size)
        with self._own_lock():
            self._write(line + b"\n")

    def _own_lock(self) -> threading.Lock:
        """After a fork another thread of the parent may hold the lock for ever: the child takes a new one."""
        if self._pid != os.getpid():
            self._pid, self._lock = os.getpid(), threading.Lock()
        return self._lock

    def _write(self, line: bytes) -> None:
        """The whole line in one write, as O_APPEND keeps apart what several processes write at once.

        A full disk can cut it short without an error: the rest follows, and where it cannot, the next line
        begins by ending the torn one.
        """
        assert self._fd is not None
        rest = b"\n" + line if self._torn else line
        try:
            while rest:
                written = os.write(self._fd, rest)
                self._torn = written < len(rest)
                rest = rest[written:]
        except OSError as error:
            self._warn("metrics are lost", error)

    def _warn(self, what: str, why: object) -> None:
        """Once for each `what`."""
        if what in self._warned or sys.stderr is None:
            return
        self._warned.add(what)
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, or the stream is closed
            sys.stderr.write(f"wtrace: {what}: {why}\n")


def foreign_modules(folder: str, modules: Sequence[Any]) -> list[str]:
    """Files of the repo that `folder`'s worktree belongs to, imported although they lie outside of that worktree.

    What is installed (site-packages) is nobody's branch, and wtrace itself is not raced. Empty in a main worktree.
    """
    worktree, main = _worktrees(os.path.realpath(folder))
    if main is None or worktree is None:
        return []
    own = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
    # Read from the dictionary: asking some modules for an attribute makes them import more.
    named = (getattr(module, "__dict__", {}).get("__file__") for module in modules)
    files = {os.path.realpath(name) for name in named if isinstance(name, str)}
    return sorted(
        name
        for name in files
        if name.startswith(main + os.sep)
        and not name.startswith((worktree + os.sep, own))
        and "site-packages" not in name
    )


def _worktrees(folder: str) -> tuple[str | None, str | None]:
    """The linked worktree around the folder, and its repo's main one; (None, None) where there is none."""
    while folder != os.path.dirname(folder):
        link = os.path.join(folder, ".git")
        if os.path.isfile(link):
            with open(link, encoding="utf-8", errors="replace") as file:
                git_dir = file.read().partition("gitdir:")[2].strip()
            common, _, _ = git_dir.partition("/worktrees/")
            is_linked = "/worktrees/" in git_dir and os.path.basename(common) == ".git"
            return (folder, os.path.realpath(os.path.dirname(common))) if is_linked else (None, None)
        if os.path.isdir(link):
            return None, None
        folder = os.path.dirname(folder)
    return None, None


def _plain(value: Any) -> Any:
    """What JSON can carry in the place of an array, a tensor, a set or anything else."""
    for convert in ("tolist", "item"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)


def _whole(epoch: Any) -> Any:
    """Some trainers count epochs in floats: 3.0 is epoch 3."""
    return int(epoch) if isinstance(epoch, float) and epoch.is_integer() else epoch


def _inside_output(checkpoint: str) -> str:
    """An absolute path inside the output folder, relative to it; any other path as it is."""
    output = os.environ.get("WTRACE_OUTPUT")
    if not output or not checkpoint.startswith("/"):
        return checkpoint
    relative = os.path.relpath(os.path.realpath(checkpoint), os.path.realpath(output))
    return checkpoint if relative == os.pardir or relative.startswith(os.pardir + os.sep) else relative
