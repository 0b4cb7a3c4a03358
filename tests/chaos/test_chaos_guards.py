"""Each guard is taken out of a copy of wtrace once: with the same delays and kills, the promise breaks without it."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from chaos_lab import ChaosLab, Lives, script
from runner_world import state_of
from wtrace.supervisor.requests import leave_request

Change = tuple[str, str, str]
both = pytest.mark.parametrize("guarded", [True, False])

SHIM_WAITS = (
    "runners/shim/shim_life.py",
    "    worker, gate = fork_held(",
    """    while not os.path.exists(os.environ["LAB_GATES"] + "/claim"):
        __import__("time").sleep(0.002)
    worker, gate = fork_held(""",
)
CLAIM_OVER_ANOTHER: list[Change] = [
    ("runners/shim/shim_life.py", 'os.link(draft, "start.claim"', 'os.rename(draft, "start.claim"'),
    ("runners/shim/shim_life.py", "    except BlockingIOError:\n        return NOT_STARTED\n    become", "    except BlockingIOError:\n        pass\n    become"),
]  # fmt: skip


def passing(epoch: int) -> dict[str, Any]:
    """A check that meets every criterion."""
    samples = {"id": list(range(8)), "persistent": [2.0] * 8, "transient": [1.0] * 8, "accuracy": [0.9] * 8}
    return {"event": "check", "epoch": epoch, "samples": samples}


@both
def test_a_start_is_claimed_by_one_guardian(chaos: ChaosLab, guarded: bool) -> None:
    chaos.use_patched(SHIM_WAITS, *([] if guarded else CLAIM_OVER_ANOTHER))
    chaos.race({"a": script(["check", 5, 1.0], ["mark", "up"], ["wait", "go"], ["exit", 0])})
    chaos.start_race("after-spawn:1:kill")
    with Lives(chaos) as lives:
        lives.die_at("after-spawn")
        chaos.open_gate("claim")
        chaos.wait_for_mark("up")
        chaos.wait_for(lambda: guarded or len(chaos.noted("starts-a")) == 2, "a second start")
        chaos.open_gate("go")
        lives.live(at_most_s=0 if not guarded else 30)
    assert len(chaos.noted("starts-a")) == (1 if guarded else 2)


@both
def test_what_is_to_be_done_is_stored_before_it_is_done(chaos: ChaosLab, guarded: bool) -> None:
    """Who is told to leave may still send a winning check: it must come too late."""
    careless = (
        "supervisor/loop.py",
        "        if self._store(now):\n            self._deeds.carry_out(now)\n",
        "        self._deeds.carry_out(now)\n        if self._store(now):\n",
    )
    if not guarded:
        chaos.use_patched(careless)
    beaten = script(["at last", passing(5)], ["mark", "up"], ["forever"])
    chaos.race({"beaten": beaten, "first": script(["wait", "go"], ["check", 5, 2.0], ["forever"])})
    chaos.start_race()
    chaos.wait_for_mark("up")
    with Lives(chaos) as lives:
        chaos.kill_supervisor()
        chaos.open_gate("go")
        chaos.wait_for(lambda: (chaos.latest / "first" / "metrics.jsonl").stat().st_size, "the winning check")
        lives.die_at("after-signal")
        chaos.wait_for((chaos.latest / "beaten" / "exit.json").exists, "the loser to leave")
        assert lives.live() == "ended 0"
    assert chaos.status()["race"]["winner"] == ("first" if guarded else "beaten")


@both
def test_an_exit_is_looked_for_before_the_last_lines_are_read(chaos: ChaosLab, guarded: bool) -> None:
    looks = (
        "        exit_ = self._exit(now) if may_have_ended or self.is_lost else None\n"
        "        if exit_ is None and self._is_decided:\n"
        "            return False\n"
    )
    looks_always = "        exit_ = self._exit(now)\n"
    reads = (
        "        untranslated = self._translate(now, exit_, within)\n"
        "        more = self._note_lines(now, within) or untranslated\n"
    )
    point = '        if exit_ is not None:\n            failpoints.reach("before-drain")\n'
    pause = "        __import__('time').sleep(1.5)\n"
    order = (
        looks_always + pause + reads if guarded else reads.replace("exit_,", "None,") + pause + looks_always
    )
    chaos.use_patched(("supervisor/jobs/job_reader.py", looks + point + reads, order))
    chaos.race({"a": script(["wait", "go"], ["epochs", 1, 2, 0.2], ["exit", 0])})
    chaos.start_race()
    chaos.wait_for(lambda: chaos.worker("a")["pid"], "the worker to run")
    chaos.open_gate("go")
    chaos.wait_for(lambda: chaos.status()["race"]["ended"], "the end of the race")
    assert len(chaos.query("SELECT * FROM epochs")) == (2 if guarded else 1)


@both
def test_lines_and_the_position_behind_them_are_stored_together(chaos: ChaosLab, guarded: bool) -> None:
    """Killed between the two, a supervisor would take lines as read that nobody kept."""
    kill = "from wtrace.supervisor import failpoints; any(s is _EPOCH for s, _ in self._pending) and failpoints.reach('before-page')"
    rows = "            for statement, rows in groupby(self._pending, key=itemgetter(0)):\n"
    positions = "            self._db.executemany(_POSITION, positions)\n"
    apart = f'{positions}            self._db.execute("COMMIT"); self._db.execute("BEGIN"); {kill}\n'
    old, new = (positions, f"            {kill}\n{positions}") if guarded else (rows, f"{apart}{rows}")
    chaos.use_patched(("store/writer.py", old, new))
    chaos.race({"a": script(["epochs", 1, 5], ["mark", "up"], ["wait", "go"], ["exit", 0])})
    chaos.start_race("before-page:1:kill")
    chaos.wait_for_mark("up")
    chaos.open_gate("go")
    with Lives(chaos) as lives:
        assert lives.live() == "ended 0"
    assert len(chaos.query("SELECT * FROM epochs")) == (5 if guarded else 0)


@both
def test_a_checkpoint_is_frozen_once(chaos: ChaosLab, guarded: bool) -> None:
    """A copy that is whole is the claim's, though its supervisor was killed before it could tell, and the file changed."""
    if not guarded:
        chaos.use_patched(
            ("supervisor/checkpoints/freezing.py", "if self._copy_of(claim).exists():", "if False:")
        )
    steps = script(["save", "best.pt", 1.9], ["check", 5, 2.0, "best.pt"], ["wait", "worse"], ["save", "best.pt", 0.1], ["mark", "saved"], ["forever"])  # fmt: skip
    chaos.race({"a": steps}, extra=chaos.confirm("--wait"))
    chaos.start_race("after-copy-appears:1:kill")
    chaos.wait_for(lambda: list(chaos.latest.glob("claims/1/checkpoint.pt")), "the copy to appear")
    chaos.open_gate("worse")
    chaos.wait_for_mark("saved")
    with Lives(chaos) as lives:
        if guarded:
            lives.die_at("after-confirmation-start")
        chaos.open_gate("confirm")
        if guarded:
            assert lives.live() == "ended 0"
        else:
            lives.live_until(
                lambda: chaos.events("ConfirmationEnded") or chaos.events("FreezeFailed"), "an end"
            )
            chaos.wtrace("stop")
    assert (chaos.status()["race"]["winner"] == "a") is guarded


@pytest.mark.parametrize("what", ["pause", "stop"])
@both
def test_a_request_is_carried_out_though_its_supervisor_dies(
    chaos: ChaosLab, what: str, guarded: bool
) -> None:
    forgets = {
        "pause": ("supervisor/loop.py", "                self._deeds.ask(change(phase.since, name))\n", "                pass\n"),
        "stop": ("supervisor/loop.py", "            self._taken.append(path)\n", "            path.unlink()\n"),
    }  # fmt: skip
    if not guarded:
        chaos.use_patched(forgets[what])
    chaos.race({"a": script(["mark", "up"], ["forever"]), "b": script(["check", 5, 1.0], ["forever"])})
    chaos.start_race()
    chaos.wait_for_mark("up")
    chaos.wait_for(lambda: chaos.worker("b")["checks"], "the first check")
    pid = chaos.worker("a")["pid"]
    chaos.kill_supervisor()

    def done() -> bool:
        return state_of(pid) == "T" if what == "pause" else chaos.worker("a")["state"] == "stopped"

    with Lives(chaos) as lives:
        leave_request(chaos.latest / "requests", what, ("a",), by="a test")
        lives.die_at("before-signal" if what == "pause" else "before-commit")
        if guarded:
            lives.live_until(done, "the request to be carried out")
        else:
            lives.live(at_most_s=2.0)
            assert not done()


@both
def test_a_guardian_that_is_being_forked_does_not_hold_the_lock(chaos: ChaosLab, guarded: bool) -> None:
    waits = (
        "runners/shim/shim_life.py",
        "    detach()\n    os.environ",
        """    while not os.path.exists(os.environ["LAB_GATES"] + "/detach"):
        __import__("time").sleep(0.002)
    detach()
    os.environ""",
    )
    careless = ("supervisor/loop.py", "        hand_nothing_on()\n", "")
    chaos.use_patched(waits, *([] if guarded else [careless]))
    chaos.race({"a": script(["exit", 0])})
    chaos.env["WTRACE_TEST_POINTS"] = "after-spawn:1:kill"
    chaos.wtrace("run", "--detach")
    chaos.wait_for(lambda: chaos.query("SELECT 1 FROM events WHERE kind = 'WorkerLaunched'"), "the launch")
    with Lives(chaos) as lives:
        ended = lives.live("after-spawn:1:kill", at_most_s=20)
        assert (ended == "ended -9") is guarded, ended
        chaos.open_gate("detach")
        chaos.wait_for(lambda: chaos.latest.joinpath("a/exit.json").exists(), "the worker to end")
        lives.live()
    assert json.loads((chaos.latest / "a" / "exit.json").read_text())["code"] == 0
    assert signal.SIGKILL
