"""What status tells about targets, and how a file that is no good is taken."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from wtrace.mirror import brief, target_state
from wtrace.mirror.target_state import TargetState

NOW = 1_800_000_000.0
STATE = TargetState("mac", "macbook", last_reached=NOW - 720)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = target_state.state_file(tmp_path, "mac")
    path.parent.mkdir()
    state = replace(STATE, stage="trying again", error="asleep", hint="wake it", tries=3, next_try=NOW)
    path.write_text(target_state.encode(state))
    assert target_state.read_state(path) == state
    (row,) = brief.read(str(tmp_path))
    assert row == {name: value for name, value in asdict(state).items() if name in row}
    assert brief.read(str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"target": 1}', '{"target": "mac", "last_reached": "x"}', '{"target": "mac", "error": 1}', "\xff"]
)  # fmt: skip
def test_a_file_that_is_no_state_is_none(tmp_path: Path, content: str) -> None:
    path = target_state.state_file(tmp_path, "mac")
    path.parent.mkdir()
    path.write_text(content, encoding="latin-1")
    assert target_state.read_state(path) is None
    assert brief.read(str(tmp_path)) == []


def test_keys_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "mac.json"
    path.write_text(json.dumps({**json.loads(target_state.encode(STATE)), "of_tomorrow": 1}))
    assert target_state.read_state(path) == STATE


def row_of(state: TargetState) -> dict[str, object]:
    return {
        name: value for name, value in asdict(state).items() if name in (*brief.TIMES, *brief.TEXTS, "target")
    }


def line_of(state: TargetState) -> str:
    return brief.line(row_of(state), NOW)


def test_the_list_of_status() -> None:
    (row,) = brief.to_json([row_of(STATE)])
    assert (row["target"], row["last_reached"], row["error"]) == (
        "mac",
        "2027-01-15T07:48:00.000+00:00",
        None,
    )
    (row,) = brief.to_json([row_of(TargetState("mac"))])
    assert row["last_reached"] is None


def test_the_line_of_status() -> None:
    assert line_of(STATE) == "mac: last reached 12 min ago"
    assert line_of(TargetState("mac")) == "mac: not reached yet"
    failing = replace(STATE, stage="trying again", error="macbook does not answer", next_try=NOW + 60)
    assert line_of(failing) == "mac: last reached 12 min ago; macbook does not answer; next try in 60 s"
    assert line_of(replace(failing, stage="given up", next_try=None)).endswith("; given up")
    done = replace(STATE, stage="delivered", verified=NOW)
    assert line_of(done) == "mac: last reached 12 min ago; everything is there, checked"
    assert "\x1b" not in line_of(replace(failing, error="\x1b[2J"))


def test_reading_them_imports_next_to_nothing() -> None:
    code = (
        "import sys, json, wtrace.mirror.brief as brief; brief.read('/nowhere'); "
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'typing', 'dataclasses', 'datetime', 'pathlib', 'subprocess', 'paramiko', 'rich', 'msgspec'}))"
    )
    source = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""
