"""`wtrace status`, `--version` and `--help` do not import what they do not need. Modules are held, not milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from race_lab import Lab

HEAVY = {
    "git",
    "matplotlib",
    "msgspec",
    "numpy",
    "paramiko",
    "psutil",
    "rich",
    "scipy",
    "torch",
    "jinja2",
    "pydantic",
}


def imported(lab: Lab, *words: str) -> set[str]:
    """The top-level modules that the command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "wtrace", *words],
        cwd=lab.root, env=lab.env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        line.rsplit("|", 1)[1].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line
    }


@pytest.mark.parametrize("words", [["status"], ["status", "--json"]])
def test_status_imports_the_standard_library_and_little_of_wtrace(lab: Lab, words: list[str]) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.wtrace("run")
    assert (
        imported(lab, *words)
        & {*HEAVY, "typer", "asyncio", "statistics", "inspect" if "--json" in words else ""}
        == set()
    )


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["status", "--help"]])
def test_help_imports_nothing_heavy(lab: Lab, words: list[str]) -> None:
    assert imported(lab, *words) & (HEAVY - {"msgspec", "rich"}) == set()


def test_the_quick_answer_is_the_full_one(lab: Lab) -> None:
    """From a linked worktree, and with --race, the whole command line answers; it must say the same."""
    lab.race({"a": [["check", 5, 1.4], ["check", 10, 1.6]], "b": [["exit", 3]]})
    lab.wtrace("run")
    quick, full = (lab.wtrace("status", *words).stdout for words in ([], ["--race", lab.latest.name]))
    assert quick.splitlines()[:-1] == full.splitlines()[:-1]  # the last line tells the age
    quick, full = (
        lab.wtrace("status", "--json", *words).stdout for words in ([], ["--race", lab.latest.name])
    )
    assert quick == full


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "--json"],
        ["history"],
        ["logs", "a"],
        ["report"],
        ["export", "--to", "csv"],
        ["--help"],
    ],
)
def test_a_full_disk_behind_the_output_is_told_in_one_line(lab: Lab, words: list[str]) -> None:
    lab.race({"a": [["print", "hello"], ["check", 5, 2.0]]})
    lab.wtrace("run")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            lab.command(*words), cwd=lab.root, env=lab.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        4,
        "error: standard output cannot be written: No space left on device\n",
    )


@pytest.mark.parametrize("words", [["status"], ["logs", "a"], ["history"]])
def test_a_reader_that_has_enough_is_no_mistake(lab: Lab, words: list[str]) -> None:
    lab.race({"a": [["print", "hello"], ["check", 5, 2.0]]})
    lab.wtrace("run")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        lab.command(*words), cwd=lab.root, env=lab.env, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("words", [["status"], ["status", "--race", "RACE"], ["history"]], ids=" ".join)
def test_signs_fall_back_to_ascii_where_the_output_cannot_carry_them(
    lab: Lab, words: list[str], encoding: str
) -> None:
    lab.race({"a": [["check", 5, 2.0]], "b": [["check", 5, 1.4]]})
    lab.wtrace("run")
    asked = [lab.latest.name if word == "RACE" else word for word in words]
    environment = {**lab.env, "PYTHONIOENCODING": encoding}
    done = subprocess.run(lab.command(*asked), cwd=lab.root, env=environment, capture_output=True, check=True)
    told = done.stdout.decode(encoding)
    assert told.isascii()
    assert "?" not in told
    if words[0] == "status":
        assert "1 ratio >= 1.5" in told
        assert "+ 2" in told
        assert "x 1.4" in told
        assert "* a won" in told
    assert done.stderr == b""
