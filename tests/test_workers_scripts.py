"""The scripts as a person or wtrace starts them."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from persistence import checkpoint, options, reporting
from persistence.errors import TrainingError

pytestmark = pytest.mark.torch

WORKERS = Path(__file__).resolve().parent.parent / "workers"
TRAININGS = (
    "train_supervised",
    "train_pretrained",
    "train_contrastive",
    "train_multitask",
    "train_hybrid",
    "train",
)
SHARED = [
    "--data",
    "--output",
    "--check-every",
    "--max-epochs",
    "--early-stop-ratio",
    "--seed",
    "--quick",
    "--device",
    "--threads",
    "--data-cache",
    "--data-seed",
    "--precision",
    "--lr",
    "--weight-decay",
    "--warmup-steps",
    "--batch-size",
    "--clip-norm",
]


@pytest.mark.parametrize("name", TRAININGS)
def test_help_explains_the_approach_and_every_option(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module(name)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as left:
        script.main()
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert all(f"{option} " in said or f"{option}\n" in said for option in SHARED)
    assert script.__doc__ is not None
    assert script.__doc__.split(",")[0].split(":")[0] in said


def test_what_wtrace_says_is_the_default_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WTRACE_OUTPUT", "WTRACE_CHECK_EVERY", "WTRACE_MAX_EPOCHS"):
        monkeypatch.delenv(name, raising=False)
    by_hand = options.parser("", name="some").parse_args([])
    assert (by_hand.output, by_hand.check_every, by_hand.max_epochs) == (Path("outputs/some"), 5, 50)
    monkeypatch.setenv("WTRACE_OUTPUT", "/somewhere")
    monkeypatch.setenv("WTRACE_CHECK_EVERY", "3")
    monkeypatch.setenv("WTRACE_MAX_EPOCHS", "7")
    in_a_race = options.parser("", name="some").parse_args([])
    assert (in_a_race.output, in_a_race.check_every, in_a_race.max_epochs) == (Path("/somewhere"), 3, 7)
    told = options.parser("", name="some").parse_args(
        ["--output", "here", "--check-every", "2", "--max-epochs", "4"]
    )
    assert (told.output, told.check_every, told.max_epochs) == (Path("here"), 2, 4)


@pytest.mark.parametrize(
    "mistake", [["--max-epochs", "0"], ["--check-every", "-1"], ["--batch-size", "x"], ["--max"]]
)
def test_a_mistake_in_usage_exits_2(mistake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        options.parser("", name="some").parse_args(mistake)
    assert left.value.code == 2
    assert mistake[0] in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_told() -> None:
    assert options.choose_device("auto").type in {"cpu", "mps"}
    with pytest.raises(TrainingError, match="try --device auto"):
        options.choose_device("cuda")


def test_what_cannot_be_done_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise TrainingError("no such thing; try another")

    with pytest.raises(SystemExit) as left:
        options.run_script(main)
    assert left.value.code == 1
    assert capsys.readouterr().err.endswith(": no such thing; try another\n")


def test_without_wtrace_a_script_runs_by_hand_but_not_in_a_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wtrace", None)  # import wtrace: ImportError
    monkeypatch.delenv("WTRACE_METRICS", raising=False)
    reporter = reporting.reporter()
    assert not reporter.active
    reporter.start(max_epochs=1, info={})
    reporter.epoch(1, {"train_loss": 1.0})
    reporter.check(1, samples={"id": [1]})
    reporter.end("max_epochs")
    monkeypatch.setenv("WTRACE_METRICS", "/some/file")
    with pytest.raises(TrainingError, match="cannot import wtrace"):
        reporting.reporter()


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["event"] != "progress"]


def _wait_for_check(process: subprocess.Popen[str], metrics: Path) -> None:
    """Until the first check is on record and the training goes on."""
    deadline = time.monotonic() + 120
    while not any(line["event"] == "check" for line in _lines(metrics)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_winner_of_the_quick_race_starts_saves_when_told_to_stop_and_is_evaluated(tmp_path: Path) -> None:
    cache, output, metrics = tmp_path / "cache", tmp_path / "output", tmp_path / "metrics.jsonl"
    environment = {
        **os.environ,
        "WTRACE_METRICS": str(metrics),
        "WTRACE_OUTPUT": str(output),
        "WTRACE_CHECK_EVERY": "2",
        "WTRACE_MAX_EPOCHS": "12",
    }
    command = [sys.executable, str(WORKERS / "train_supervised.py"), "--quick", "--data-cache", str(cache)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        _wait_for_check(process, metrics)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    start, check, end = _lines(metrics)
    assert start["max_epochs"] == 12
    assert start["info"]["data"].startswith("sha256:")
    assert (check["epoch"], len(check["samples"]["id"])) == (0, 400)
    assert end == {"event": "end", "reason": "stopped"}
    state = checkpoint.load(output / "checkpoints" / "last.pt", torch.device("cpu"))
    assert state["progress"]["checked"] == 0

    held_out = tmp_path / "held-out.jsonl"
    judged = subprocess.run(
        [
            sys.executable,
            WORKERS / "evaluate.py",
            "--checkpoint",
            output / check["checkpoint"],
            "--data-cache",
            cache,
        ],
        env={**environment, "WTRACE_METRICS": str(held_out)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert judged.stdout.startswith("test clips, epoch 0: attention ratio 1.0")
    (record,) = _lines(held_out)
    assert record["event"] == "check"
    assert record["samples"].keys() == check["samples"].keys()
    assert record["samples"]["id"] == list(range(9000, 9400))


def test_evaluating_what_is_no_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(WORKERS / "evaluate.py"), "--checkpoint", str(tmp_path / "none.pt")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == f"evaluate.py: there is no {tmp_path / 'none.pt'}\n"
