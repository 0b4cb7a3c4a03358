"""`wtrace export`: a real race's curves as CSV, JSON, event files and MLflow runs, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from race_lab import Lab
from wtrace.judging.checks import CriterionStanding
from wtrace.metrics.foreign.event_file import EventFile
from wtrace.metrics.foreign.rows import Reading
from wtrace.publish.export.for_tools import LONGEST, Names, as_key, as_tag
from wtrace.publish.export.mlflow_runs import shown_uri
from wtrace.publish.export.series import CHECK, EPOCH_LINE, JUDGED, CurveBuilder

SAMPLES = {"persistent": [1.2] * 3, "transient": [1.0] * 3, "accuracy": [0.5] * 3}


def line(event: str, epoch: int, metrics: Mapping[str, object], **more: object) -> list[object]:
    return ["raw", json.dumps({"event": event, "epoch": epoch, "metrics": metrics, **more}) + "\n"]


HOSTILE = "../../\x1b[2J=cmd\u202e/x"
STORY = [
    line("epoch", 1, {"loss": 0.9, "note": "text", "flag": True, "none": None, "list": [1]}),
    line("epoch", 2, {"loss": math.nan, "big": math.inf, "low": -math.inf, HOSTILE: 1}),
    line("check", 5, {"loss": 0.5}, samples=SAMPLES),
    line("check", 5, {"loss": 0.1}, samples=SAMPLES),  # a second one of this epoch: not judged
    line("epoch", 5, {"loss": 0.2, "ratio": 7}),
    line("check", 10, {"loss": 0.4}, samples={"persistent": [1.2], "accuracy": [0.5]}),  # lacks a column
]


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A race that `win` wins while `twice` crashed and was started again; both told the same story before."""
    lab = Lab(tmp_path_factory.mktemp("raced"))
    lab.race({"win": [["wait", "go"], ["check", 5, 2.0]], "twice": [*STORY, ["exit", 3]]}, race="retries = 1")
    race = lab.start("run")
    lab.wait_for(lambda: lab.worker("twice")["state"] == "failed", "both attempts of twice to end")
    lab.wtrace("export", "--to", "json", "--output", "early.json")
    lab.open_gate("go")
    race.communicate(timeout=30)
    assert race.returncode == 0
    yield lab
    lab.end_all()


def exported(lab: Lab, *words: str) -> str:
    return lab.wtrace("export", *words).stdout


def of(document: dict[str, Any], name: str) -> dict[str, Any]:
    (worker,) = [worker for worker in document["workers"] if worker["name"] == name]
    found: dict[str, Any] = worker
    return found


def check_json(raced: Lab) -> None:
    document = json.loads(exported(raced, "--to", "json"), parse_constant=pytest.fail)
    assert document["schema"] == 1
    assert (document["race"]["winner"], document["race"]["winner_epoch"]) == ("win", 5)
    assert document["criteria"][0] == {
        "name": "ratio", "text": "mean(persistent) / mean(transient) >= 1.5", "op": ">=", "threshold": 1.5, "applied": 1.5,
    }  # fmt: skip
    assert document["settings"]["race"]["retries"] == 1
    twice = of(document, "twice")
    assert twice["commit"] == raced.git("rev-parse", "try/twice").strip()
    assert [attempt["attempt"] for attempt in twice["attempts"]] == [1, 2]
    assert [attempt["exit"]["code"] for attempt in twice["attempts"]] == [3, 3]
    first, second = twice["attempts"]
    assert set(first["metrics"]) == {"loss", "big", "low", "ratio", HOSTILE}
    # The judged check tells the value of epoch 5, whatever else was said of it before or after.
    assert [(point["epoch"], point["value"]) for point in first["metrics"]["loss"]] == [
        (1, 0.9), (2, None), (5, 0.5), (10, 0.4),
    ]  # fmt: skip
    assert first["metrics"]["loss"][1]["reason"] == "not a number"
    assert first["metrics"]["big"][0]["reason"] == "infinite"
    ratio = first["criteria"]["ratio"]
    assert [(point["epoch"], point["value"], point["met"]) for point in ratio] == [
        (5, pytest.approx(1.2), False), (10, None, False),
    ]  # fmt: skip
    assert "transient" in ratio[1]["reason"]
    # An epoch is judged once for a worker, so that the second attempt has no criteria; its metrics are those of the last check.
    assert second["criteria"] == {}
    assert [point["value"] for point in second["metrics"]["loss"]] == [0.9, None, 0.1, 0.4]


