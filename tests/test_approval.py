"""What is approved, held against a repo that says something else afterwards, and records that nobody here made."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import forgery
from race_lab import Lab


def runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def at_a_terminal(lab: Lab, answer: str, *words: str) -> tuple[int, str]:
    """The command with a terminal, at which that is typed; its exit code and what was shown."""
    here, there = pty.openpty()
    running = subprocess.Popen(
        lab.command(*words), cwd=lab.root, env=lab.env, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    os.write(here, answer.encode())
    shown = b""
    try:
        while part := os.read(here, 65536):
            shown += part
    except OSError:  # it has ended
        pass
    os.close(here)
    return running.wait(), shown.decode()


def test_trust_without_a_terminal_shows_and_approves_nothing(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    forgery.forget(lab)
    told = lab.wtrace("trust")
    assert "python train.py" in told.stdout
    assert "nothing was approved" in told.stderr
    lab.wtrace("run", expect=2)
    lab.wtrace("trust", "--yes")
    lab.wtrace("run")


def test_trust_at_a_terminal_asks(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    forgery.forget(lab)
    code, shown = at_a_terminal(lab, "n\n", "trust")
    assert (code, "python train.py" in shown) == (2, True)
    lab.wtrace("run", expect=2)
    assert at_a_terminal(lab, "y\n", "trust")[0] == 0
    lab.wtrace("run")


def test_a_record_that_was_not_made_here_starts_nothing(lab: Lab) -> None:
    """Neither by resuming it nor by stopping it, which takes a supervisor as well."""
    training = forgery.cut_off(lab)
    mark, script = forgery.witness(lab)
    forgery.rewrite_command(lab, [str(script)])
    forgery.forget(lab)
    lab.wtrace("stop", expect=2)
    lab.wait_for(lambda: not runs(training), "the training to be ended")
    (lab.latest / "a" / "attempts" / "1").rename(
        lab.root.parent / "attempt"
    )  # nothing was started yet, so it says
    for command in (["run", "--resume"], ["run", "--resume", "--detach"], ["stop"], ["stop", "a"]):
        told = lab.wtrace(*command, expect=2).stderr
        assert "has not been approved" in told
    assert "nothing of it ran" in lab.wtrace("stop", expect=2).stderr
    assert not mark.exists()


def test_what_was_started_here_is_resumed_unasked_until_its_record_changes(lab: Lab) -> None:
    """Also where it was approved for that one time only, and only some of its workers were raced."""
    lab.race({"a": [["mark", "began"], ["wait", "go"], ["check", 5, 2.0]], "b": []})
    lab.wtrace("run", "--detach", "--worker", "a", "--max-epochs", "7")
    del lab.env["WTRACE_TRUST"]
    lab.wait_for_mark("began")
    forgery.kill_supervisor(lab)
    config = lab.latest / "config.toml"
    recorded = config.read_text()
    config.write_text(recorded.replace("train.py", "other.py"))
    lab.wtrace("run", "--resume", expect=2)
    config.write_text(recorded)
    lab.open_gate("go")
    lab.wtrace("run", "--resume")
    assert list((lab.home / ".local/state/wtrace/started").iterdir()) == []  # nothing more can be started


def test_a_race_that_was_not_approved_can_be_stopped_and_shown(lab: Lab) -> None:
    training = forgery.cut_off(lab)
    forgery.forget(lab)
    assert runs(training)
    told = lab.wtrace("stop", expect=2).stderr
    assert "what ran of it was ended (a)" in told
    assert not runs(training)
    code, shown = at_a_terminal(lab, "n\n", "run", "--resume")
    assert (code, "python train.py" in shown) == (2, True)


def ssh_target(config: str) -> str:
    return f'[sync.mac]\nhost = "far.invalid"\nssh_config = "{config}"\n'


def test_a_config_of_sshs_that_changed_since_is_approved_anew(lab: Lab) -> None:
    mark, script = forgery.witness(lab)
    lab.race({"a": [["check", 5, 2.0]]}, extra=ssh_target("ssh.config"))
    config, included = lab.root / "ssh.config", lab.home / ".ssh" / "more"
    included.parent.mkdir(mode=0o700)
    included.write_text("")
    config.write_text("Include more\n")
    forgery.forget(lab)
    lab.wtrace("trust", "--yes")
    lab.wtrace("run")
    harmless = config.read_text()
    config.write_text(f"Host far.invalid\n  ProxyCommand {script}\n")
    lab.wtrace("sync", "--to", "mac", expect=2)
    lab.wtrace("run", expect=2)
    config.write_text(harmless)
    lab.wtrace("sync", "--to", "mac", expect=4)  # approved; there is no such machine
    # ssh itself reads included files of the passwd home; what counts is that they are looked at.
    included.write_text(f"ProxyCommand {script}\n")
    lab.wtrace("sync", "--to", "mac", expect=2)
    assert not mark.exists()
    os.kill(forgery.agent_pid(lab, "mac"), signal.SIGTERM)  # it would try for hours


def test_a_race_uses_the_config_of_sshs_that_was_approved(lab: Lab) -> None:
    """Whatever a pull makes of it while the race runs; and the same file from wherever the race is started."""
    approved, swapped = (forgery.witness(lab, name) for name in ("approved", "swapped"))
    lab.race({"a": [["mark", "began"], ["wait", "go"], ["check", 5, 2.0]]}, extra=ssh_target("ssh.config"))
    config = lab.root / "ssh.config"
    config.write_text(f"Host far.invalid\n  ProxyCommand {approved[1]}\n")
    (lab.root / "sub").mkdir()
    subprocess.run(
        lab.command("run", "--detach"), cwd=lab.root / "sub", env=lab.env, check=True, capture_output=True
    )
    config.write_text(f"Host far.invalid\n  ProxyCommand {swapped[1]}\n")
    lab.wait_for(approved[0].exists, "the mirror's first try")
    approved[0].unlink()
    os.kill(forgery.agent_pid(lab, "mac"), signal.SIGUSR1)  # at once, not when its pause is over
    lab.wait_for(approved[0].exists, "the mirror's second try")
    lab.open_gate("go")
    lab.wait_for(lambda: lab.status()["race"]["state"] == "won", "the race to end")
    lab.wait_for(lambda: not lab.status()["supervisor"]["alive"], "the supervisor to leave")
    os.kill(forgery.agent_pid(lab, "mac"), signal.SIGTERM)
    assert not swapped[0].exists()
