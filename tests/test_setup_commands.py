"""`setup = [[…]]`: real commands in real worktrees, before the training, once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from race_lab import Lab, Script
from test_race_end_to_end import BOTH, hybrid_race, same_script

NOTE = "import os, pathlib; pathlib.Path('prepared').open('a').write(os.environ['WTRACE_WORKER'] + '\\n')"
WIN: Script = [["check", 5, 2.0], ["forever"]]


def commands(*each: list[str]) -> str:
    return f"setup = {[*each]!r}\n".replace("'", '"') if each else ""


def python(lab: Lab, name: str, code: str) -> list[str]:
    """A command that runs that code; the file lies outside of the repo."""
    file = lab.home / f"{name}.py"
    file.write_text(code)
    return ["python", str(file)]


def worktree(lab: Lab, name: str) -> Path:
    return Path(lab.worker(name)["worktree"])


def test_the_worktree_is_prepared_before_the_training_and_not_again(lab: Lab) -> None:
    check = 'import sys, pathlib; sys.exit(0 if pathlib.Path("prepared").exists() else 9)'
    steps = commands(python(lab, "note", NOTE), python(lab, "check", check))
    lab.race({"a": WIN, "b": [["forever"]]}, workers=steps)
    lab.wtrace("run")
    assert (worktree(lab, "b") / "prepared").read_text() == "b\n"
    assert (lab.latest / "a" / "setup" / "2" / "exit.json").exists()
    assert lab.worker("a")["state"] == "won"
    lab.wtrace("run")
    assert (worktree(lab, "a") / "prepared").read_text() == "a\n"
    assert not (lab.latest / "a" / "setup").exists()


@pytest.mark.parametrize("change", ["commands", "commit", "a lock file", "the environment"])
def test_it_is_prepared_again_when_what_it_depends_on_has_changed(lab: Lab, change: str) -> None:
    note = python(lab, "note", f"{NOTE}; pathlib.Path('.venv').mkdir(exist_ok=True)")
    lab.race({"a": WIN}, workers=commands(note))
    lab.wtrace("setup")
    tree = lab.root.parent / "repo-worktrees" / "a"
    match change:
        case "commands":
            lab.write_config(["a"], workers=commands([*note, "--again"]))
        case "commit":
            lab.git("-C", str(tree), "commit", "--quiet", "--allow-empty", "-m", "more")
        case "a lock file":
            (tree / "uv.lock").write_text("another\n")
        case "the environment":
            (tree / ".venv").rmdir()
    lab.wtrace("setup")
    assert (tree / "prepared").read_text() == "a\na\n"


def test_a_set_up_that_fails_ends_its_worker_and_nobody_else(lab: Lab) -> None:
    code = 'import os, sys; print("no such wheel"); sys.exit(3 if os.environ["WTRACE_WORKER"] == "b" else 0)'
    lab.race({"a": WIN, "b": [["forever"]]}, workers=commands(python(lab, "fail", code)))
    done = lab.wtrace("run")
    row = lab.worker("b")
    assert (row["state"], row["exit"]) == ("failed", {"code": 3, "signal": None, "known": True})
    assert lab.worker("a")["state"] == "won"
    assert "exit code 3: no such wheel" in done.stdout
    log = lab.latest / "b" / "setup" / "1" / "training.log"
    assert str(log) in done.stdout.replace("\n", "")
    assert log.read_text() == "no such wheel\n"
    assert not (lab.latest / "b" / "attempts").exists()


def test_a_command_that_does_not_exist_fails_and_the_next_run_tries_again(lab: Lab) -> None:
    lab.race({"a": WIN}, workers=commands(["no-such-program"]))
    lab.wtrace("run", expect=1)
    assert lab.worker("a")["state"] == "failed"
    (lab.home / "no-such-program").write_text("#!/bin/sh\n")
    (lab.home / "no-such-program").chmod(0o755)
    lab.env["PATH"] = f"{lab.home}:{lab.env['PATH']}"
    lab.wtrace("run")


def test_a_verdict_ends_a_set_up_that_still_runs(lab: Lab) -> None:
    code = """
import os, pathlib, time
if os.environ["WTRACE_WORKER"] == "b":
    pathlib.Path(os.environ["LAB_GATES"], "b-sets-up").touch()
    time.sleep(600)
"""
    lab.race(
        {"a": [["wait", "b-sets-up"], ["check", 5, 2.0], ["forever"]], "b": []},
        workers=commands(python(lab, "slow", code)),
    )
    lab.wtrace("run")
    assert lab.worker("b")["state"] == "skipped"
    lab.wait_for(lambda: not lab.survivors(), "nobody to be left")


def test_a_supervisor_that_dies_meanwhile_does_not_prepare_twice(lab: Lab) -> None:
    code = f"""
import os, time
{NOTE}
gates = pathlib.Path(os.environ["LAB_GATES"])
(gates / "sets-up").touch()
while not (gates / "go").exists():
    time.sleep(0.01)
"""
    lab.race({"a": WIN}, workers=commands(python(lab, "slow", code)))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("sets-up")
    pid = lab.status()["supervisor"]["pid"]
    os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor's death")
    lab.open_gate("go")
    lab.wtrace("run", "--resume")
    assert (worktree(lab, "a") / "prepared").read_text() == "a\n"
    assert lab.worker("a")["state"] == "won"


def test_stop_ends_a_set_up(lab: Lab) -> None:
    code = """
