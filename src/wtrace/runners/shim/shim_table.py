"""The shim's tree from the table of all processes, where a kernel has no file of each thread's children.

Slower than the files, and without a subreaper (macOS) blind to an orphan that cleared its environment.
"""
# pathlib is slow to import

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LOOKS, LAST = 20, 5  # how often to look for the processes that began last, and at how many
# macOS shows the environment with -E, the others with the BSD option e.
PS = ["ps", "-Awwx", "-E"] if sys.platform == "darwin" else ["ps", "axeww"]


def take(*, subreaper: bool) -> tuple[Callable[[int], Iterable[int]], list[int]]:
    """A snapshot: who the children of a pid are, and where to begin; marked orphans count as the shim's children."""
    me = os.getpid()
    table: dict[int, list[int]] = {}
    for pid, parent, marked in from_proc() if subreaper else from_ps():
        if pid != me:
            table.setdefault(me if marked else parent, []).append(pid)
    return lambda pid: table.get(pid, ()), [me]


def from_proc() -> Iterable[tuple[int, int, bool]]:
    """(pid, parent's pid, False) of every process; a subreaper's orphans need no marker."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    stat = file.read()
            except OSError:
                continue
            yield int(name), int(stat[stat.rindex(b")") + 2 :].split()[1]), False


def newest(tree: set[int]) -> Iterable[int]:
    """Those below the tree among the processes that began last: one that keeps forking is gone from its place in the
    table before anybody can act on it. To be acted on at once, each as it is told; nothing where there is no /proc."""
    for _ in range(LOOKS):
        try:
            with open("/proc/loadavg", "rb") as file:
                last = int(file.read().split()[4])
        except OSError:
            return
        for pid in range(last, last - LAST, -1):
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    stat = file.read()
            except OSError:
                continue
            if int(stat[stat.rindex(b")") + 2 :].split()[1]) in tree:
                yield pid


def from_ps() -> Iterable[tuple[int, int, bool]]:
    """(pid, parent's pid, whether it carries this attempt's marker) of every process but `ps`."""
    marker = b" WTRACE_ATTEMPT=" + os.environb[b"WTRACE_ATTEMPT"] + b" "
    out, into = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, into, 1)]
    ps = os.posix_spawnp(PS[0], [*PS, "-o", "pid=,ppid=,command="], {}, file_actions=actions)
    os.close(into)
    with open(out, "rb") as file:
        lines = file.read().splitlines()
    os.waitpid(ps, 0)
    for line in lines:
        columns = line.split(None, 2)
        if len(columns) == 3 and int(columns[0]) != ps:
            yield int(columns[0]), int(columns[1]), marker in line + b" "
