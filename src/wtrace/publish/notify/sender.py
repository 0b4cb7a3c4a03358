"""Notices on their way: through Apprise (the extra `notify`), and `desktop://` by the desktop's own command.

Each one travels in a process of its own, with a time limit: a dead endpoint holds nobody up, can be ended for certain
(a thread that hangs in a name look-up cannot), outlives the supervisor for the last words of a race, and Apprise is
never loaded into the supervisor. Addresses hold passwords. They reach that process through an unlinked file, since
arguments and environments can be read by others; and neither it nor an error ever says more of one than its scheme.
"""

from __future__ import annotations

import contextlib
import html
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

from wtrace.errors import ConfigError, ToolError
from wtrace.text import plain, utc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from wtrace.publish.notify.notices import Notice

LIMIT_S = 30.0
# -P: nothing in the current folder may stand in for a module of ours.
MESSENGER = (sys.executable, "-P", "-m", "wtrace.publish.notify.sender")
MOST_UNDER_WAY = 8
_TYPES = {"winner": "success", "failure": "failure", "stall": "warning", "end": "info", "test": "info"}
DESKTOP = "desktop://"
"""The address that needs no service: a notice on the screen in front of this machine."""


def shown(url: str) -> str:
    """All that may be said of an address: its scheme, `discord://…`."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://", url)
    return f"{scheme[1].lower()}://…" if scheme else "an address without a scheme"


def check_urls(urls: Sequence[str]) -> None:
    """Raise ConfigError where notices are wanted and Apprise is missing, or does not understand an address.

    Loads Apprise (a tenth of a second) if there are addresses for it; sends nothing.
    """
    if all(url == DESKTOP for url in urls):
        return
    if find_spec("apprise") is None:
        raise ConfigError(
            "notify.urls: notices are sent through Apprise, which is not installed",
            hint="pip install 'wtrace[notify]'",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Apprise's parts have to say of each other is not for the user
        understood = [url == DESKTOP or _target(url) is not None for url in urls]
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
    with _letter(urls, notice, limit_s) as file, _opened(log) as told:
        return subprocess.Popen(
            MESSENGER,
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=told,
            cwd="/",
            start_new_session=True,
        )


def try_out(urls: Sequence[str], notice: Notice, *, limit_s: float = LIMIT_S) -> list[str | None]:
    """Send the notice to every address and wait; why each was not reached, None where it was. ToolError."""
    with _letter(urls, notice, limit_s) as file:
        try:
            done = subprocess.run(
                MESSENGER, stdin=file, capture_output=True, cwd="/", check=False, start_new_session=True
            )
            answers: list[str | None] = json.loads(done.stdout)
        except (OSError, ValueError) as error:
            raise ToolError("notices cannot be sent", seen=str(error)) from error
    return answers


@contextlib.contextmanager
def _letter(urls: Sequence[str], notice: Notice, limit_s: float) -> Iterator[BinaryIO]:
    """What the messenger reads, in a file that nobody else can."""
    letter = {
        "urls": list(urls),
        "kind": notice.kind,
        "title": notice.title,
        "body": notice.body,
        "limit_s": limit_s,
    }
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(letter).encode())
        file.seek(0)
        yield file


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
    """The service behind an address, or None. Apprise's log, which quotes addresses, is kept from any handler but ours."""
    import apprise

    logger = logging.getLogger("apprise")
    logger.propagate = False
    if _REASONS not in logger.handlers:
        logger.addHandler(_REASONS)
    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True)
    except Exception:  # noqa: BLE001 - a plugin may raise anything, with the address in it
        return None


class _Reasons(logging.Handler):
    """Of what Apprise says of a failure, keeps for each thread what holds nothing of an address."""

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Note an answer's status, or that there was no connection."""
        text = record.getMessage()
        if status := re.search(r"\berror=(\d{3})\b", text):
            self._of_thread.why = f"it answered {status[1]}"
        elif re.search(r"connection error", text, re.IGNORECASE):
            self._of_thread.why = "no connection"

    def why(self) -> str:
        """Why this thread's notice was not delivered, as far as that is known."""
        return getattr(self._of_thread, "why", "refused, or not reachable")


_REASONS = _Reasons()


def deliver(letter: dict[str, Any]) -> list[str | None]:
    """Send to all addresses at once; returns for each why it was not reached within the limit, None where it was."""
    urls: list[str] = letter["urls"]
    outcomes: dict[int, str | None] = {}
    deadline = time.monotonic() + letter["limit_s"]
    threads = [
        threading.Thread(target=_deliver_to, args=(index, url, letter, outcomes), daemon=True)
        for index, url in enumerate(urls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    known = dict(outcomes)
    return [known.get(index, f"no answer within {letter['limit_s']:g} s") for index in range(len(urls))]


def _deliver_to(index: int, url: str, letter: dict[str, Any], outcomes: dict[int, str | None]) -> None:
    outcomes[index] = _show(letter) if url == DESKTOP else _hand_over(url, letter)


def _hand_over(url: str, letter: dict[str, Any]) -> str | None:
    """Have Apprise send it; why that failed."""
    target = _target(url)
    try:
        done = target is not None and target.notify(
            title=letter["title"],
            body=letter["body"],
            notify_type=_TYPES[letter["kind"]],
            body_format="text",
        )
    except Exception:  # noqa: BLE001 - its text may hold the address
        done = False
    return None if done else _REASONS.why()


_ON_A_MAC = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")


def _show(letter: dict[str, Any]) -> str | None:
    """Show it on the desktop of whoever started the race; why that failed."""
    title, body = letter["title"], letter["body"]
    if sys.platform == "darwin":
        command = ["osascript", *(word for line in _ON_A_MAC for word in ("-e", line)), title, body]
    elif any(os.environ.get(name) for name in ("WAYLAND_DISPLAY", "DISPLAY")):
        urgency = "critical" if letter["kind"] == "failure" else "normal"
        # Desktops take the text for a kind of HTML.
        command = ["notify-send", "--app-name=wtrace", f"--urgency={urgency}", "--", title, html.escape(body)]
    else:
        return "there is no desktop here"
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=letter["limit_s"])
    except FileNotFoundError:
        return f"{command[0]} is not installed (Debian: apt-get install libnotify-bin)"
    except (OSError, subprocess.TimeoutExpired):
        return f"{command[0]} failed"
    return None if done.returncode == 0 else f"{command[0]} failed (exit code {done.returncode})"


def _failure(index: int, url: str, letter: dict[str, Any], why: str) -> str:
    return f"{utc(time.time())} notice ({letter['kind']}) not delivered to notify.urls[{index}] ({plain(shown(url))}): {why}"


def main() -> int:
    """Read a letter from standard input and deliver it. On standard output, as JSON, why each address was not reached; on
    standard error a line for each of those.

    Nobody else writes there: a traceback or a warning of a library would quote the address.
    """
    told = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    letter = json.loads(sys.stdin.buffer.read())
    signal.alarm(int(letter["limit_s"]) + 5)  # the last resort, should anything hang that no limit reaches
    answers = deliver(letter)
    os.write(1, json.dumps(answers).encode())
    failures = [
        _failure(index, url, letter, why)
        for index, (url, why) in enumerate(zip(letter["urls"], answers, strict=True))
        if why is not None
    ]
    if failures:
        os.write(told, "".join(f"{line}\n" for line in failures).encode())
    return len(failures)


if __name__ == "__main__":
    os._exit(main())  # threads that still hang are left behind
