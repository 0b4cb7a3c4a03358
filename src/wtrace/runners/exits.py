"""One file descriptor that becomes readable when one of many processes has ended."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wtrace.runners.processes import Held

if sys.platform == "linux":

    class ExitWatch:
        """An epoll of pidfds. It may itself be watched by another epoll."""

        def __init__(self) -> None:
            self._held: dict[int, Held] = {}
            self._nudge = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll = select.epoll()
            self._epoll.register(self._nudge, select.EPOLLIN)

        def add(self, held: Held) -> None:
            """Watch a process; one that has ended already is told at once."""
            self._held[held.fileno()] = held
            self._epoll.register(held.fileno(), select.EPOLLIN)

        def nudge(self) -> None:
            """Become readable until `gone` is asked."""
            os.eventfd_write(self._nudge, 1)

        def gone(self) -> list[Held]:
            """Who has ended since the last call; they are watched no longer."""
            ready = [fd for fd, _ in self._epoll.poll(0, max(1, len(self._held) + 1))]
            if self._nudge in ready:
                os.eventfd_read(self._nudge)
                ready.remove(self._nudge)
            for fd in ready:
                self._epoll.unregister(fd)
            return [self._held.pop(fd) for fd in ready]

        def fileno(self) -> int:
            """What to wait for."""
            return self._epoll.fileno()

        def close(self) -> None:
            """Stop watching."""
            self._epoll.close()
            os.close(self._nudge)

else:

    class ExitWatch:
        """A kqueue of pids, which it keeps apart from later processes with the same number."""

        def __init__(self) -> None:
            self._held: dict[int, Held] = {}
            self._over: list[Held] = []
            self._kqueue = select.kqueue()
            self._nudged, self._nudge = os.pipe()
            self._listen(self._nudged, select.KQ_FILTER_READ, select.KQ_EV_ADD, 0)

        def _listen(self, ident: int, kind: int, flags: int, what: int) -> None:
            self._kqueue.control([select.kevent(ident, kind, flags, what)], 0)

        def add(self, held: Held) -> None:
            """Watch a process; one that has ended already is told at once."""
            pid = held.identity.pid
            flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
            try:
                self._listen(pid, select.KQ_FILTER_PROC, flags, select.KQ_NOTE_EXIT)
                self._held[pid] = held
            except ProcessLookupError:
                self._over.append(held)
                self.nudge()

        def nudge(self) -> None:
            """Become readable until `gone` is asked."""
            os.write(self._nudge, b"!")

        def gone(self) -> list[Held]:
            """Who has ended since the last call; they are watched no longer."""
            events = self._kqueue.control(None, len(self._held) + 1, 0)
            if any(event.filter == select.KQ_FILTER_READ for event in events):
                os.read(self._nudged, 4096)
            ended = [self._held.pop(event.ident) for event in events if event.filter == select.KQ_FILTER_PROC]
            over, self._over = self._over, []
            return over + ended

        def fileno(self) -> int:
            """What to wait for."""
            return self._kqueue.fileno()

        def close(self) -> None:
            """Stop watching."""
            self._kqueue.close()
            os.close(self._nudged)
            os.close(self._nudge)
