"""Whole races on real engines: places mixed, a supervisor killed, a queue that never starts, a node that is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from race_lab import Lab
from wtrace.race.settling import QUIET_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine_lab import Engines
    from race_lab import Script

RUNS: Script = [["save_on_term"], ["epoch", 1], ["mark", "running"], ["forever"]]


def race_on(
    lab: Lab, engines: Engines, workers: Mapping[str, tuple[str, Script]], *, extra: str = "", race: str = ""
) -> None:
    """A branch per worker and a config that runs each at its place; engines that nobody names are not started."""
    kinds = {runner for runner, _ in workers.values()} | ({"ray"} if "ray" in extra else set())
    if "ray" in kinds:
        lab.env |= engines.ray.env
        extra += f'\n[runners.ray]\naddress = "{engines.ray.address}"\n'
    if kinds - {"ray", "local"}:
        lab.env |= engines.slurm.env
    for name, (_, script) in workers.items():
        lab.branch(f"try/{name}", script)
    lab.write_config([], extra=extra, race=race)
    tables = "\n".join(
        f'[workers.{name}]\nbranch = "try/{name}"\ncommand = ["python", "train.py"]\nrunner = "{runner}"\n'
        f'env = {{ LAB_GATES = "{lab.gates}" }}'
        for name, (runner, _) in workers.items()
    )
    config = lab.root / "wtrace.toml"
    config.write_text(config.read_text() + tables)


def states(status: dict[str, Any]) -> dict[str, str]:
    return {worker["name"]: worker["state"] for worker in status["workers"]}


CONFIRM = """
[confirm]
command = ["python", "confirm.py", "{checkpoint}"]
"""
CONFIRMS = """
import json, os, sys
assert open(sys.argv[1]).read() == "weights"
samples = {"id": [1, 2], "persistent": [2.0, 2.0], "transient": [1.0, 1.0], "accuracy": [0.9, 0.9]}
open(os.environ["WTRACE_METRICS"], "a").write(json.dumps({"event": "check", "epoch": 5, "metrics": {}, "samples": samples}) + "\\n")
"""


def test_places_mix_in_one_race_and_a_claim_is_confirmed_where_its_worker_runs(
    lab: Lab, engines: Engines
) -> None:
    (lab.root / "confirm.py").write_text(CONFIRMS)
    lab.git("add", ".")
    lab.git("commit", "--quiet", "-m", "confirmation")
    wins: Script = [["save_on_term"], ["wait", "all"], ["claim", 5, 2.0, "best.pt"], ["forever"]]
    stays: Script = [["save_on_term"], ["epoch", 1], ["forever"]]
    workers = {"here": ("local", stays), "slurm": ("slurm", stays), "ray": ("ray", wins)}
    race_on(lab, engines, workers, extra=CONFIRM)
    running = lab.start("run", "--json")
    lab.wait_for(
        lambda: all(lab.worker(name).get("lines") for name in ("here", "slurm")), "both to report", 60
    )
    assert lab.worker("here")["pid"] is not None
    assert lab.worker("slurm")["pid"] is None
    assert lab.worker("slurm")["handle"].startswith("slurm:")
    lab.open_gate("all")
    assert running.wait(60) == 0
    status = json.loads(running.communicate()[0])
    assert states(status) == {"here": "terminated", "slurm": "terminated", "ray": "won"}
    assert status["race"]["confirmed"] is True
    assert (lab.latest / "ray" / "output" / "best.pt").read_text() == "weights"
    assert "saved and left" in lab.wtrace("logs", "slurm").stdout


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_a_winner_elsewhere_keeps_what_it_was_about_to_save(lab: Lab, engines: Engines, kind: str) -> None:
    """The save takes longer than a worker must be quiet for."""
    saves: Script = [["check", 5, 2.0], ["save_slowly", "model.pt", QUIET_S + 2], ["forever"]]
    race_on(lab, engines, {"a": (kind, saves), "b": (kind, RUNS)}, race='on_win = "settle"')
    lab.wtrace("run", timeout_s=120)
    assert states(lab.status()) == {"a": "won", "b": "terminated"}
    assert (lab.latest / "a" / "output" / "model.pt").read_text().endswith("whole")


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_a_killed_supervisor_loses_nobody_and_another_takes_over(
    lab: Lab, engines: Engines, kind: str
) -> None:
    script: Script = [
        ["save_on_term"],
        ["epoch", 1],
        ["wait", "go"],
        ["epoch", 2],
        ["check", 5, 2.0],
        ["forever"],
    ]
    race_on(lab, engines, {"a": (kind, script), "b": (kind, RUNS)})
    lab.wtrace("run", "--detach")
    lab.wait_for(lambda: lab.worker("a").get("lines") and lab.worker("b").get("lines"), "both to report", 60)
    os.kill(lab.status()["supervisor"]["pid"], signal.SIGKILL)
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to be gone")
    assert states(lab.status()) == {"a": "running", "b": "running"}
    lab.open_gate("go")
    done = lab.wtrace("run", "--resume", timeout_s=60)
    assert "a WINS" in done.stdout
    status = lab.status()
    assert states(status) == {"a": "won", "b": "terminated"}
    assert [worker["lines"] for worker in status["workers"]] == [3, 1]
    assert [worker["attempt"] for worker in status["workers"]] == [1, 1]


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_what_never_starts_is_told_and_a_stop_leaves_nothing_queued(
    lab: Lab, engines: Engines, kind: str
) -> None:
    stuck = {
        "ray": '[runners.stuck]\nengine = "ray"\nresources = "unheard_of=1"\n',
        "slurm": '[runners.stuck]\nengine = "slurm"\noptions = "--hold"\n',
    }[kind]
    if kind == "ray":
        stuck += f'address = "{engines.ray.address}"\n'
    race_on(lab, engines, {"a": ("stuck", RUNS)}, extra=stuck)
    lab.wtrace("run", "--detach")
    told = lab.wait_for(lambda: lab.worker("a").get("note"), "the queue to be told of", 20)
    assert "waits in the queue of" in told
    assert lab.worker("a")["state"] == "waiting"
    lab.wtrace("stop", timeout_s=60)
    assert states(lab.status()) == {"a": "stopped"}
    if kind == "slurm":
        assert engines.slurm.call("squeue", "-h") == ""
    else:
        job = json.loads((lab.latest / "a" / "attempts" / "1" / "engine.json").read_text())["job"]
        code = f"import sys; from ray.job_submission import JobSubmissionClient as C; print(C().get_job_status({job!r}).value)"
        asked = lab.python(code, RAY_API_SERVER_ADDRESS=engines.ray.address)
        assert asked in ("FAILED", "STOPPED")


def test_a_worker_of_a_lost_node_goes_on_elsewhere_from_what_had_come_back(
    lab: Lab, engines: Engines
) -> None:
    spot = f'[runners.spot]\nengine = "ray"\naddress = "{engines.ray.address}"\nresources = "spot=3"\n'
    engines.ray.add_node("first", "spot")
    script: Script = [["epoch", 1], ["save_first", "ck"], ["check", 5, 2.0], ["save_on_term"], ["forever"]]
    race_on(lab, engines, {"a": ("spot", script)}, extra=spot, race="retries = 1")
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a").get("lines") == 2, "the checkpoint to be told of", 60)
    engines.ray.add_node("second", "spot")
    engines.ray.kill_node("first")
    assert running.wait(90) == 0, running.communicate()
    output = running.communicate()[0]
    assert "its node was lost" in output
    status = lab.status()["workers"][0]
    assert (status["state"], status["attempt"]) == ("won", 2)
    engines.ray.kill_node("second")


def test_a_lost_node_without_retries_is_a_lost_worker(lab: Lab, engines: Engines) -> None:
    spot = f'[runners.spot]\nengine = "ray"\naddress = "{engines.ray.address}"\nresources = "brittle=3"\n'
    engines.ray.add_node("third", "brittle")
    race_on(lab, engines, {"a": ("spot", RUNS)}, extra=spot)
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a").get("lines"), "it to report", 60)
    engines.ray.kill_node("third")
    assert running.wait(60) == 1
    running.communicate()
    worker = lab.status()["workers"][0]
    assert (worker["state"], worker["exit"]["known"]) == ("lost", False)
    assert "its node was lost" in worker["note"]


def test_a_preempted_worker_is_handed_in_again_and_goes_on_from_its_checkpoint(
    lab: Lab, engines: Engines
) -> None:
    script: Script = [["epoch", 1], ["save_first", "ck"], ["check", 5, 2.0], ["save_on_term"], ["forever"]]
    race_on(
        lab,
        engines,
        {"a": ("whole", script)},
        extra='[runners.whole]\nengine = "slurm"\noptions = "--exclusive"\n',
    )
    running = lab.start("run")
    lab.wait_for(lambda: lab.worker("a").get("lines") == 2, "it to save", 30)
    engines.slurm.call("sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    assert running.wait(60) == 0, running.communicate()
    assert "preempted" in running.communicate()[0]
    worker = lab.status()["workers"][0]
    assert (worker["state"], worker["attempt"]) == ("won", 2)


def told(lab: Lab, *args: str, expect: int) -> str:
    return lab.wtrace(*args, expect=expect, timeout_s=10).stderr


def test_bad_input_is_told_in_one_line_and_nothing_is_started(lab: Lab, engines: Engines) -> None:
    def with_runner(runner: str) -> None:
        lab.write_config(["a"], race='runner = "there"', extra=f"[runners.there]\n{runner}\n")

    lab.branch("try/a", RUNS)
    with_runner('engine = "ray"\naddress = "http://127.0.0.1:9"')
    assert "no Ray answers at http://127.0.0.1:9" in told(lab, "run", expect=4)
    with_runner(f'engine = "ray"\naddress = "{engines.ray.address}"')
    assert "asks for a token" in told(lab, "run", expect=4)
    lab.env |= {**engines.ray.env, "RAY_AUTH_TOKEN": "another"}
    assert "refuses the token" in told(lab, "run", expect=4)
    lab.env |= {**engines.ray.env, "RAY_max_grpc_message_size": "1000"}
    assert "more than Ray takes with a job" in told(lab, "run", expect=2)
    lab.env |= engines.slurm.env
    with_runner('engine = "slurm"\npartition = "mian"')
    assert "Slurm has no partition `mian`; did you mean `main`?" in told(lab, "run", expect=2)
    with_runner('engine = "slurm"\npartition = "closed"')
    assert "is down" in told(lab, "run", expect=2)
    assert "problem  runner there" in lab.wtrace("doctor", expect=1).stdout
    with_runner('engine = "slurm"\npartiton = "main"')
    assert "unknown key `partiton`; did you mean `partition`?" in told(lab, "run", expect=2)
    lab.env["SLURM_CONF"] = str(lab.home / "none")
    with_runner('engine = "slurm"')
    assert "Slurm's `sinfo`" in told(lab, "run", expect=4)
    assert lab.status()["race"] is None


def test_what_ray_is_not_sent_is_named_and_what_a_set_up_commits_is_sent(
    lab: Lab, engines: Engines, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "--quiet", str(lab.root), str(other)], check=True)
    lab.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "libs/other")
    lab.git("commit", "--quiet", "-m", "a submodule")
    race_on(lab, engines, {"a": ("ray", [["exit", 3]])})
    commit = lab.home / "commit.sh"
    commit.write_text("echo '[[\"check\", 5, 2.0]]' > script.json && git commit --quiet -am idea || true\n")
    config = lab.root / "wtrace.toml"
    config.write_text(config.read_text() + f'\nsetup = [["sh", "{commit}"]]\n')
    done = lab.wtrace("run", timeout_s=60)
    assert (
        "warning: a: Ray is not sent the submodule libs/other, what its set-up does not commit" in done.stderr
    )
    assert lab.worker("a")["state"] == "won"  # what the set-up has committed is sent
