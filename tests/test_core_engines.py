"""What the pure rooms make of places other than this machine: settings, queues, and workers that a place took away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config_samples import MINIMAL
from test_core_race import Story, spec
from wtrace.config.engines import engine_of
from wtrace.config.load import dump, parse
from wtrace.config.spec import ConfirmSpec
from wtrace.errors import ConfigError
from wtrace.race import events as ev
from wtrace.race import policy, view
from wtrace.race.phases import Launching, Retrying

QUEUED = "waits in the queue of Slurm: job 7 (Resources)"


def config(runners: str, runner: str = "there") -> str:
    return MINIMAL.replace('name = "digits"', f'name = "digits"\nrunner = "{runner}"') + runners


def test_a_runner_is_an_engine_with_its_settings() -> None:
    race = parse(config('[runners.there]\nengine = "slurm"\npartition = "gpu"\ntime = 60\n'))
    engine = engine_of(race, "there")
    assert (engine.kind, dict(engine.settings)) == ("slurm", {"partition": "gpu", "time": "60"})
    assert engine_of(race, "ray").kind == "ray"
    assert not race.is_local
    assert parse(dump(race)) == race


@pytest.mark.parametrize(
    ("runners", "what"),
    [
        ('[runners.there]\naddress = "x"\n', "runners.there: no engine is called `there`"),
        ('[runners.there]\nengine = "rya"\n', "runners.there: no engine is called `rya`; did you mean `ray`?"),
        ('[runners.there]\nengine = "local"\n', "runners.there: no engine is called `local`"),
        ('[runners.there]\nengine = "ray"\npartition = "x"\n', "runners.there: unknown key `partition`"),
        ('[runners.there]\nengine = "ray"\naddress = true\n', "runners.there.address: expected text, got True"),
        ('[runners.there]\nengine = "ray"\naddress = " "\n', "runners.there.address: expected text, got ' '"),
        ('[runners.there]\nengine = "ray"\nresources = "TPU"\n', "runners.there.resources: expected NAME=AMOUNT"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_runner_is_named(runners: str, what: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(config(runners))
    assert error.value.what.startswith(what)


def test_on_ray_metrics_come_from_what_is_mirrored() -> None:
    text = config("", runner="ray") + 'metrics = { from = "csv", path = "log.csv" }\n'
    with pytest.raises(ConfigError, match="on Ray, metrics can be read from jsonl or stdout, not from csv"):
        parse(text)
    assert parse(text.replace('"ray"', '"slurm"')).runner == "slurm"


def test_what_prepares_a_worktree_is_refused_where_it_would_not_be_seen() -> None:
    line = 'include = [".env"]'
    with pytest.raises(ConfigError, match="it prepares a worktree, and Ray is sent the commit alone"):
        parse(config("", runner="ray") + line)
    assert parse(config("", runner="slurm") + line).runner == "slurm"


def test_a_set_up_may_commit_so_it_is_not_refused() -> None:
    assert parse(config("", runner="ray") + 'setup = [["make", "sources"]]').runner == "ray"


def test_a_queued_worker_waits_and_a_stop_does_not_wait_for_its_start() -> None:
    race = Story(spec("a", "b"))
    race.note(ev.WorkerQueued(race.now, "a", 1, QUEUED))
    place = view.Place("try/a", "c0ffee", "/w", "/o", "/l")
    row = view.worker_standing(race.state, "a", place)
    assert (row.state, row.note) == ("waiting", QUEUED)
    race.note(ev.StopAsked(race.now, (), "a test"))
    assert [deed for deed in race.settle() if isinstance(deed, policy.Stop)] == [policy.Stop("a", 1, "asked")]
    race.note(ev.WorkerExited(race.now, "a", 1, None, None, known=False))
    assert race.outcome("a") == "stopped"
    assert isinstance(race.state.workers["b"].phase, Launching)  # nobody has said yet that it is queued


def test_a_worker_that_started_has_left_the_queue() -> None:
    race = Story(spec("a"))
    race.note(ev.WorkerQueued(race.now, "a", 1, QUEUED))
    race.started("a")
    race.note(ev.WorkerQueued(race.now, "a", 1, QUEUED))
    row = view.worker_standing(race.state, "a", view.Place("try/a", "", "", "", ""))
    assert (row.state, row.note) == ("running", None)


@pytest.mark.parametrize(
    ("retries", "resumable", "again"), [(0, False, False), (1, False, True), (0, True, True)]
)
def test_an_exit_that_the_place_brought_about_says_nothing_of_the_worker(
    retries: int, resumable: bool, again: bool
) -> None:
    race = Story(spec("a", retries=retries))
    race.started("a")
    race.note(ev.LinesRead(race.now, "a", 1, 0, 1))
    race.now += 100
    taken = ev.WorkerExited(race.now, "a", 1, 0, None, known=True, reason="it was preempted", taken=True)
    race.note(replace(taken, resumable=resumable))
    assert isinstance(race.state.workers["a"].phase, Retrying) is again
    if not again:
        assert race.outcome("a") == "lost"
        assert race.state.workers["a"].note == "it was preempted"


def test_the_time_of_a_confirmation_runs_only_when_it_does() -> None:
    race = Story(spec("a", confirm=ConfirmSpec(("python", "confirm.py"), timeout_s=60)))
    race.started("a")
    race.check("a", 5, ratio=2.0)
    race.note(ev.ConfirmationQueued(race.now, 1, 1, "a", QUEUED))
    race.now += 1000
    assert race.settle() == []
    assert policy.next_deadline(race.state, race.now) is None
    race.note(ev.ConfirmationBegan(race.now, 1, 1, "a"))
    race.now += 59
    assert race.settle() == []
    race.now += 1
    assert race.settle() == [policy.KillConfirmation(1, 1)]
    race.note(ev.StopAsked(race.now, (), "a test"))
