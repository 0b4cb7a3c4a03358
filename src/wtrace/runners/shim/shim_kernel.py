"""What the kernel says of processes: read for the shim, with the standard library's smallest parts.

A file beside `shim.py`, of the standard library alone, so that it is compiled once and not at every start.
"""
# pathlib is slow to import

from __future__ import annotations

import os
import sys
import time


def read(path: str) -> bytes:
    """The whole of a small file under /proc; b"" when it is not there (any more)."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        blocks = [os.read(file, 65536)]
        while blocks[-1]:
            blocks.append(os.read(file, 65536))
        return b"".join(blocks)
    except OSError:
        return b""
    finally:
        os.close(file)


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 where the system does not say."""
    stat = read(f"/proc/{pid}/stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[19]) if stat else 0


def uptime() -> float:
    """Seconds since boot, on the clock that `began_after` compares with; 0.0 where the system has none."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else 0.0


def began_after(pid: int, uptime_s: float) -> bool:
    """Whether the process was forked later than that. False where the system does not say."""
    return start_ticks(pid) / os.sysconf("SC_CLK_TCK") > uptime_s


def children(pid: int) -> list[int]:
    """The children that the process and its threads have now; may miss one that just changes its parent."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def oom_kills() -> int:
    """How many processes of this process's cgroup the kernel has ended for want of memory; 0 where it does not say."""
    for line in read("/proc/self/cgroup").decode(errors="replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            found = count_in(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        elif not controllers:
            found = count_in(f"/sys/fs/cgroup{path}/memory.events")
        else:
            continue
        if found is not None:
            return found
    return 0


def count_in(path: str) -> int | None:
    """The number after `oom_kill` in a file of the kernel's."""
    words = read(path).split()
    return int(words[words.index(b"oom_kill") + 1]) if b"oom_kill" in words else None
