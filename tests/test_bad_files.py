"""A file of ours that somebody else has written kills nobody, hangs nobody, and is believed by nobody."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bad_files
from bad_files import KINDS
from runner_world import World, until
from stall_lab import events
from wtrace.metrics.foreign.old_files import LEFTOVERS, read_leftovers
from wtrace.runners import attempt_folder, engine, processes
from wtrace.runners.base import Exit
from wtrace.supervisor.requests import Request, read_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from race_lab import Lab

FORGED = '{"code": 0, "signal": null, "known": true, "at": 1.0, "leftovers": 0}'
NAMES = ("exit.json", "start.claim", engine.RECORD, "request.json", LEFTOVERS)

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)  # fmt: skip
WORDS = ("code", "signal", "known", "at", "leftovers", "role", "pid", "start_ticks", "boot_id", "marker", "stamp", "ask", "workers", "by", "runner", "job", "grace_s")  # fmt: skip
objects = st.dictionaries(st.sampled_from(WORDS), values)
contents = st.one_of(
    st.binary(max_size=60),
    values.map(lambda value: json.dumps(value).encode()),
    objects.map(lambda value: json.dumps(value).encode()),
    st.lists(objects, max_size=3).map(lambda rows: b"\n".join(json.dumps(row).encode() for row in rows)),
)


def read_all(folder: Path) -> None:
    """Whatever lies in the folder, each reader gives what its type says, at once."""
    ending = attempt_folder.read_exit(folder)
    if ending is not None:
        numbers = [number for number in (ending.code, ending.signal) if number is not None]
        assert len(numbers) == ending.known
        assert all(type(number) is int for number in (*numbers, ending.leftovers))
        assert isinstance(ending.at, float)
        assert {type(flag) for flag in (ending.known, ending.oom, ending.stopped)} == {bool}
    claim = attempt_folder.read_claim(folder)
    if claim is not None:
        for who in (claim.worker, claim.shim):
            assert type(who.pid) is int and who.pid >= 0 and isinstance(who.boot_id, str)
            processes.is_alive(who)
    descriptor = attempt_folder.open_claim(folder)
    if descriptor is not None:
        os.close(descriptor)
    engine.read_record(folder)
    engine.started_elsewhere(folder, "ray")
    assert isinstance(read_leftovers(folder), dict)
    request = read_request(folder / "request.json")
    if request is not None:
        assert request.ask in ("stop", "pause", "unpause")
        assert all(isinstance(name, str) for name in (*request.workers, request.by))
        assert request.by.isprintable()


@given(contents, st.sampled_from(NAMES))
@settings(max_examples=400)
def test_no_content_does_harm(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    folder = tmp_path_factory.mktemp("attempt")
    (folder / name).write_bytes(content)
    read_all(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_than_a_file_does_harm(tmp_path: Path, kind: str) -> None:
    for name in NAMES:
        bad_files.put(tmp_path / name, kind)
    read_all(tmp_path)


def test_what_a_command_leaves_is_read_as_it_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text('{"ask": "stop", "workers": ["a"], "by": "wtrace\\u001b[2J stop"}')
    assert read_request(path) == Request("stop", ("a",), "wtrace\\x1b[2J stop")
    path.write_text('{"ask": "stop", "by": "me"}')
    assert read_request(path) == Request("stop", (), "me")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.mark.parametrize("kind", ["forged", "a full folder", "a FIFO", "a link"])
def test_an_exit_beside_a_living_guardian_is_nobodys(world: World, kind: str) -> None:
    folder = world.start("linger()")
    world.wait_for("ready")
    if kind == "forged":
        (folder / "exit.json").write_text(FORGED)
    else:
        bad_files.put(folder / "exit.json", kind)
    later = world.another_runner()
    assert world.runner.exited(folder) is None
    assert later.exited(folder) is None
    later.stop(folder)
    ending = world.end_of(folder)
    assert (ending.code, ending.signal, ending.known) == (None, signal.SIGTERM, True)


def test_without_a_look_at_the_guardian_a_worker_forges_its_exit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = world.start("linger()")
    (folder / "exit.json").write_text(FORGED)
    later = world.another_runner()
    monkeypatch.setattr(processes, "is_alive", lambda _: False)
    assert later.exited(folder) == Exit(0, None, True, 1.0)


@pytest.mark.parametrize("adopted", [False, True])
def test_a_worker_that_kills_its_guardian_and_forges_its_exit_is_ended(world: World, adopted: bool) -> None:
    folder = world.start("linger()")
    world.wait_for("ready")
    runner = world.runner
    if adopted:
        runner = world.another_runner()
        assert runner.adopt(folder)
    (folder / "exit.json").write_text(FORGED)
    os.kill(world.guardian_of(folder), signal.SIGKILL)
    assert until(runner.lost) == [folder]
    ending = until(lambda: runner.exited(folder))
    assert ending is not None and not ending.known
    assert world.living() == []
    assert [path.read_text() for path in folder.glob("exit.json.bad-*")] == [FORGED]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_race_goes_on_beside_requests_that_are_none(lab: Lab, resumed: bool) -> None:
    lab.race({"a": [["mark", "runs"], ["forever"]]})
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("runs")
    requests = lab.latest / "requests"
    if resumed:
        supervisor = lab.status()["supervisor"]["pid"]
        os.kill(supervisor, signal.SIGKILL)
        lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    for number, kind in enumerate(KINDS):
        bad_files.put(requests / f"{number:02}.json", kind)
    bad_files.put(lab.latest / "a" / "attempts" / "1" / "exit.json", "a FIFO")
    if resumed:
        lab.wtrace("run", "--resume", "--detach")
    lab.wait_for(lambda: not list(requests.glob("[!.]*")), "all of them to be put aside")
    assert len(list(requests.glob(".bad-*"))) == len(KINDS)
    assert lab.worker("a")["state"] == "running"
    lab.wtrace("stop")
    ended: dict[str, Any] = lab.worker("a")
    assert (ended["state"], ended["exit"]["signal"]) == ("stopped", signal.SIGTERM)
    told = [event["text"] for event in events(lab, "Noticed") if "no request" in event["text"]]
    assert len(told) == len(KINDS)
