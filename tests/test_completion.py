"""Shell completion through the shells' own protocol, and once in a real bash. Whatever is wrong, it is silent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from race_lab import Lab


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two races, of `fast` and `fair`, then of `fast` alone; the config names both and `slow`."""
    lab = Lab(tmp_path_factory.mktemp("raced"))
    lab.race({"fast": [["check", 5, 2.0]], "fair": [["check", 5, 1.0]]}, race='merge = "never"')
    lab.wtrace("run")
    lab.wtrace("run", "--worker", "fast")
    with (lab.root / "wtrace.toml").open("a") as config:
        config.write('[workers.slow]\nbranch = "x"\n[workers."$(touch boom)"]\nbranch = "y"\n')
    yield lab
    lab.end_all()


def races(lab: Lab) -> list[str]:
    return sorted(folder.name for folder in (lab.root / ".wtrace" / "races").iterdir())


def offered(lab: Lab, typed: str, cwd: Path | None = None, **env: str) -> list[str]:
    """What bash is told for the last word of what was typed. Nothing may be said beside it."""
    words = {"_WTRACE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        lab.command(), cwd=cwd or lab.root, env={**lab.env, **words, **env}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_names_are_offered_where_they_are_asked_for(raced: Lab) -> None:
    first, second = races(raced)
    assert offered(raced, "wtrace exp") == ["export"]
    assert offered(raced, "wtrace logs ") == ["fast"]  # of the newest race
    assert sorted(offered(raced, f"wtrace logs --race {first} fa")) == ["fair", "fast"]
    assert offered(raced, f"wtrace logs --race {first} fai") == ["fair"]
    for command in ("stop", "pause", "unpause"):
        assert offered(raced, f"wtrace {command} f") == ["fast"]
    assert offered(raced, "wtrace stop fast ") == []  # once is enough
    assert offered(raced, "wtrace status --race 2") == [second, first]  # the newest first
    assert offered(raced, f"wtrace compare {first} {second[:-1]}") == [second]
    assert offered(raced, "wtrace export --to csv 2") == [second, first]
    # The next race runs what the config names; a name that a shell would not leave alone is no worker's.
    assert offered(raced, "wtrace run --worker ") == ["fast", "fair", "slow"]
    assert offered(raced, "wtrace run --worker fast --worker ") == ["fast", "fair", "slow"]
    assert offered(raced, "wtrace evidence red s") == ["slow"]
    (raced.root / "other.toml").write_text("[workers.elsewhere]\n")
    assert offered(raced, "wtrace run --config other.toml --worker ") == ["elsewhere"]


def test_other_shells_ask_in_their_own_way(raced: Lab) -> None:
    for shell, args in (("zsh", "wtrace logs f"), ("fish", "wtrace logs f")):
        env = {"_WTRACE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": args, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}  # fmt: skip
        done = subprocess.run(
            raced.command(), cwd=raced.root, env={**raced.env, **env}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "fast" in done.stdout


def test_whatever_is_wrong_nothing_is_said_or_written(lab: Lab, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bugs = tmp_path / "tmp"
    bugs.mkdir()
    lab.env["TMPDIR"] = str(bugs)
    for typed in ("wtrace logs ", "wtrace run --worker ", "wtrace export --race ", "wtrace compare "):
        assert offered(lab, typed) == []  # no race, no config
        assert offered(lab, typed, cwd=outside) == []
    (lab.root / "wtrace.toml").write_text("[workers.a]\n[[[")
    home = lab.root / ".wtrace"
    home.mkdir()
    (home / "wtrace.db").write_bytes(b"no database" * 100)
    before = sorted(lab.root.rglob("*"))
    for typed in ("wtrace logs ", "wtrace run --worker ", "wtrace export --race ", "wtrace logs --race x "):
        assert offered(lab, typed) == []
    assert sorted(lab.root.rglob("*")) == before
    (lab.root / "wtrace.toml").write_text("[workers.a]\n")
    assert offered(lab, "wtrace logs ") == ["a"]  # the config still says it
    assert offered(lab, "wtrace logs ", COMP_CWORD="x") == []
    assert offered(lab, "wtrace logs 'a ") == []
    assert list(bugs.iterdir()) == []


def test_only_the_command_that_is_typed_is_imported(raced: Lab) -> None:
    env = {"_WTRACE_COMPLETE": "complete_bash", "COMP_WORDS": "wtrace logs f", "COMP_CWORD": "2"}
    code = "import sys; from wtrace.cli.app import run; run([]); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=raced.root, env={**raced.env, **env}, capture_output=True, text=True, check=True
    )  # fmt: skip
    first, *modules = done.stdout.split()
    assert first == "fast"
    assert "wtrace.cli.commands.logs" in modules
    assert not set(modules) & {
        "wtrace.cli.commands.run",
        "wtrace.cli.commands.pull",
        "wtrace.cli.commands.sync",
        "git",
        "numpy",
        "scipy",
        "matplotlib",
        "paramiko",
        "rich",
    }


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash_completes(raced: Lab, tmp_path: Path) -> None:
    """As a user would set it up: the script that --show-completion prints, sourced; then bash's own way to ask."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    program = bin_ / "wtrace"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wtrace "$@"\n')
    program.chmod(0o755)
    script = tmp_path / "ask.sh"
    script.write_text(
        "source <(_WTRACE_COMPLETE=source_bash wtrace)\n"
        "complete -p wtrace\n"
        'COMP_WORDS=(wtrace logs f); COMP_CWORD=2; _wtrace_completion wtrace; echo "${COMPREPLY[@]}"\n'
    )
    env = raced.env | {"PATH": f"{bin_}:{raced.env['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", str(script)], cwd=raced.root, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip
    registered, replied = done.stdout.splitlines()
    assert "_wtrace_completion wtrace" in registered
    assert (replied, done.stderr) == ("fast", "")
    shown = raced.wtrace("--show-completion", "bash").stdout
    assert "complete -o default -F" in shown
