"""What `--json` prints is what docs/reference says, and standard output holds nothing else."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

from race_lab import Lab

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
CONFIRM = """
[confirm]
command = ["python", "-c", "from wtrace import Reporter; Reporter().check(5, samples=dict(persistent=[1], transient=[1], accuracy=[1]))"]
"""
KEYS_OF_USERS = {"settings", "environment", "workers", "metrics", "criteria"}  # where these are objects


def shape(value: Any, key: str = "") -> Any:
    """The keys of a JSON value, at every depth; of lists, and of objects with keys of the user's own, that of one entry."""
    if isinstance(value, dict) and key in KEYS_OF_USERS:
        return {"*": None if key in {"settings", "environment"} else shape(next(iter(value.values())))}
    if isinstance(value, dict):
        return {name: shape(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return None


def example(page: str, heading: str) -> Any:
    """The JSON that a page shows under that heading."""
    text = (REFERENCE / page).read_text()
    part = text[text.index(heading) :]
    found = re.search(r"```json\n(.*?)```", part, flags=re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def printed(lab: Lab, *words: str) -> Any:
    done = lab.wtrace(*words)
    assert done.stderr == ""
    assert done.stdout.isascii() and done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_every_command_prints_what_its_page_shows(lab: Lab) -> None:
    claim = {
        "event": "check",
        "epoch": 5,
        "metrics": {"val_loss": 0.4},
        "samples": {"id": [*range(20)], "persistent": [2] * 20, "transient": [1] * 20, "accuracy": [1] * 20},
    }
    saved = [["append", "best.pt", "x"], ["raw", json.dumps(claim | {"checkpoint": "best.pt"}) + "\n"]]
    lab.race({"a": [["check", 5, 1.4]], "b": saved}, extra=CONFIRM)
    plan = printed(lab, "run", "--dry-run", "--json")
    assert shape(plan) == shape(example("json.md", "## `wtrace run --dry-run"))
    assert {"WTRACE_METRICS", "WTRACE_OUTPUT", "OMP_NUM_THREADS"} <= set(plan["workers"][0]["environment"])
    assert not (lab.root / ".wtrace").exists()
    ended = lab.wtrace("run", "--json", expect=1)  # b's claim is refuted
    status = example("status-json.md", "# Status")
    assert shape(json.loads(ended.stdout)) == shape(status | {"sync": []})
    first = lab.latest.name
    lab.write_config(["a", "b"])
    started = printed(lab, "run", "--json", "--detach")
    assert started["race"]["state"] == "running"
    lab.wait_for(lambda: lab.status()["race"]["ended"], "the race to end")
    for words, heading in (
        (["history", "--json"], "## `wtrace history"),
        (["compare", first, lab.latest.name, "--json"], "## `wtrace compare"),
        (["replay", "--race", first, "--json"], "## `wtrace replay"),
        (["export", "--to", "json"], "## `wtrace export"),
    ):
        assert shape(printed(lab, *words)) == shape(example("json.md", heading)), words


def test_what_is_wrong_is_told_beside_the_object(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    for words in (
        ["run", "--json", "--worker", "nobody"],
        ["run", "--json", "--dry-run", "--config", "nothing.toml"],
        ["replay", "--json"],
        ["compare", "x", "y", "--json"],
        ["export", "--to", "json"],
    ):
        wrong = lab.wtrace(*words, expect=2)
        assert wrong.stdout == ""
        assert wrong.stderr.startswith("error: ")


def test_with_json_nothing_is_asked_on_a_terminal(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    del lab.env["WTRACE_TRUST"]
    terminal, stdin = pty.openpty()
    try:
        done = subprocess.run(
            lab.command("run", "--json"), cwd=lab.root, env=lab.env, stdin=stdin, stdout=stdin, stderr=subprocess.PIPE,
            text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "have not been approved" in done.stderr
        os.set_blocking(terminal, False)
        try:
            said = os.read(terminal, 100)
        except BlockingIOError:
            said = b""
        assert said == b""
    finally:
        os.close(terminal)
        os.close(stdin)
