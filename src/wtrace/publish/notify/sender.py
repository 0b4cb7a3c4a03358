"""Notices on their way, through Apprise (the extra `notify`).

Each one travels in a process of its own, with a time limit: a dead endpoint holds nobody up, can be ended for certain
(a thread that hangs in a name look-up cannot), outlives the supervisor for the last words of a race, and Apprise is
never loaded into the supervisor. Addresses hold passwords. They reach that process through an unlinked file, since
arguments and environments can be read by others; and neither it nor an error ever says more of one than its scheme.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wtrace.errors import ConfigError
from wtrace.text import plain, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from wtrace.publish.notify.notices import Notice

LIMIT_S = 30.0
MOST_UNDER_WAY = 8
_TYPES = {"winner": "success", "failure": "failure", "stall": "warning", "end": "info"}


def shown(url: str) -> str:
    """All that may be said of an address: its scheme, `discord://…`."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://", url)
    return f"{scheme[1].lower()}://…" if scheme else "an address without a scheme"


def check_urls(urls: Sequence[str]) -> None:
    """Raise ConfigError where notices are wanted and Apprise is missing, or does not understand an address.

    Loads Apprise (a tenth of a second) if there are addresses; sends nothing.
    """
    if not urls:
        return
    if find_spec("apprise") is None:
        raise ConfigError(
            "notify.urls: notices are sent through Apprise, which is not installed",
            hint="pip install 'wtrace[notify]'",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Apprise's parts have to say of each other is not for the user
        understood = [_target(url) is not None for url in urls]
    for index, url in enumerate(urls):
        if not understood[index]:
            raise ConfigError(
                f"notify.urls[{index}]: Apprise does not understand this address",
                seen=shown(url),
                hint="https://github.com/caronc/apprise/wiki lists the forms of all services",
            )


def send(
    urls: Sequence[str], notice: Notice, *, limit_s: float = LIMIT_S, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that sends the notice to every address and ends within `limit_s`; returns at once.

    What could not be delivered is appended to `log`, one line each. OSError where no process can be started.
    The caller reaps the process (`Courier` does); its exit code is the number of addresses that were not reached.
    """
    letter = {
        "urls": list(urls),
        "kind": notice.kind,
        "title": notice.title,
        "body": notice.body,
        "limit_s": limit_s,
    }
    with tempfile.TemporaryFile() as file, _opened(log) as told:
        file.write(json.dumps(letter).encode())
        file.seek(0)
        return subprocess.Popen(
            # -P: nothing in the current folder may stand in for a module of ours.
            [sys.executable, "-P", "-m", "wtrace.publish.notify.sender"],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=told,
            cwd="/",
            start_new_session=True,
        )


def _opened(log: Path | None) -> BinaryIO:
    return Path(os.devnull).open("wb") if log is None else log.open("ab")


class Courier:
    """Sends the notices of a race and reaps its messengers. `post` never waits and never raises."""

    def __init__(self, urls: Sequence[str], log: Path | None, *, limit_s: float = LIMIT_S) -> None:
        self._urls = tuple(urls)
        self._log = log
        self._limit_s = limit_s
        self._under_way: list[subprocess.Popen[bytes]] = []

    def post(self, notices: Iterable[Notice]) -> None:
        """Send each of them, unless nobody is to be told. Some are dropped, and logged, where too many are under way."""
        self.reap()
        if not self._urls:
            return
        for notice in notices:
            if len(self._under_way) >= MOST_UNDER_WAY:
                logging.getLogger("wtrace").warning(
                    "too many notices are under way; one (%s) is dropped", notice.kind
                )
                continue
            try:
                self._under_way.append(send(self._urls, notice, limit_s=self._limit_s, log=self._log))
            except OSError as error:
                logging.getLogger("wtrace").warning(
                    "a notice (%s) cannot be sent: %s", notice.kind, error.strerror
                )

    def reap(self) -> None:
        """Take note of the messengers that have ended."""
        self._under_way = [process for process in self._under_way if process.poll() is None]

    def wait(self, timeout_s: float) -> bool:
        """Wait until all have ended, at most so long; for who has nothing else to do. Those left go on by themselves."""
        deadline = time.monotonic() + timeout_s
        for process in self._under_way:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
        self._under_way.clear()
        return True


# ---- the messenger


def _target(url: str) -> Any:
    """The service behind an address, or None. Apprise's log, which quotes addresses, is kept from any handler."""
    import apprise

    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True)
    except Exception:  # noqa: BLE001 - a plugin may raise anything, with the address in it
        return None


def deliver(letter: dict[str, Any]) -> list[str]:
    """Send to all addresses at once; returns a line for each that was not reached within the limit."""
    urls: list[str] = letter["urls"]
    outcomes: dict[int, bool] = {}
    deadline = time.monotonic() + letter["limit_s"]
    threads = [
        threading.Thread(target=_deliver_to, args=(index, url, letter, outcomes), daemon=True)
        for index, url in enumerate(urls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    reached = dict(outcomes)
    return [
        _failure(index, url, letter, reached.get(index))
        for index, url in enumerate(urls)
        if not reached.get(index)
    ]


def _deliver_to(index: int, url: str, letter: dict[str, Any], outcomes: dict[int, bool]) -> None:
    target = _target(url)
    try:
        outcomes[index] = target is not None and bool(
            target.notify(
                title=letter["title"],
                body=letter["body"],
                notify_type=_TYPES[letter["kind"]],
                body_format="text",
            )
        )
    except Exception:  # noqa: BLE001 - its text may hold the address
        outcomes[index] = False


def _failure(index: int, url: str, letter: dict[str, Any], outcome: bool | None) -> str:
    why = f"no answer within {letter['limit_s']:g} s" if outcome is None else "refused, or not reachable"
    return f"{utc(time.time())} notice ({letter['kind']}) not delivered to notify.urls[{index}] ({plain(shown(url))}): {why}"


def main() -> int:
    """Read a letter from standard input, deliver it, tell on standard error what was not delivered.

    Nobody else writes there: a traceback or a warning of a library would quote the address.
    """
    told = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    letter = json.loads(sys.stdin.buffer.read())
    signal.alarm(int(letter["limit_s"]) + 5)  # the last resort, should anything hang that no limit reaches
    failures = deliver(letter)
    if failures:
        os.write(told, "".join(f"{line}\n" for line in failures).encode())
    return len(failures)


if __name__ == "__main__":
    os._exit(main())  # threads that still hang are left behind