def check_csv(raced: Lab) -> None:
    text = exported(raced, "--to", "csv")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["race"], row["worker"], row["branch"]) for row in rows} == {
        (raced.latest.name, name, f"try/{name}") for name in ("win", "twice")
    }
    loss = [row for row in rows if (row["worker"], row["attempt"], row["name"]) == ("twice", "1", "loss")]
    assert [(row["epoch"], row["kind"], row["value"], row["met"]) for row in loss] == [
        ("1", "metric", "0.9", ""), ("2", "metric", "nan", ""), ("5", "metric", "0.5", ""), ("10", "metric", "0.4", ""),
    ]  # fmt: skip
    ratio = [
        (row["worker"], row["value"], row["met"]) for row in rows if row["name"] == "ratio" and row["met"]
    ]
    assert ("win", "2.0", "true") in ratio
    assert ("twice", "", "false") in ratio
    assert [row["value"] for row in rows if row["name"] in {"big", "low"}] == ["inf", "-inf"] * 2


def read_run(folder: Path) -> dict[str, dict[int, float]]:
    (file,) = folder.glob("events.out.tfevents.*")
    reader = EventFile(file, None)
    curves: dict[str, dict[int, float]] = {}
    readings, _ = reader.read()
    reader.close()
    for reading in readings:
        assert isinstance(reading, Reading) and reading.epoch is not None, reading
        for name, value in reading.values.items():
            curves.setdefault(name, {})[int(reading.epoch)] = value
    return curves


def check_tensorboard(raced: Lab) -> None:
    folder = raced.root / "runs" / "of wtrace"
    told = exported(raced, "--to", "tensorboard", "--output", str(folder))
    assert f"tensorboard --logdir '{folder}'" in told
    race = folder / raced.latest.name
    runs = {str(path.parent.relative_to(race)) for path in race.rglob("*") if path.is_file()}
    assert runs == {"win", "twice/attempt-1", "twice/attempt-2"}
    curves = read_run(race / "twice" / "attempt-1")
    assert curves["loss"] == {
        1: pytest.approx(0.9),
        2: pytest.approx(math.nan, nan_ok=True),
        5: 0.5,
        10: pytest.approx(0.4),
    }
    assert (curves["big"][2], curves["low"][2]) == (math.inf, -math.inf)
    assert curves["criteria/ratio"] == {5: pytest.approx(1.2)}  # at epoch 10 it had no number
    assert curves["ratio"] == {5: 7.0}  # a metric of that name is another thing
    assert any(name.startswith("../../\\x1b[2J") for name in curves)  # a tag is no path
    assert read_run(race / "win")["criteria/ratio"] == {5: 2.0}
    for path in raced.root.parent.rglob("events.out.tfevents.*"):
        assert race in path.parents


def check_never_over_anything(raced: Lab) -> None:
    """What is there stays; `--overwrite` replaces only what an export has written."""
    folder = raced.root / "runs" / "of wtrace"
    again = ("export", "--to", "tensorboard", "--output", str(folder))
    assert "is there already" in raced.wtrace(*again, expect=2).stderr
    raced.wtrace(*again, "--overwrite")
    assert read_run(folder / raced.latest.name / "win")["criteria/ratio"] == {5: 2.0}
    mine = folder / raced.latest.name / "win" / "notes.txt"
    mine.write_text("mine")
    assert "notes.txt is no part of an export" in raced.wtrace(*again, "--overwrite", expect=2).stderr
    assert mine.read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == [raced.latest.name]  # nothing half made is left
    kept = raced.root / "kept.csv"
    kept.write_text("mine")
    file = ("export", "--to", "csv", "--output", str(kept))
    assert "is there already" in raced.wtrace(*file, expect=2).stderr
    assert kept.read_text() == "mine"
    raced.wtrace(*file, "--overwrite")
    assert kept.read_text() == exported(raced, "--to", "csv")
    assert (
        "cannot write"
        in raced.wtrace("export", "--to", "json", "--output", "no/such/x.json", expect=4).stderr
    )
    assert (
        "cannot write"
        in raced.wtrace("export", "--to", "tensorboard", "--output", str(kept), expect=4).stderr
    )


