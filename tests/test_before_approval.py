"""Before approval nothing of a repo acts: neither what its config names, nor what its git settings name."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import forgery
from race_lab import Lab

READING = [
    ["doctor"], ["run", "--dry-run"], ["run", "--dry-run", "--json"], ["trust"], ["status"], ["history"], ["clean"],
]  # fmt: skip


@pytest.fixture
def stranger(lab: Lab) -> Lab:
    """A repo that somebody else made, and whose config nobody here has approved."""
    (lab.root / ".gitattributes").write_text("* filter=evil merge=evil diff=evil\n")
    lab.git("add", ".gitattributes")
    lab.git("commit", "--quiet", "-m", "attributes")
    lab.race({"a": [["check", 5, 2.0]], "b": [["check", 5, 2.0]]})
    for name in ("a", "b"):
        lab.git("switch", "--quiet", f"try/{name}")
        (lab.root / "script.json").write_text(f'["{name}"]')
        lab.git("commit", "--quiet", "-am", "more")
    lab.git("switch", "--quiet", "main")
    (lab.root / "script.json").write_text('["main"]')
    lab.git("commit", "--quiet", "-am", "another way")
    lab.git("add", "--force", "wtrace.toml")
    lab.git("commit", "--quiet", "-m", "a race")
    forgery.forget(lab)
    return lab


def settings_that_run(lab: Lab) -> dict[str, Path]:
    """Everything in git's settings that names a command, each with what shows that it was run."""
    marks = {}
    names = [
        "core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "diff.external",
        "diff.evil.textconv", "diff.evil.command", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process",
        "merge.evil.driver", "gpg.program", "credential.helper", "alias.lfs", "alias.status", "remote.origin.uploadpack",
    ]  # fmt: skip
    for name in names:
        marks[name], script = forgery.witness(lab, name, then="exec cat")
        lab.git("config", name, f"!{script}" if name.startswith("alias.") else str(script))
    hooks = lab.root.parent / "hooks"
    hooks.mkdir()
    marks["hook"], script = forgery.witness(lab, "hook", then="exit 0")
    for name in (
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "pre-auto-gc",
        "fsmonitor-watchman",
    ):
        (hooks / name).symlink_to(script)
    lab.git("config", "core.hooksPath", str(hooks))
    marks["transport"], script = forgery.witness(lab, "transport")
    lab.git("config", "remote.origin.url", f"ext::{script}")
    lab.git("config", "remote.origin.promisor", "true")
    lab.git("config", "extensions.partialClone", "origin")
    lab.git("config", "protocol.ext.allow", "always")
    lab.git("config", "log.showSignature", "true")
    for mark in marks.values():  # this command of git's own may have run some
        mark.unlink(missing_ok=True)
    return marks


def drop_an_object(lab: Lab) -> None:
    """Have git miss a file that a merge must look at, as in a clone that fetches only what it needs."""
    blob = lab.git("rev-parse", "try/a:script.json").strip()
    (lab.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_git_starts_nothing_that_the_repo_names(stranger: Lab, command: list[str]) -> None:
    drop_an_object(stranger)
    marks = settings_that_run(stranger)
    stranger.wtrace(*command, expect=None)
    assert {name for name, mark in marks.items() if mark.exists()} == set()


def test_init_starts_nothing_either(stranger: Lab) -> None:
    (stranger.root / "wtrace.toml").unlink()
    marks = settings_that_run(stranger)
    stranger.wtrace("init")
    assert {name for name, mark in marks.items() if mark.exists()} == set()


def test_without_commands_of_the_repo_the_forecast_is_gits_own(stranger: Lab) -> None:
    stranger.git("config", "merge.evil.driver", "exit 0")  # which would call every merge clean
    assert "would conflict with the base in script.json" in stranger.wtrace("run", "--dry-run").stdout
    stranger.env["WTRACE_TRUST"] = "1"
    assert "would conflict" not in stranger.wtrace("setup").stdout  # approved: what the user's git would do


def test_once_approved_hooks_run(stranger: Lab) -> None:
    marks = settings_that_run(stranger)
    stranger.wtrace("setup", "--trust", expect=None)
    assert marks["hook"].exists()


def test_clean_looks_at_worktrees_without_the_repos_filters(stranger: Lab) -> None:
    """Which needs no approval: another clone's worktrees may have been made by anybody."""
    stranger.wtrace("setup", "--trust")
    marks = settings_that_run(stranger)
    file = stranger.root.parent / "repo-worktrees" / "a" / "train.py"
    file.write_bytes(file.read_bytes())  # written anew: git must look at what it holds
    stranger.wtrace("clean")
    assert {name for name, mark in marks.items() if mark.exists()} == set()
    assert not file.exists()


def test_lfs_is_let_be(lab: Lab) -> None:
    """Its files would seem changed to `clean`, which then kept every worktree."""
    from wtrace.git import command as git

    lab.git("config", "filter.lfs.clean", "git-lfs clean -- %f")
    lab.git("config", "filter.lfs.process", "git-lfs filter-process")
    lab.git("config", "filter.other.clean", "git-lfs clean -- %f; touch x")
    assert [option.rpartition("=")[0] for option in git._without_commands(lab.root)] == [
        "--config-env=filter.other.clean"
    ]


def test_doctor_asks_no_other_machine_before_approval(stranger: Lab) -> None:
    """A `Match exec` of the repo's own config of ssh, and the token of the environment for an address of the repo's."""
    asked: list[str] = []

    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(str(self.headers.get("Authorization")))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    mark, script = forgery.witness(stranger)
    (stranger.root / "ssh.config").write_text(f'Match exec "{script}"\n  HostName localhost\n')
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stranger.write_config(
            ["a", "b"],
            race='runner = "far"',
            extra=f'[sync.mac]\nhost = "mac"\nssh_config = "ssh.config"\n[runners.far]\nengine = "ray"\n'
            f'address = "http://127.0.0.1:{server.server_port}"\n',
        )
        stranger.env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "s3cret"}
        told = stranger.wtrace("doctor").stdout
        assert "sync.mac: not asked: the commands are not approved" in told
        assert "runner far: not asked: the commands are not approved" in told
        assert (asked, mark.exists()) == ([], False)
        stranger.wtrace("trust", "--yes")
        stranger.wtrace("doctor", expect=None)
        assert mark.exists()
        server.shutdown()
