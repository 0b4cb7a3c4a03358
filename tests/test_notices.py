"""Notices say what happened, reach a real endpoint through Apprise, hold nobody up, and keep the addresses' secrets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from socketserver import BaseRequestHandler, StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from race_lab import Lab
from standing_samples import STARTED, lost_race, running_race, won_race
from wtrace.errors import ConfigError
from wtrace.publish.notify.notices import (
    BELL,
    Notice,
    announcement,
    end_notice,
    failure_notice,
    notices_of,
    stall_notice,
    title_of,
    winner_notice,
)
from wtrace.publish.notify.sender import MOST_UNDER_WAY, Courier, check_urls, deliver, send, shown
from wtrace.race import events as ev

PASSWORD, TOKEN = "hunter2", "s3cret-token"
NOTICE = Notice(
    "winner", "early-persistence: ★ attention-supervised won", "at epoch 20\n✓ attention_ratio 1.94"
)


# ---- what is told


def exited(worker: str, code: int = 1) -> ev.WorkerExited:
    return ev.WorkerExited(STARTED, worker, 1, code, None, known=True)


def test_a_winner_is_told_with_its_values() -> None:
    standing = won_race(confirmed=True)
    verdict = ev.VerdictReached(STARTED + 800, "attention-supervised", 20, confirmed=True)
    (notice,) = notices_of([exited("multitask"), verdict], standing)
    assert notice.kind == "winner"
    assert notice.title == "early-persistence: ★ attention-supervised won"
    assert notice.body.splitlines()[:2] == [
        (
            "early-persistence/attention-supervised at epoch 20 after 13 min; confirmed on held-out data. "
            "First by the clock, not best."
        ),
        "✓ attention_ratio 1.94 (≥ 1.5)",
    ]


def test_workers_that_failed_together_are_told_together() -> None:
    standing = lost_race()
    events = [exited("pretrained-features", 3), exited("contrastive"), exited("attention-supervised", 0)]
    (notice,) = notices_of(events, standing)
    assert notice.kind == "failure"
    assert notice.title == "early-persistence: 2 workers failed"
    assert notice.body.splitlines() == [
        "pretrained-features: failed (exit code 3) at epoch 10: RuntimeError: NaN loss",
        "contrastive: lost (nobody saw how) at epoch 17: its guardian is gone",
        "now: 1 finished, 1 failed, 1 lost, 1 stopped",
    ]


def test_a_set_up_that_failed_is_a_failure_and_one_that_did_not_is_none() -> None:
    events = [
        ev.SetupEnded(STARTED, "pretrained-features", 1, 3, None, known=True, problem="uv sync: exit code 3"),
        ev.SetupEnded(STARTED, "attention-supervised", 1, 0, None, known=True),
    ]
    (notice,) = notices_of(events, lost_race())
    assert notice.title == "early-persistence: pretrained-features failed"


def test_a_worker_that_is_tried_again_has_not_failed() -> None:
    rows = running_race().workers
    standing = replace(running_race(), workers=(replace(rows[0], state="retrying"), *rows[1:]))
    assert notices_of([exited("attention-supervised")], standing) == []


def test_a_stall_and_an_end() -> None:
    events: list[ev.Event] = [
        ev.WorkerStalled(STARTED, "pretrained-features", 900.0),
        ev.RaceEnded(STARTED, "no_winner"),
        ev.SupervisorStarted(STARTED, 1, resumed=False),
    ]
    stall, _ = notices_of(events, running_race())
    assert (stall.kind, stall.title) == ("stall", "early-persistence: pretrained-features stalled")
    assert "at epoch 10 of 50" in stall.body
    end = end_notice(lost_race())
    assert (end.kind, end.title) == ("end", "early-persistence: ended: no winner")
    assert end.body.splitlines() == [
        "ended after 60 min: 1 finished, 1 failed, 1 lost, 1 stopped",
        "closest: attention-supervised, epoch 15, 4 of 5 met; needs val_accuracy +0.04",
    ]
    assert end_notice(won_race()).title == "early-persistence: ended, won by attention-supervised"


def test_nobody_is_told_of_nothing() -> None:
    assert winner_notice(running_race()) is None
    assert failure_notice(running_race(), []) is None
    assert stall_notice(running_race(), []) is None


def test_texts_from_outside_stay_on_their_line_and_mention_nobody() -> None:
    rows = lost_race().workers
    hostile = replace(rows[1], note="@everyone \x1b[31m\n<!channel> \u202e \ud800")
    notice = failure_notice(replace(lost_race(), name="@here\n"), [hostile] * 30)
    assert notice is not None
    text = notice.title + notice.body
    assert "@everyone" not in text
    assert "@here" not in text
    assert "everyone" in text
    assert "\x1b" not in text
    assert "\\u202e" in notice.body
    assert len(notice.body.splitlines()) == 22  # 20 workers, how many more, how many are left
    text.encode()


def test_the_terminal_rings_for_news_only_and_is_named_when_the_name_changes() -> None:
    race = running_race()
    assert announcement(None, race) == "\x1b]2;early-persistence: running (1 stalled)\x07"
    assert announcement(race, race) == ""
    assert announcement(race, replace(race, at=race.at + 1)) == ""
    won = announcement(race, won_race())
    assert won == f"\x1b]2;★ attention-supervised won: early-persistence\x07{BELL}"
    failed = replace(race, workers=(replace(race.workers[0], state="failed"), *race.workers[1:]))
    assert announcement(race, failed).endswith(f"\x07{BELL}")
    finished = replace(race, workers=(replace(race.workers[0], state="finished"), *race.workers[1:]))
    assert announcement(race, finished) == ""
    assert announcement(None, won_race()).count("\x07") == 1


def test_a_hostile_name_cannot_leave_the_title() -> None:
    assert title_of(replace(running_race(), name="x\x07\x1b]52;c;aGk=\x07")).startswith("x\\x07\\x1b]52;c;")
    assert "\x1b" not in title_of(replace(running_race(), name="\x1b\\"))


# ---- how it is sent


class Endpoint:
    """A local web service that keeps what it is sent, and answers 200."""

    def __init__(self) -> None:
        self.posts: Queue[dict[str, Any]] = Queue()
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.put({"path": self.path, "headers": dict(self.headers), **json.loads(body)})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"json://user:{PASSWORD}@127.0.0.1:{self.port}/{TOKEN}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    pytest.importorskip("apprise", reason="needs the extra `notify`")
    made = Endpoint()
    yield made
    made.close()


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a service that takes connections and never answers."""
    pytest.importorskip("apprise", reason="needs the extra `notify`")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"json://user:{PASSWORD}@127.0.0.1:{listener.getsockname()[1]}/{TOKEN}"