def test_a_race_in_every_form(raced: Lab) -> None:
    check_json(raced)
    check_csv(raced)
    check_tensorboard(raced)
    check_never_over_anything(raced)
    early = json.loads((raced.root / "early.json").read_text())  # while the race ran
    assert (early["race"]["state"], early["race"]["ended"]) == ("running", None)
    assert of(early, "win")["attempts"][0]["exit"] is None
    assert (
        of(early, "twice")["attempts"] == of(json.loads(exported(raced, "--to", "json")), "twice")["attempts"]
    )
    first = raced.latest.name
    assert exported(raced, "--to", "csv", first) == exported(raced, "--to", "csv", "--race", first)
    assert "there is no race nobody" in raced.wtrace("export", "--to", "csv", "nobody", expect=2).stderr
    assert "which race" in raced.wtrace("export", "--to", "csv", "a", "--race", "b", expect=2).stderr
    assert "excel" in raced.wtrace("export", "--to", "excel", expect=2).stderr
    # The record alone is read: with the race's folder gone only the settings are missing.
    before = json.loads(exported(raced, "--to", "json"))
    folder = raced.latest.rename(raced.root / "elsewhere")
    after = json.loads(exported(raced, "--to", "json", first))
    folder.rename(raced.root / ".wtrace" / "races" / first)
    assert after == before | {
        "settings": {},
        "workers": [row | {"settings": {}} for row in before["workers"]],
    }


def test_secrets_stay_at_home(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]}, workers='env = { TOKEN = "sesame" }')
    lab.wtrace("run")
    config = lab.latest / "config.toml"  # as raced with a target, and with somebody to tell
    written = config.read_text().replace("urls = []", 'urls = ["ntfy://sesame"]')
    assert "ntfy" in written
    config.write_text(written + '[sync.laptop]\nhost = "sesame"\n')
    lab.wtrace("export", "--to", "tensorboard")
    (file,) = (lab.root / ".wtrace" / "exports" / "tensorboard").rglob("events.out.tfevents.*")
    assert b"sesame" not in file.read_bytes()
    assert b"check_every" in file.read_bytes()
    assert "sesame" not in exported(lab, "--to", "json") + exported(lab, "--to", "csv")


def test_without_a_race_or_a_curve_there_is_nothing_to_hand_on(lab: Lab) -> None:
    assert "there is no race" in lab.wtrace("export", "--to", "json", expect=2).stderr
    lab.race({"a": [["exit", 3]]})
    lab.wtrace("run", expect=1)
    assert "has no curves" in lab.wtrace("export", "--to", "tensorboard", expect=2).stderr
    assert len(exported(lab, "--to", "csv").splitlines()) == 1
    assert not (lab.root / ".wtrace" / "exports").exists()


def curve(lines: Iterable[tuple[int, object, int]]) -> list[tuple[int, float | None]]:
    builder = CurveBuilder()
    for at, (epoch, value, told_by) in enumerate(lines):
        builder.add(epoch, at, {"m": value}, told_by)
    made = builder.attempt(1, None, None, None)
    return [(point.epoch, point.value) for point in made.metrics.get("m", ())]


def test_one_value_an_epoch_the_judged_one_else_the_last() -> None:
    assert curve([(2, 0.1, EPOCH_LINE), (1, 0.2, EPOCH_LINE), (2, 0.3, EPOCH_LINE)]) == [(1, 0.2), (2, 0.3)]
    assert curve([(1, 0.1, EPOCH_LINE), (1, 0.2, JUDGED), (1, 0.3, CHECK), (1, 0.4, EPOCH_LINE)]) == [
        (1, 0.2)
    ]
    assert curve([(1, 0.2, CHECK), (1, 0.3, CHECK), (1, 0.4, EPOCH_LINE)]) == [(1, 0.3)]
    assert curve([(1, True, JUDGED), (1, "0.5", JUDGED), (1, None, CHECK)]) == []
    assert curve([(1, 2**62, JUDGED)]) == [(1, 2.0**62)]


PATHLIKE = st.text(alphabet="./ -:a@\u00e9\x1b", max_size=2 * LONGEST)


@given(st.lists(st.text(max_size=300) | PATHLIKE, max_size=8), st.lists(st.text(max_size=20), max_size=3))
def test_names_are_legal_and_never_two_of_one(metrics: list[str], criteria: list[str]) -> None:
    for legal in (as_tag, as_key):
        names = Names(legal, criteria)
        given = [names.metric(name) for name in dict.fromkeys(metrics)]
        given += [names.criterion(name) for name in dict.fromkeys(criteria)]
        assert len(set(given)) == len(given)
        assert all(name and name.isprintable() and len(name) <= LONGEST + 5 for name in given)
    names = Names(as_key, criteria)
    metrics += ["..", "..x", "a/..x", "/etc/passwd", "a/../../b", "x" * (LONGEST - 1) + "/y"]
    for key in map(names.metric, metrics):
        assert re.fullmatch(r"[A-Za-z0-9_\-. :/]+", key)
        assert os.path.normpath(key) == key and not key.startswith(("/", ".."))


