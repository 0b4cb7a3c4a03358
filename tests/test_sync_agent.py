"""The agent of one target: what it sends when, how it tells, and that a dead target costs nobody anything."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sync_lab import Machine, machine
from wtrace.mirror.agent import FIRST_DELAY_S, LONGEST_DELAY_S, Agent, Facts, backoff_s
from wtrace.mirror.connection import Connection
from wtrace.mirror.push import Push
from wtrace.mirror.target import Target
from wtrace.mirror.target_state import TargetState
from wtrace.race.paths import RaceLayout
from wtrace.supervisor.sync_agent import Alarm


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path / "laptop") as made:
        yield made


@dataclass
class Story:
    """A race as the agent sees it: at each wait the next scene is played."""

    results: Path
    scenes: list[Callable[[], None]]
    facts: Facts = field(default_factory=Facts)
    told: list[TargetState] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)

    def wait(self, until: float) -> None:
        self.waits_s.append(until - time.time())
        self.scenes.pop(0)()

    def play(self, target: Target, **options: float) -> TargetState:
        with Connection(target) as connection:
            push = Push(connection, "id", self.results)
            end = Agent(target, push, lambda: self.facts, self.wait, self.told.append, **options).run()  # type: ignore[arg-type]
        assert self.scenes == [], "the agent left early"
        return end

    def stages(self) -> list[str]:
        return [state.stage for state in self.told]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    results = tmp_path / "results"
    results.mkdir()
    (results / "PARALLEL_PROGRESS.md").write_text("epoch 5\n")
    return Story(results, [])


def target_on(laptop: Machine, **options: object) -> Target:
    return Target("mac", laptop.host, "lab", ssh_config=laptop.ssh_config, **options)  # type: ignore[arg-type]


def test_progress_while_it_runs_and_everything_at_the_end(
    laptop: Machine, story: Story, tmp_path: Path
) -> None:
    mirror = laptop.home / "lab"
    output = tmp_path / "output"
    output.mkdir()
    (output / "best.pt").write_bytes(b"weights")

    def second_look() -> None:
        assert (mirror / "results/PARALLEL_PROGRESS.md").read_text() == "epoch 5\n"
        (story.results / "PARALLEL_PROGRESS.md").write_text("epoch 6\n")
        (story.results / "SUCCESS_REPORT.md").write_text("half")

    def the_end() -> None:
        assert (mirror / "results/PARALLEL_PROGRESS.md").read_text() == "epoch 6\n"
        assert not (mirror / "results/SUCCESS_REPORT.md").exists(), "results go at the end"
        (story.results / "SUCCESS_REPORT.md").write_text("a won")
        story.facts = Facts(closed=True, winner_output=output)

    story.scenes = [second_look, the_end]
    end = story.play(target_on(laptop, every_s=7.0))
    assert (mirror / "results/SUCCESS_REPORT.md").read_text() == "a won"
    assert (mirror / "winner/best.pt").read_bytes() == b"weights"
    assert story.stages() == ["sending", "waiting", "sending", "waiting", "sending", "delivered"]
    assert end.verified is not None
    assert end.error is None
    assert all(0 < wait_s <= 7 for wait_s in story.waits_s), "the mirror would be older than `every`"


def test_a_target_without_results_gets_progress_only(laptop: Machine, story: Story) -> None:
    (story.results / "SUCCESS_REPORT.md").write_text("a won")
    story.facts = Facts(closed=True)
    end = story.play(target_on(laptop, results=False))
    assert [path.name for path in (laptop.home / "lab/results").glob("[!.]*")] == ["PARALLEL_PROGRESS.md"]
    assert (end.stage, end.verified) == ("delivered", None)


def test_a_laptop_that_sleeps_is_tried_again_and_reached_when_it_wakes(laptop: Machine, story: Story) -> None:
    def end() -> None:
        story.facts = Facts(closed=True)

    story.scenes = [laptop.stop, lambda: None, lambda: None, laptop.start, end]
    last = story.play(target_on(laptop))
    reached = story.told[1].last_reached
    failing = [state for state in story.told if state.stage == "trying again"]
    assert len(failing) == 3
    for state in failing:
        assert state.last_reached == reached, "the time of the last success was lost"
        assert "refuses connections" in (state.error or "")
        assert state.failing_since == failing[0].failing_since
        assert state.next_try is not None
    assert [state.tries for state in failing] == [1, 2, 3]
    first, second, third = story.waits_s[1:4]
    assert first < second < third, "the waits do not grow"
    assert (last.stage, last.error, last.tries) == ("delivered", None, 0)


def test_after_the_end_a_dead_target_is_given_up_at_last(laptop: Machine, story: Story) -> None:
    laptop.stop()
    story.facts = Facts(closed=True)
    story.scenes = [lambda: None]
    end = story.play(target_on(laptop), patience_s=0.0)
    assert end.stage == "given up"
    assert "refuses" in (end.error or "")
    assert end.next_try is None


def test_a_newer_race_of_the_same_name_is_not_disturbed(laptop: Machine, story: Story) -> None:
    story.facts = Facts(closed=True, superseded=True)
    end = story.play(target_on(laptop))
    assert (end.stage, list(laptop.home.iterdir())) == ("given up", [])


def test_the_agent_of_a_lost_supervisor_leaves_after_a_last_word(laptop: Machine, story: Story) -> None:
    story.facts = Facts(abandoned=True)
    end = story.play(target_on(laptop))
    assert end.stage == "waiting"
    assert (laptop.home / "lab/results/PARALLEL_PROGRESS.md").exists()


def test_a_state_that_cannot_be_stored_ends_nothing(laptop: Machine, story: Story) -> None:
    def full(_: TargetState) -> None:
        raise OSError(28, "No space left on device")

    story.facts = Facts(closed=True)
    target = target_on(laptop)
    with Connection(target) as connection:
        end = Agent(
            target, Push(connection, "id", story.results), lambda: story.facts, story.wait, full
        ).run()
    assert end.stage == "delivered"


def test_delays_double_with_some_chance_up_to_the_targets_own_pace() -> None:
    for tries, most_s, middle in (
        (1, 120.0, FIRST_DELAY_S),
        (2, 120.0, 10.0),
        (4, 120.0, 40.0),
        (50, 9e9, LONGEST_DELAY_S),
        (50, 60.0, 60.0),
        (9, 1.0, FIRST_DELAY_S),
    ):
        delays = {backoff_s(tries, most_s) for _ in range(50)}
        assert len(delays) > 1, "no chance in it"
        assert all(0.75 * middle <= delay <= 1.25 * middle for delay in delays)


@dataclass
class Played:
    """The race's stage, as the database would tell it."""

    stage: str = "running"
    acted_on: str = "running"

    def look(self) -> tuple[Facts, str]:
        return Facts(), self.stage


