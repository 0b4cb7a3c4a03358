from __future__ import annotations

import ast
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import wtrace
from wtrace.metrics import reporter as reporter_module
from wtrace.metrics.records import BadLine, Check, End, Epoch, Other, Record, Start, decode
from wtrace.metrics.reporter import Reporter

SOURCE = Path(wtrace.__file__).parent.parent


@pytest.fixture(autouse=True)
def outside_a_race(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WTRACE_METRICS", "WTRACE_OUTPUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def reporter(path: Path) -> Iterator[Reporter]:
    reporter = Reporter(path)
    yield reporter
    reporter.close()


def records(path: Path) -> list[Record]:
    return [decode(line) for line in path.read_bytes().splitlines()]


def run_script(script: str, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """In a bare interpreter, as a worker's may be: no site-packages, only wtrace's source."""
    script = f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n" + script
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_outside_a_race_it_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reporter = Reporter()
    assert not reporter.active
    reporter.start(max_epochs=3)
    reporter.epoch(1, {"loss": object()})
    reporter.check(1, samples={"x": [1]}, checkpoint="/somewhere")
    reporter.end("max_epochs")
    reporter.close()
    assert list(tmp_path.iterdir()) == []


def test_in_a_race_the_environment_says_where(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTRACE_METRICS", str(path))
    reporter = wtrace.Reporter()
    assert reporter.active
    reporter.start(max_epochs=50, info={"seed": 0})
    reporter.epoch(1, {"loss": 0.5})
    reporter.check(5, {"loss": 0.4}, {"x": [1.0, 2.0]}, "best.pt", {"kind": ["a"]})
    reporter.end("max_epochs")
    reporter.close()
    assert records(path) == [
        Start(50, {"seed": 0}),
        Epoch(1, {"loss": 0.5}),
        Check(5, {"loss": 0.4}, {"x": [1.0, 2.0]}, "best.pt", {"kind": ["a"]}),
        End("max_epochs"),
    ]
    assert path.stat().st_mode & 0o777 == 0o600


def test_arrays_and_numbers_of_numpy_are_written_as_plain_values(path: Path, reporter: Reporter) -> None:
    metrics: dict[str, Any] = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "n": np.float64("nan"),
    }
    reporter.check(
        np.int64(5),  # type: ignore[arg-type]
        MappingProxyType(metrics),
        samples={"id": np.arange(3), "x": np.ones(3, np.float16), "y": (np.float32(1), 2, math.inf)},
    )
    (record,) = records(path)
    assert isinstance(record, Check) and record.epoch == 5
    assert repr(record.metrics) == "{'f': 0.5, 'i': 3, 'b': True, 'n': nan}"
    assert record.samples == {"id": [0, 1, 2], "x": [1.0, 1.0, 1.0], "y": [1.0, 2, math.inf]}


@pytest.mark.torch
def test_tensors_are_written_as_plain_values(path: Path, reporter: Reporter) -> None:
    torch = pytest.importorskip("torch")
    loss = torch.tensor(0.5, requires_grad=True, dtype=torch.bfloat16)
    reporter.check(
        torch.tensor(2), {"loss": loss}, samples={"x": torch.zeros(2, 1).squeeze(1), "y": [loss, loss]}
    )
    assert records(path) == [Check(2, {"loss": 0.5}, {"x": [0.0, 0.0], "y": [0.5, 0.5]})]


def test_an_epoch_counted_in_floats_is_a_whole_one(path: Path, reporter: Reporter) -> None:
    reporter.epoch(3.0, {})  # type: ignore[arg-type]
    assert records(path) == [Epoch(3)]


def test_a_checkpoint_inside_the_output_folder_is_told_relative_to_it(
    path: Path, reporter: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "output"
    (output / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(output)
    monkeypatch.setenv("WTRACE_OUTPUT", str(tmp_path / "link"))
    for checkpoint in (
        output / "checkpoints" / "5.pt",
        "checkpoints/5.pt",
        str(tmp_path / "link" / "..5.pt"),
    ):
        reporter.check(5, checkpoint=checkpoint)
    reporter.check(5, checkpoint=tmp_path / "output2" / "5.pt")
    *inside, outside = records(path)
    assert inside == [
        Check(5, checkpoint=name) for name in ("checkpoints/5.pt", "checkpoints/5.pt", "..5.pt")
    ]
    assert isinstance(outside, BadLine) and "absolute" in outside.reason


def test_what_has_no_json_form_is_a_warning_and_no_exception(
    path: Path, reporter: Reporter, capsys: pytest.CaptureFixture[str]
) -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    for _ in range(3):
        reporter.epoch(1, circle)
        reporter.epoch(1, {(1, 2): 3})  # type: ignore[dict-item]
    reporter.epoch(2, {"device": Path("cuda"), "seen": {2, 1}})
    assert records(path) == [Epoch(2, {"device": "cuda", "seen": [1, 2]})]
    assert capsys.readouterr().err.count("\n") == 1


def test_a_record_that_is_too_long_to_be_read_is_warned_of(
    path: Path, reporter: Reporter, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter.check(1, samples={"x": [0.123456789] * 100_000})
    assert isinstance(records(path)[0], BadLine)
    assert "send fewer samples: 1.3 MB" in capsys.readouterr().err


def test_a_path_that_cannot_be_opened_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(tmp_path / "missing" / "metrics.jsonl")
    assert not reporter.active
    reporter.epoch(1, {})
    assert "No such file" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_warning_and_no_exception(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("/dev/full")
    for epoch in range(3):
        reporter.epoch(epoch, {})
    reporter.close()
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1 and "No space left" in warning


def test_the_line_after_a_torn_one_is_whole(path: Path) -> None:
    # A file size limit cuts a write short exactly as a full disk does.
    script = """
import resource
from wtrace import Reporter
reporter = Reporter(sys.argv[1])
reporter.epoch(1, {"loss": 0.5})
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
reporter.epoch(2, {"loss": 0.25, "padding": "x" * 200})
reporter.epoch(3, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
reporter.epoch(4, {})
reporter.epoch(5, {})
"""
    outcome = run_script(script, path)
    assert outcome.returncode == 0, outcome.stderr
    first, torn, *rest = records(path)
    assert first == Epoch(1, {"loss": 0.5}) and isinstance(torn, BadLine)
    assert rest == [Epoch(4), Epoch(5)]
    assert outcome.stderr.count("wtrace: metrics are lost") == 1


def test_many_threads_write_whole_lines(path: Path) -> None:
    # Writes to a pipe that is full come apart, as those to a full disk do, but nothing of them is lost.
    os.mkfifo(path)
    received: list[Record] = []
    reader = threading.Thread(target=lambda: received.extend(records(path)))
    reader.start()
    reporter = Reporter(path)

    def report(worker: int) -> None:
        for epoch in range(50):
            reporter.epoch(epoch, {"worker": worker, "padding": "x" * 20_000})

    threads = [threading.Thread(target=report, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reporter.close()
    reader.join()
    seen = [(r.metrics["worker"], r.epoch) for r in received if isinstance(r, Epoch)]
    assert sorted(seen) == [(worker, epoch) for worker in range(8) for epoch in range(50)]


def test_a_fork_while_another_thread_writes_does_not_hang(path: Path) -> None:
    script = """
import os, signal
from wtrace import Reporter
reporter = Reporter(sys.argv[1])
children = []
with reporter._own_lock():  # as another thread would hold it
    for rank in range(4):
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            for epoch in range(100):
                reporter.epoch(epoch, {"rank": rank, "padding": "x" * 5000})
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""
    assert run_script(script, path).returncode == 0
    seen = [(r.metrics["rank"], r.epoch) for r in records(path) if isinstance(r, Epoch)]
    assert sorted(seen) == [(rank, epoch) for rank in range(4) for epoch in range(100)]


def test_a_reporter_can_be_handed_to_a_spawned_process(path: Path) -> None:
    script = """
import pickle
from wtrace import Reporter
pickle.loads(pickle.dumps(Reporter(sys.argv[1]))).epoch(1, {})
"""
    assert run_script(script, path).returncode == 0
    assert records(path) == [Epoch(1)]


def test_what_it_does_just_now_is_told_in_words(path: Path) -> None:
    Reporter(path).progress("step 40/60")
    assert records(path) == [Other("progress", "step 40/60")]
    for odd in ("{}", '{"text": 3}', '{"text": null}'):
        assert decode(json.dumps(json.loads(odd) | {"event": "progress"}).encode()) == Other("progress")


def test_it_needs_the_standard_library_only(path: Path) -> None:
    script = """
from wtrace import Reporter
Reporter().check(1, samples={"x": [0.5]})
print(sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__"}))
"""
    outcome = run_script(script, WTRACE_METRICS=str(path))
    assert outcome.stdout == "['wtrace']\n", outcome.stderr
    assert records(path) == [Check(1, samples={"x": [0.5]})]


def test_it_has_no_newer_syntax_than_python_3_8() -> None:
    for name in (
        wtrace.__file__,
        reporter_module.__file__,
        Path(reporter_module.__file__).with_name("__init__.py"),
    ):
        ast.parse(Path(name).read_text(), feature_version=(3, 8))