def test_a_value_too_large_for_an_event_file_is_infinite_there(tmp_path: Path) -> None:
    from wtrace.publish.export.tensorboard import _scalar

    assert _scalar("x", 1e300)[-4:] == struct.pack("<f", math.inf)
    assert _scalar("x", -1e300)[-4:] == struct.pack("<f", -math.inf)


def test_criteria_keep_what_the_referee_said() -> None:
    builder = CurveBuilder()
    builder.judge(
        5,
        1.0,
        [
            CriterionStanding("c", 0.5, ">=", 1.0, False),
            CriterionStanding("d", None, ">=", 1.0, False, "why"),
        ],
    )
    made = builder.attempt(1, None, None, None)
    assert [(p.value, p.met, p.reason) for p in made.criteria["c"] + made.criteria["d"]] == [
        (0.5, False, None), (None, False, "why"),
    ]  # fmt: skip


def test_an_address_is_shown_without_its_password() -> None:
    assert shown_uri("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert shown_uri("sqlite:////tmp/a@b/mlflow.db") == "sqlite:////tmp/a@b/mlflow.db"


def test_real_tensorboard_reads_what_is_written(raced: Lab) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install tensorboard)")
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-not-found, unused-ignore]
        EventAccumulator,
    )

    raced.wtrace("export", "--to", "tensorboard")
    race = raced.root / ".wtrace" / "exports" / "tensorboard" / raced.latest.name
    events = EventAccumulator(str(race / "twice" / "attempt-1"))
    events.Reload()
    assert [(point.step, round(point.value, 3)) for point in events.Scalars("criteria/ratio")] == [(5, 1.2)]
    assert [point.step for point in events.Scalars("loss")] == [1, 2, 5, 10]
    (summary,) = events.Tensors("wtrace/race")
    assert "`winner` | `win`" in summary.tensor_proto.string_val[0].decode()


def test_mlflow_takes_the_runs(raced: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed (the extra `mlflow`)")
    pytest.importorskip("sqlalchemy", reason="MLflow cannot keep a local store without SQLAlchemy")
    store = raced.root / "store"
    told = raced.wtrace("export", "--to", "mlflow", "--output", str(store))
    assert "wrote 3 runs" in told.stdout
    with sqlite3.connect(store / "mlflow.db") as db:
        runs = dict(db.execute("SELECT name, status FROM runs"))
        assert runs == {
            raced.latest.name: "FINISHED", "win": "FINISHED", "twice/attempt-1": "FAILED", "twice/attempt-2": "FAILED",
        }  # fmt: skip
        query = (
            "SELECT step, value, is_nan FROM metrics JOIN runs USING (run_uuid) "
            "WHERE name = 'twice/attempt-1' AND key = ? ORDER BY step"
        )
        assert list(db.execute(query, ("loss",))) == [(1, 0.9, 0), (2, 0.0, 1), (5, 0.5, 0), (10, 0.4, 0)]
        assert [row[:2] for row in db.execute(query, ("criteria/ratio",))] == [(5, pytest.approx(1.2))]
        params = dict(
            db.execute("SELECT key, params.value FROM params JOIN runs USING (run_uuid) WHERE name = 'win'")
        )
        assert (params["branch"], params["commit"]) == ("try/win", raced.git("rev-parse", "try/win").strip())
    assert "is in sqlite" in raced.wtrace("export", "--to", "mlflow", "--output", str(store), expect=2).stderr
    raced.wtrace("export", "--to", "mlflow", "--output", str(store), "--overwrite")
    with sqlite3.connect(store / "mlflow.db") as db:
        assert dict(db.execute("SELECT lifecycle_stage, count(*) FROM runs GROUP BY 1")) == {
            "active": 4,
            "deleted": 4,
        }
    monkeypatch.setitem(raced.env, "MLFLOW_TRACKING_URI", "http://me:sesame@127.0.0.1:9")
    failed = raced.wtrace("export", "--to", "mlflow", expect=4)
    assert "did not take the race" in failed.stderr
    assert "sesame" not in failed.stdout + failed.stderr


def test_without_mlflow_it_is_said_how_to_get_it(
    raced: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.py").write_text("raise ImportError('no mlflow here')\n")
    path = os.pathsep.join([str(tmp_path), raced.env.get("PYTHONPATH", "")])
    monkeypatch.setitem(raced.env, "PYTHONPATH", path)
    failed = raced.wtrace("export", "--to", "mlflow", expect=4)
    assert "pip install 'wtrace[mlflow]'" in failed.stderr
    assert not (raced.root / ".wtrace" / "exports" / "mlflow").exists()