@pytest.fixture
def alarm(tmp_path: Path) -> Iterator[tuple[Alarm, Played, Path]]:
    before = signal.getsignal(signal.SIGUSR1)
    race = RaceLayout(tmp_path / "race")
    race.results.mkdir(parents=True)
    played = Played()
    with Alarm(race, played) as made:  # type: ignore[arg-type]
        yield made, played, race.results
    signal.signal(signal.SIGUSR1, before)


def waited_s(alarm: Alarm, until_s: float) -> float:
    began = time.monotonic()
    alarm(time.time() + until_s)
    return time.monotonic() - began


def test_the_alarm_rings_at_its_time(alarm: tuple[Alarm, Played, Path]) -> None:
    assert 0.2 <= waited_s(alarm[0], 0.2) < 5


def test_the_alarm_rings_at_a_verdict_but_not_for_every_page(alarm: tuple[Alarm, Played, Path]) -> None:
    waits, played, results = alarm

    def race_on() -> None:
        for number in range(3):
            (results / f"page {number}").write_text("new")
            time.sleep(0.1)  # the verdict comes later than the pages: that is what is tested
        played.stage = "decided"
        (results / "page").write_text("won")

    racing = threading.Thread(target=race_on)
    racing.start()
    assert 0.25 < waited_s(waits, 60) < 10
    racing.join()


def test_a_verdict_that_came_while_it_was_sending_is_not_slept_over(
    alarm: tuple[Alarm, Played, Path],
) -> None:
    alarm[1].stage = "decided"
    assert waited_s(alarm[0], 60) < 5


def test_the_alarm_rings_when_it_is_asked_to(alarm: tuple[Alarm, Played, Path]) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    assert waited_s(alarm[0], 60) < 5
    assert 0.2 <= waited_s(alarm[0], 0.2) < 5, "it rang twice for one bell"
