"""The held connection to a real sshd: what is in the way is told with its mend, and nothing of it is left over."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from race_lab import wait_for
from sync_lab import Machine, children, machine
from wtrace.mirror import connection, errors, process, remote_scripts
from wtrace.mirror.connection import Connection
from wtrace.mirror.errors import SyncError
from wtrace.mirror.push import Push
from wtrace.mirror.target import Target


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path / "laptop") as made:
        yield made


@pytest.fixture
def target(laptop: Machine) -> Target:
    return Target("mac", laptop.host, "wtrace/lab", ssh_config=laptop.ssh_config)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made = tmp_path / "results"
    made.mkdir()
    (made / "PARALLEL_PROGRESS.md").write_text("epoch 5\n")
    return made


def error_of(target: Target, results: Path) -> SyncError:
    """What a push says that cannot succeed."""
    with Connection(target) as held, pytest.raises(SyncError) as failed:
        Push(held, "id", results).progress()
    assert failed.value.exit_code == 4
    assert failed.value.hint, "no mend"
    assert "\n" not in failed.value.what
    return failed.value


def test_one_login_serves_all(laptop: Machine, target: Target, results: Path) -> None:
    with Connection(target) as held:
        push = Push(held, "id", results)
        for _ in range(5):
            push.progress()
    assert (laptop.folder / "sshd.log").read_text().count("Accepted publickey") == 1


def test_a_login_that_was_lost_is_made_anew(laptop: Machine, target: Target, results: Path) -> None:
    with Connection(target) as held:
        push = Push(held, "id", results)
        push.progress()
        (login,) = [
            pid for pid in children() - laptop.processes() if Path(f"/proc/{pid}/comm").read_text() == "ssh\n"
        ]
        laptop.kill_here("ssh")
        wait_for(lambda: ") Z " in Path(f"/proc/{login}/stat").read_text(), "the login to be gone")
        push.progress()
    assert (laptop.folder / "sshd.log").read_text().count("Accepted publickey") == 2


def test_a_machine_that_refuses(laptop: Machine, target: Target, results: Path) -> None:
    laptop.stop()
    assert "refuses connections" in error_of(target, results).what


def test_a_name_that_nobody_knows(target: Target, results: Path) -> None:
    assert "nobody knows" in error_of(replace(target, host="no-such-host.invalid"), results).what


def test_a_host_key_that_is_not_known_is_not_added(laptop: Machine, target: Target, results: Path) -> None:
    laptop.forget_host_key()
    error = error_of(target, results)
    assert "in no known_hosts" in error.what
    assert "ssh laptop" in (error.hint or "")
    assert laptop.known_hosts.read_text() == ""


def test_a_host_key_that_changed(laptop: Machine, target: Target, results: Path) -> None:
    before = laptop.known_hosts.read_text()
    laptop.change_host_key()
    error = error_of(target, results)
    assert "another host key" in error.what
    assert "ssh-keygen -R" in (error.hint or "")
    assert laptop.known_hosts.read_text() == before


def test_a_key_that_is_not_accepted(laptop: Machine, target: Target, results: Path) -> None:
    laptop.lock_out()
    error = error_of(target, results)
    assert "does not let this user in" in error.what
    assert "Permission denied" in (error.seen or "")


def test_a_shell_that_prints_a_banner(laptop: Machine, target: Target, results: Path) -> None:
    laptop.on_login("echo 'Welcome \033[31mback'")
    error = error_of(target, results)
    assert "prints text of its own" in error.what
    assert error.seen == "Welcome \\x1b[31mback"


def test_no_rsync_there(target: Target, results: Path) -> None:
    error = error_of(replace(target, rsync="/nowhere/rsync"), results)
    assert "no rsync on laptop" in error.what
    assert "brew install rsync" in (error.hint or "")


def test_an_rsync_there_that_lacks_what_is_needed(laptop: Machine, target: Target, results: Path) -> None:
    old = laptop.home / "rsync"
    old.write_text("#!/bin/sh\necho 'openrsync: protocol version 27' >&2\n")
    old.chmod(0o755)
    assert "too old" in error_of(replace(target, rsync="~/rsync"), results).what


def test_a_folder_that_cannot_be_made(laptop: Machine, target: Target, results: Path) -> None:
    (laptop.home / "wtrace").write_text("a file")
    error = error_of_folder(target, results)
    assert "wtrace/lab cannot be used" in error.what
    assert "mkdir" in (error.seen or "")


def error_of_folder(target: Target, results: Path) -> SyncError:
    with Connection(target) as held, pytest.raises(SyncError) as failed:
        Push(held, "id", results).progress()
    return failed.value


def test_a_disk_that_is_full(laptop: Machine, target: Target, results: Path) -> None:
    small = laptop.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(small)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        on_disk = replace(target, folder=str(small / "lab"))
        with Connection(on_disk) as held:
            push = Push(held, "id", results)
            push.progress()
            (results / "success_viz").mkdir(exist_ok=True)
            (results / "success_viz" / "large.png").write_bytes(os.urandom(3_000_000))
            with pytest.raises(SyncError) as failed:
                push.results()
            assert "disk of laptop is full" in failed.value.what
            assert not (small / "lab/results/success_viz/large.png").exists()
            assert (small / "lab/results/PARALLEL_PROGRESS.md").read_text() == "epoch 5\n"
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_laptop_that_falls_asleep_is_given_up_soon(
    laptop: Machine, target: Target, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.OPTIONS, "ServerAliveInterval", "1")
    monkeypatch.setitem(connection.OPTIONS, "ServerAliveCountMax", "2")
    monkeypatch.setitem(connection.OPTIONS, "ConnectTimeout", "3")
    with Connection(target) as held:
        push = Push(held, "id", results)
        push.progress()
        laptop.freeze()
        began = time.monotonic()
        with pytest.raises(SyncError, match=r"broke off|does not answer"):
            push.progress()
        assert time.monotonic() - began < 10
        laptop.thaw()
        push.progress()


def test_the_keepalives_give_up_within_a_quarter_of_a_minute() -> None:
    options = connection.OPTIONS
    assert int(options["ServerAliveInterval"]) * int(options["ServerAliveCountMax"]) <= 15
    assert int(options["ConnectTimeout"]) <= 10


def test_the_users_ssh_config_cannot_loosen_anything(laptop: Machine, target: Target, results: Path) -> None:
    config = laptop.ssh_config.read_text()
    laptop.ssh_config.write_text(
        config
        + f"  StrictHostKeyChecking no\n  BatchMode no\n  ControlMaster auto\n  ControlPath {laptop.folder}/user\n"
        f"  ControlPersist yes\n  ForwardAgent yes\n  RemoteCommand echo hijacked\n  RequestTTY force\n"
        f"  PermitLocalCommand yes\n  LocalCommand touch {laptop.folder}/ran\n  LocalForward {laptop.port + 1} localhost:1\n"
    )
    with Connection(target) as held:
        Push(held, "id", results).progress()
        assert not (laptop.folder / "user").exists()
    assert not (laptop.folder / "ran").exists()
    laptop.forget_host_key()
    assert "in no known_hosts" in error_of(target, results).what


def test_the_sockets_folder_is_private_short_and_removed(target: Target) -> None:
    with Connection(target) as held:
        held.open()
        socket = Path(re.search(r"-S (\S+)", held.shell)[1])  # type: ignore[index]
        assert socket.is_socket()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(socket)) + 17 < 104, "too long for macOS"
        assert all(" " not in word for word in held.shell.split(" "))
    assert not socket.parent.exists()


def test_an_ssh_config_whose_path_has_spaces(laptop: Machine, target: Target, results: Path) -> None:
    spaced = laptop.folder / "my 'own' config"
    spaced.write_text(laptop.ssh_config.read_text())
    with Connection(replace(target, ssh_config=spaced)) as held:
        Push(held, "id", results).progress()
    assert (laptop.home / "wtrace/lab/results/PARALLEL_PROGRESS.md").exists()


def test_the_connection_ends_with_a_process_that_is_killed(laptop: Machine, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from wtrace.mirror.connection import Connection; "
        "from wtrace.mirror.target import Target; "
        f"c = Connection(Target('mac', 'laptop', 'x', ssh_config=Path({str(laptop.ssh_config)!r}))); c.open(); "
        "print(c.shell, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    socket = Path(re.search(r"-S (\S+)", owner.stdout.readline())[1])  # type: ignore[index]
    assert socket.is_socket()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    wait_for(lambda: not socket.exists(), "ssh to leave with its owner", timeout_s=10)
    shutil.rmtree(socket.parent)


def test_nothing_of_a_command_that_takes_too_long_is_left() -> None:
    began = time.monotonic()
    done = process.run(["sh", "-c", "echo begun; sleep 61 & trap '' TERM; sleep 62"], timeout_s=0.3)
    assert (done.code, done.out) == (process.TIMED_OUT, "begun\n")
    assert time.monotonic() - began < 5
    assert not any(
        {b"61", b"62"} & set(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")) for pid in all_sleeps()
    )


def all_sleeps() -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (entry / "comm").read_text() == "sleep\n"
    ]


def test_scripts_for_the_far_side_suit_every_login_shell() -> None:
    scripts = [
        remote_scripts.entering("a", "rsync"), remote_scripts.preparing("a", "rsync", "id"), remote_scripts.finding_race("a", "rsync"),
        remote_scripts.telling_about("a", "rsync"), remote_scripts.holding(),
    ]  # fmt: skip
    for script in scripts:
        body = script.removeprefix("sh -c '").split("' wtrace")[0]
        assert not set("'\\!\n") & set(body), script


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ssh: connect to host h port 22: Operation timed out", "does not answer"),
        ("ssh: connect to host h port 22: No route to host", "does not answer"),
        ("kex_exchange_identification: Connection closed by remote host", "broke off"),
        ("Timeout, server h not responding.", "broke off"),
        ("rsync: mkstemp \"/x\" failed: Permission denied (13)", "does not let this user write"),
        ("rsync: mkstemp \"/x\" failed: Operation not permitted (1)", "does not let ssh write"),
        ("rsync: write failed on \"x\": No space left on device (28)", "is full"),
        ("mkdir: /x: Read-only file system", "read-only"),
        ("protocol version mismatch -- is your shell clean?", "prints text of its own"),
        ("zsh:1: command not found: rsync", "no rsync"),
        ("rsync: --checksum: unknown option", "too old"),
        ("Bad owner or permissions on /home/u/.ssh/config", "config of ssh"),
        ("something new", "the transfer failed"),
    ],
)  # fmt: skip
def test_every_trouble_has_its_words(said: str, told: str) -> None:
    error = errors.trouble(
        "h", f"noise\n{said}\nrsync error: error in rsync protocol data stream (code 12) at io.c(228)"
    )
    assert told in error.what
    assert said in (error.seen or "") or told == "the transfer failed"


def test_what_a_tool_says_cannot_drive_the_terminal() -> None:
    error = errors.trouble("h", "\x1b]52;c;aGk=\x07Permission denied (publickey).")
    assert "\x1b" not in (error.seen or "")
