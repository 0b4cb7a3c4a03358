"""`wtrace doctor` on real repos: one line per question, exit code 1 on a problem."""

from __future__ import annotations

import subprocess
from pathlib import Path

from race_lab import Lab
from sync_lab import machine


def test_a_fit_repo_is_found_fit(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    done = lab.wtrace("doctor")
    assert all(line.startswith(("ok ", "warning ", "         mend:")) for line in done.stdout.splitlines())
    assert "branch try/a" in done.stdout


def test_a_missing_branch_is_a_warning_and_a_broken_config_a_problem(lab: Lab) -> None:
    lab.race({"a": [["check", 5, 2.0]]})
    lab.git("branch", "-D", "try/a")
    assert "try/a: is missing" in lab.wtrace("doctor").stdout
    (lab.root / "wtrace.toml").write_text("[race]\nnam = 'x'\n")
    assert "problem  config" in lab.wtrace("doctor", expect=1).stdout


def test_outside_a_repo_there_is_a_problem_and_no_traceback(lab: Lab) -> None:
    done = subprocess.run(
        lab.command("doctor"), cwd=lab.home, env=lab.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "problem  repository" in done.stdout


def test_each_sync_target_is_asked(lab: Lab, tmp_path: Path) -> None:
    with machine(tmp_path / "laptop") as laptop:
        sync = f'[sync.mac]\nhost = "{laptop.host}"\nssh_config = "{laptop.ssh_config}"'
        lab.race({"a": [["check", 5, 2.0]]}, extra=sync)
        told = lab.wtrace("doctor").stdout
        assert "ok       rsync" in told
        assert "ok       sync.mac" in told
        laptop.stop()
        assert "problem  sync.mac" in lab.wtrace("doctor", expect=1).stdout
