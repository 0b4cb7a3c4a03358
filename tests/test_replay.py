"""Recorded races told again: report, replay, history, compare."""

from __future__ import annotations

import json

from race_lab import Lab
from test_core_race import spec, with_worker
from wtrace.config.spec import ConfirmSpec
from wtrace.race.replay import RecordedCheck, replay, under


def check(worker: str, epoch: int, ratio: float, at: float = 0.0) -> RecordedCheck:
    return RecordedCheck(worker, epoch, at, {"ratio": ratio, "accuracy": 0.9}, {})


def test_the_first_planned_check_that_passes_wins() -> None:
    checks = [
        check("a", 3, 9.0),
        check("a", 5, 1.0),
        check("a", 5, 9.0),
        check("b", 5, 1.6, at=7.0),
        check("a", 10, 9.0),
    ]
    outcome = replay(spec("a", "b"), checks, {})
    assert (outcome.winner, outcome.epoch, outcome.at) == ("b", 5, 7.0)


def test_a_control_does_not_win_a_replay_either() -> None:
    race = with_worker(spec("a", "b"), "b", control=True)
    assert replay(race, [check("b", 5, 9.0)], {}).winner is None


def test_a_recorded_confirmation_refutes_and_uses_the_attempts_up() -> None:
    race = spec("a", "b", confirm=ConfirmSpec(("x",), attempts=1))
    held_out = {("a", 5): check("a", 5, 1.0)}
    checks = [check("a", 5, 2.0), check("a", 10, 2.0), check("b", 10, 2.0)]
    outcome = replay(race, checks, held_out)
    assert (outcome.winner, outcome.refuted, outcome.unconfirmed) == ("b", (("a", 5),), True)


def test_a_claim_that_the_race_gave_up_undecided_wins_no_replay() -> None:
    race = spec("a", "b", confirm=ConfirmSpec(("x",)))
    checks = [check("a", 5, 2.0), check("a", 10, 2.0), check("a", 15, 2.0)]
    held_out = {("a", 5): check("a", 5, 1.0), ("a", 15): check("a", 15, 2.0)}
    outcome = replay(race, checks, held_out, undecided={("a", 10)})
    assert (outcome.winner, outcome.epoch, outcome.unconfirmed) == ("a", 15, False)


def test_a_check_that_repeated_old_values_wins_no_replay_either() -> None:
    checks = [check("a", 5, 2.0, at=7.0), check("a", 10, 2.0, at=9.0)]
    outcome = replay(spec("a", "b"), checks, {}, stale={("a", 5, 7.0)})
    assert (outcome.winner, outcome.epoch) == ("a", 10)


def test_other_criteria_come_from_the_other_config_and_the_plan_from_the_race() -> None:
    race, other = spec("a", check_every=2), spec("z", check_every=5)
    judged = under(race, other)
    assert (judged.check_every, judged.workers, judged.success) == (2, race.workers, other.success)


def test_a_real_race_is_replayed_reported_listed_and_compared(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 1.4], ["check", 10, 1.6], ["forever"]]})
    lab.wtrace("run")
    first = lab.latest.name
    same = json.loads(lab.wtrace("replay", "--json").stdout)
    assert (same["winner"], same["epoch"], same["exploratory"]) == ("a", 10, True)

    softer = (lab.root / "wtrace.toml").read_text().replace(">= 1.5", ">= 1.3")
    (lab.root / "softer.toml").write_text(softer)
    other = json.loads(lab.wtrace("replay", "--json", "--config", "softer.toml").stdout)
    assert (other["winner"], other["epoch"]) == ("a", 5)
    assert "exploratory" in lab.wtrace("replay", "--config", "softer.toml").stdout

    report = lab.latest / "results" / "SUCCESS_REPORT.md"
    before = report.read_text()
    report.unlink()
    assert lab.wtrace("report").stdout.splitlines() == [str(report), str(report.with_suffix(".html"))]
    assert report.read_text().splitlines()[:3] == before.splitlines()[:3]

    lab.wtrace("run", "--config", "softer.toml")
    second = lab.latest.name
    races = json.loads(lab.wtrace("history", "--json").stdout)["races"]
    assert [race["id"] for race in races] == [first, second]
    assert first in lab.wtrace("history").stdout
    differences = {
        row["what"]: (row["first"], row["second"])
        for row in json.loads(lab.wtrace("compare", first, second, "--json").stdout)["differences"]
    }
    assert differences["winning epoch"] == ("10", "5")
    assert "criterion ratio" in differences
    assert lab.wtrace("compare", first, second, "--markdown").stdout.startswith("| what |")
    assert "no race bogus" in lab.wtrace("compare", first, "bogus", expect=2).stderr