def test_a_notice_arrives(endpoint: Endpoint, tmp_path: Path) -> None:
    log = tmp_path / "wtrace.log"
    courier = Courier([endpoint.url], log)
    courier.post([NOTICE])
    post = endpoint.posts.get(timeout=20)
    assert post["path"] == f"/{TOKEN}"
    assert post["title"] == NOTICE.title
    assert post["message"] == NOTICE.body
    assert post["type"] == "success"
    assert courier.wait(20)
    assert log.read_text() == ""


def test_each_kind_has_its_colour(endpoint: Endpoint) -> None:
    courier = Courier([endpoint.url], None)
    for kind in ("failure", "stall", "end"):
        courier.post([Notice(kind, kind, "text")])
    found = {(post := endpoint.posts.get(timeout=20))["title"]: post["type"] for _ in range(3)}
    assert found == {"failure": "failure", "stall": "warning", "end": "info"}
    assert courier.wait(20)


def test_a_dead_endpoint_holds_nobody_up_and_keeps_nothing_from_the_others(
    endpoint: Endpoint, deaf: str, tmp_path: Path
) -> None:
    log = tmp_path / "wtrace.log"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = f"json://user:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}/{TOKEN}"
    courier = Courier([deaf, endpoint.url, refusing], log, limit_s=3.0)
    begun = time.monotonic()
    courier.post([NOTICE])
    assert time.monotonic() - begun < 0.5
    assert endpoint.posts.get(timeout=20)["title"] == NOTICE.title
    assert courier.wait(20)
    assert time.monotonic() - begun < 10
    lines = sorted(line.split(" ", 1)[1] for line in log.read_text().splitlines())
    assert lines == [
        "notice (winner) not delivered to notify.urls[0] (json://…): no answer within 3 s",
        "notice (winner) not delivered to notify.urls[2] (json://…): no connection",
    ]


def test_too_many_under_way_are_dropped(deaf: str, caplog: pytest.LogCaptureFixture) -> None:
    courier = Courier([deaf], None, limit_s=1.0)
    courier.post([NOTICE] * (MOST_UNDER_WAY + 3))
    assert [record.getMessage() for record in caplog.records] == [
        "too many notices are under way; one (winner) is dropped"
    ] * 3
    assert courier.wait(30)