import os, pathlib, time
pathlib.Path(os.environ["LAB_GATES"], "sets-up").touch()
time.sleep(600)
"""
    lab.race({"a": WIN}, workers=commands(python(lab, "slow", code)))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("sets-up")
    assert lab.worker("a")["state"] == "waiting"
    lab.wtrace("stop")
    assert lab.worker("a")["state"] == "skipped"
    lab.wait_for(lambda: not lab.survivors(), "nobody to be left")


def test_python_is_the_worktrees_own_once_the_set_up_has_made_it(lab: Lab) -> None:
    where = "import os, sys; print(sys.prefix, os.environ.get('VIRTUAL_ENV'))"
    make = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", ".venv"]
    lab.race({"a": WIN}, workers=commands(make, python(lab, "where", where)))
    lab.wtrace("run")
    own = worktree(lab, "a") / ".venv"
    assert (lab.latest / "a" / "setup" / "2" / "training.log").read_text().split() == [str(own)] * 2


def test_setup_runs_the_commands_once_and_tells_of_a_failure(lab: Lab) -> None:
    lab.race({"a": WIN}, workers=commands(python(lab, "note", NOTE)))
    assert "set up" in lab.wtrace("setup").stdout
    tree = lab.root.parent / "repo-worktrees" / "a"
    assert (tree / "prepared").read_text() == "a\n"
    lab.wtrace("setup")
    lab.wtrace("run")
    assert (tree / "prepared").read_text() == "a\n"
    lab.write_config(["a"], workers=commands(["false"]))
    done = lab.wtrace("setup", expect=4)
    assert "false" in done.stderr and "exit code 1" in done.stderr


def test_what_is_brought_along_is_there_for_the_set_up_and_is_nobodys_change(lab: Lab) -> None:
    (lab.root / "data").mkdir()
    (lab.root / "data" / "clips.bin").write_text("clips")
    (lab.root / ".env").write_text("TOKEN=secret")
    look = (
        "import pathlib; print(pathlib.Path('data/clips.bin').read_text(), pathlib.Path('.env').read_text())"
    )
    workers = commands(python(lab, "look", look)) + 'include = [".env", { path = "data", link = true }]'
    lab.race({"a": WIN}, workers=workers)
    assert "brought along: .env, data" in lab.wtrace("run").stdout
    assert (lab.latest / "a" / "setup" / "1" / "training.log").read_text() == "clips TOKEN=secret\n"
    assert "uncommitted" not in lab.wtrace("run").stdout
    assert not (lab.latest / "a" / "uncommitted.patch").exists()
    assert "removed" in lab.wtrace("clean").stdout
    assert (lab.root / "data" / "clips.bin").exists()


def test_the_log_of_a_set_up_is_shown_while_there_is_no_other(lab: Lab) -> None:
    lab.race({"a": WIN}, workers=commands(python(lab, "fail", "print('no such wheel'); raise SystemExit(3)")))
    lab.wtrace("run", expect=1)
    assert lab.wtrace("logs", "a").stdout == "no such wheel\n"


def test_an_environment_that_the_set_up_made_is_nobodys_work_and_one_that_was_there_is(lab: Lab) -> None:
    make = "import pathlib, venv; pathlib.Path('.venv').exists() or venv.create('.venv', symlinks=True)"
    lab.race({"a": WIN}, workers=commands(python(lab, "make", make)))
    lab.wtrace("run")
    tree = worktree(lab, "a")
    assert (tree / ".venv" / "bin" / "python").exists()
    assert "uncommitted" not in lab.wtrace("run").stdout
    assert "removed" in lab.wtrace("clean").stdout
    lab.git("worktree", "add", "--quiet", str(tree), "try/a")
    (tree / ".venv").mkdir()
    (tree / ".venv" / "mine").write_text("mine")
    lab.wtrace("setup")
    assert "uncommitted changes" in lab.wtrace("setup").stdout


def test_a_hybrid_is_set_up_when_it_has_been_made(lab: Lab) -> None:
    hybrid_race(lab, BOTH, "needed=1")
    same_script(lab)
    file = lab.root / "wtrace.toml"
    text = file.read_text().replace("combines =", commands(python(lab, "note", NOTE)) + "combines =")
    file.write_text(text)
    lab.wtrace("run")
    assert lab.worker("both")["state"] == "won"
    assert (worktree(lab, "both") / "prepared").read_text() == "both\n"


def test_setup_is_not_run_while_a_race_uses_the_worktrees(lab: Lab) -> None:
    lab.race({"a": [["mark", "runs"], ["forever"]]}, workers=commands(python(lab, "note", NOTE)))
    lab.wtrace("run", "--detach")
    lab.wait_for_mark("runs")
    lab.wtrace("setup")
    lab.write_config(["a"], workers=commands(["false"]))
    assert "a race runs already" in lab.wtrace("setup", expect=2).stderr
    lab.wtrace("stop")


@pytest.mark.parametrize("point", ["after-commit:1", "after-spawn:1", "after-commit:2", "before-report:1"])
def test_wherever_the_supervisor_is_killed_the_set_up_and_the_end_happen_once(lab: Lab, point: str) -> None:
    """Two commands prepare, one runs for the winner; each leaves a line."""
    once = python(lab, "once", "import sys; open(sys.argv[1], 'a').write('x')")
    steps = [[*once, f"{lab.home}/{name}"] for name in ("first", "second")]
    after = f'[after]\nwinner = [["python", "{once[1]}", "{lab.home}/after"]]'
    lab.race({"a": WIN}, workers=commands(*steps), extra=after)
    lab.env["WTRACE_TEST_POINTS"] = f"{point}:kill"
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor's death")
    del lab.env["WTRACE_TEST_POINTS"]
    lab.wtrace("run", "--resume")
    assert [(lab.home / name).read_text() for name in ("first", "second", "after")] == ["x"] * 3
    assert lab.worker("a")["state"] == "won"