def test_no_secret_is_in_an_argument_an_environment_or_a_log(deaf: str, tmp_path: Path) -> None:
    log = tmp_path / "wtrace.log"
    process = send([deaf, f"nonsense://{TOKEN}"], NOTICE, limit_s=2.0, log=log)
    seen = b"".join(
        Path(f"/proc/{process.pid}/{name}").read_bytes()
        for name in ("cmdline", "environ")
        if Path("/proc").exists()
    )
    assert process.wait(timeout=20) == 2
    told = log.read_bytes()
    assert b"notify.urls[1] (nonsense://" in told
    for secret in (PASSWORD, TOKEN):
        assert secret.encode() not in seen + told


def test_without_addresses_nothing_is_started_and_nothing_is_needed() -> None:
    courier = Courier([], None)
    courier.post([NOTICE])
    assert courier.wait(0)
    check_urls([])


def test_an_address_that_apprise_does_not_understand_is_a_mistake_in_the_config(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("apprise", reason="needs the extra `notify`")
    check_urls([f"json://user:{PASSWORD}@127.0.0.1/{TOKEN}", f"discord://4174216298/{TOKEN}"])
    for bad in (f"jsn://user:{PASSWORD}@host/{TOKEN}", f"{PASSWORD} {TOKEN}", f"discord://{TOKEN}"):
        with pytest.raises(ConfigError, match=r"^notify\.urls\[1\]: Apprise does not understand") as raised:
            check_urls(["json://127.0.0.1", bad])
        out, err = capfd.readouterr()
        said = f"{raised.value} {raised.value.seen} {raised.value.hint}{out}{err}{caplog.text}"
        assert PASSWORD not in said
        assert TOKEN not in said


def test_a_missing_extra_is_told_once_and_clearly() -> None:
    code = (
        "import sys; sys.modules['apprise'] = None\n"
        "from wtrace.publish.notify.sender import check_urls\n"
        "from wtrace.errors import ConfigError\n"
        "try: check_urls(['json://x', 'json://y'])\n"
        "except ConfigError as error: print(error.what, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "notify.urls: notices are sent through Apprise, which is not installed | pip install 'wtrace[notify]'\n"
    )
    assert done.stderr == ""


def test_apprise_is_not_loaded_by_those_who_post(endpoint: Endpoint) -> None:
    code = (
        "import sys\n"
        "from wtrace.publish.notify.sender import Courier\n"
        "from wtrace.publish.notify.notices import Notice\n"
        f"courier = Courier([{endpoint.url!r}], None)\n"
        "courier.post([Notice('end', 'title', 'body')])\n"
        "print('apprise' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert endpoint.posts.get(timeout=20)["title"] == "title"  # although who posted it is gone


def test_all_that_is_said_of_an_address_is_its_scheme() -> None:
    assert shown("Discord://id/token") == "discord://…"
    assert shown("hunter2") == "an address without a scheme"
    assert shown("\x1b[31m://token") == "an address without a scheme"


def test_a_race_tells_a_real_endpoint_of_its_winner_and_keeps_the_address_to_itself(lab: Lab) -> None:
    pytest.importorskip("apprise", reason="the extra `notify` is not installed")
    received: list[bytes] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"json://user:s3cr3t@127.0.0.1:{server.server_port}/"
        lab.race({"a": [["check", 5, 2.0], ["forever"]]}, extra=f'[notify]\nurls = ["{url}"]')
        done = lab.wtrace("run")
        lab.wait_for(lambda: any(b"won" in body for body in received), "the notice of the winner")
        server.shutdown()
    told = done.stdout + done.stderr + lab.wtrace("trust").stdout
    for page in [*(lab.latest / "results").rglob("*"), lab.latest / "wtrace.log"]:
        told += page.read_text(errors="replace") if page.is_file() else ""
    assert "s3cr3t" not in told


# ---- wtrace notify test


class Service(BaseHTTPRequestHandler):
    """Takes what services take that people use: ntfy, Slack."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body.decode()))  # type: ignore[attr-defined]
        self.send_response(403 if "forbidden" in self.path + body.decode() else 200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Mailbox(StreamRequestHandler):
    """As much of SMTP (RFC 5321) as it takes to be handed a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 mailbox\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper().strip()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.server.received.append(letter.decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 mailbox\r\n")
            if word == b"QUIT":
                return


@contextmanager
def serving(handler: type[BaseRequestHandler]) -> Iterator[tuple[int, list[Any]]]:
    """A server of the test's own: its port, and what it has received."""
    with ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1], server.received  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def told_to(lab: Lab, *urls: str) -> None:
    lab.race({"a": [["check", 5, 2.0]]}, extra=f"[notify]\nurls = {json.dumps(urls)}")


def test_notify_test_reaches_ntfy_mail_and_the_desktop_and_says_what_it_does_not_reach(lab: Lab) -> None:
    pytest.importorskip("apprise", reason="needs the extra `notify`")
    shown_at = lab.root.parent / "shown"
    program = lab.home / "bin" / "notify-send"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shown_at}\n')
    program.chmod(0o755)
    lab.env |= {"PATH": f"{program.parent}:{lab.env['PATH']}", "DISPLAY": ":7"}
    with serving(Service) as (web, posts), serving(Mailbox) as (mail, letters):
        told_to(
            lab,
            f"ntfy://127.0.0.1:{web}/races",
            f"mailto://127.0.0.1:{mail}?from=race@example.org&to=ada@example.org&mode=insecure",
            "desktop://",
            f"ntfy://user:{PASSWORD}@127.0.0.1:{web}/forbidden",
        )
        done = lab.wtrace("notify", "test", expect=4)
    assert done.stdout.splitlines() == [
        "ok       notify.urls[0] (ntfy://…)",
        "ok       notify.urls[1] (mailto://…)",
        "ok       notify.urls[2] (desktop://…)",
        "problem  notify.urls[3] (ntfy://…): it answered 403",
    ]
    sent = {json.loads(body)["topic"]: json.loads(body) for _, body in posts}
    assert sent["races"]["title"] == "lab: a test"
    assert sent["races"]["message"] == "wtrace tells you here of a winner, a failure, a stall, the end."
    (letter,) = letters
    assert "Subject: lab: a test" in letter
    assert shown_at.read_text().splitlines()[-2:] == [sent["races"]["title"], sent["races"]["message"]]
    assert PASSWORD not in done.stdout + done.stderr


def test_a_notice_reaches_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    slack = pytest.importorskip("apprise.plugins.slack", reason="needs the extra `notify`")
    with serving(Service) as (port, posts):
        monkeypatch.setattr(slack.NotifySlack, "webhook_url", f"http://127.0.0.1:{port}/services")
        url = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#races"
        letter = {
            "urls": [url],
            "kind": "end",
            "title": "lab: ended",
            "body": "one <b> line",
            "limit_s": 20.0,
        }
        assert deliver(letter) == [None]
    ((path, body),) = posts
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert "lab: ended" in body


def test_the_desktops_address_needs_no_apprise_and_is_told_where_there_is_no_desktop(lab: Lab) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        lab.env.pop(name, None)
    hidden = lab.home / "hidden" / "apprise.py"
    hidden.parent.mkdir()
    hidden.write_text("raise ImportError('not installed')\n")
    lab.env["PYTHONPATH"] = str(hidden.parent)
    told_to(lab, "desktop://")
    done = lab.wtrace("notify", "test", expect=4)
    assert done.stdout == "problem  notify.urls[0] (desktop://…): there is no desktop here\n"


def test_notify_test_without_addresses_or_approval_sends_nothing(lab: Lab) -> None:
    with serving(Service) as (port, posts):
        told_to(lab, f"ntfy://127.0.0.1:{port}/races")
        del lab.env["WTRACE_TRUST"]
        assert "have not been approved" in lab.wtrace("notify", "test", expect=2).stderr
        assert posts == []
    lab.write_config(["a"])
    assert "this config tells nobody anything" in lab.wtrace("notify", "test", expect=2).stderr
    assert "wtrace notify test" in lab.wtrace("notify", "everybody", expect=2).stderr


def test_an_address_that_cannot_be_is_a_mistake_in_the_config(lab: Lab) -> None:
    pytest.importorskip("apprise", reason="the extra `notify` is not installed")
    lab.race({"a": [["check", 5, 2.0]]}, extra='[notify]\nurls = ["nonsense://s3cr3t"]')
    done = lab.wtrace("run", expect=2)
    assert "notify.urls" in done.stderr
    assert "s3cr3t" not in done.stderr
