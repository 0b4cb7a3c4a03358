"""Questions about another machine, asked of a real sshd: each trouble is found, by name, with its mend."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sync_lab import Machine, machine
from wtrace.mirror import diagnose
from wtrace.mirror.diagnose import Answer, questions
from wtrace.mirror.target import Target


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Machine]:
    pytest.importorskip("paramiko")
    with machine(tmp_path / "laptop") as made:
        yield made


@pytest.fixture
def target(laptop: Machine) -> Target:
    return Target("mac", laptop.host, "with space/lab", ssh_config=laptop.ssh_config)


def ask_all(target: Target) -> dict[str, Answer]:
    answers = questions(target)
    assert all(answer.mend for answer in answers if answer.state != "ok"), answers
    return {answer.name: answer for answer in answers}


def test_all_is_well(laptop: Machine, target: Target) -> None:
    answers = ask_all(target)
    assert list(answers) == ["name", "reach", "host key", "login", "rsync", "folder", "space", "clock"]
    assert {name for name, answer in answers.items() if answer.state == "problem"} == set()
    assert "rsync 3" in answers["rsync"].text
    assert "ed25519" in answers["host key"].text, "OpenSSH was asked in the place of paramiko"
    assert "free" in answers["space"].text
    assert answers["clock"].state == "ok"
    assert list(laptop.home.iterdir()) == [], "asking made something"


def problem(target: Target) -> Answer:
    """The one problem, which is the last answer."""
    answers = list(ask_all(target).values())
    assert [answer.state for answer in answers].count("problem") == 1, answers
    return next(answer for answer in answers if answer.state == "problem")


def test_nobody_listens(laptop: Machine, target: Target) -> None:
    laptop.stop()
    found = problem(target)
    assert (found.name, "refuses" in found.text) == ("reach", True)


def test_nobody_knows_the_name(target: Target) -> None:
    found = problem(replace(target, host="no-such-host.invalid"))
    assert found.name == "name"


def test_an_unknown_host_key_is_never_added(laptop: Machine, target: Target) -> None:
    laptop.forget_host_key()
    found = problem(target)
    assert (found.name, "known_hosts" in found.text) == ("host key", True)
    assert laptop.known_hosts.read_text() == ""


def test_a_changed_host_key(laptop: Machine, target: Target) -> None:
    laptop.change_host_key()
    found = problem(target)
    assert (found.name, "another host key" in found.text) == ("host key", True)


def test_a_login_that_is_refused(laptop: Machine, target: Target) -> None:
    laptop.lock_out()
    found = problem(target)
    assert (found.name, "ssh-copy-id" in (found.mend or "")) == ("login", True)


def test_no_rsync_and_an_rsync_of_another_make(laptop: Machine, target: Target) -> None:
    assert problem(replace(target, rsync="/nowhere/rsync")).name == "rsync"
    found = ask_all(replace(target, rsync=str(laptop.only_openrsync())))["rsync"]
    assert (found.state, found.text) == ("ok", "openrsync")


def test_a_chatty_shell(laptop: Machine, target: Target) -> None:
    laptop.on_login("echo Welcome")
    assert ask_all(target)["shell"].state == "problem"


def test_a_clock_that_is_wrong(laptop: Machine, target: Target) -> None:
    (laptop.home / "bin").mkdir()
    fake = laptop.home / "bin/date"
    fake.write_text("#!/bin/sh\necho now=$(( $(/bin/date +%s) - 600 ))\n")
    fake.chmod(0o755)
    laptop.on_login('PATH="$HOME/bin:$PATH"')
    clock = ask_all(target)["clock"]
    assert (clock.state, clock.text) == ("warning", "10 min behind")


def test_the_way_is_asked_of_ssh_itself(laptop: Machine, tmp_path: Path) -> None:
    outer = tmp_path / "outer config"
    outer.write_text(f'Include "{laptop.ssh_config}"\n')
    route = diagnose.look_up(Target("mac", laptop.host, "x", ssh_config=outer))
    assert (route.hostname, route.port, route.only_keys) == ("127.0.0.1", laptop.port, True)
    assert str(laptop.known_hosts) in route.known_hosts


def test_a_jump_host_is_left_to_ssh(laptop: Machine, target: Target) -> None:
    laptop.ssh_config.write_text(
        laptop.ssh_config.read_text() + f"  ProxyCommand ssh -F {laptop.folder}/direct -W %h:%p jump\n"
    )
    direct = laptop.ssh_config.read_text().replace("Host laptop", "Host jump").partition("  ProxyCommand")[0]
    (laptop.folder / "direct").write_text(direct)
    (laptop.folder / "shell").write_text('#!/bin/sh\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    answers = ask_all(target)
    assert "through" in answers["name"].text
    assert answers["login"].state == "ok"


def test_a_config_that_ssh_cannot_read(laptop: Machine, target: Target) -> None:
    laptop.ssh_config.write_text("Bogus option\n")
    assert problem(target).name == "ssh config"


def test_a_key_that_only_openssh_can_use(laptop: Machine, target: Target) -> None:
    """The known key is one of a certificate authority, which paramiko does not understand."""
    subprocess.run(
        ["ssh-keygen", "-q", "-s", laptop.folder / "key", "-I", "laptop", "-h", "-n", "127.0.0.1", laptop.folder / "host_key.pub"],
        check=True,
    )  # fmt: skip
    laptop.stop()
    laptop.more_config = f"HostCertificate {laptop.folder}/host_key-cert.pub\n"
    laptop.start()
    authority = (laptop.folder / "key.pub").read_text()
    laptop.known_hosts.write_text(f"@cert-authority * {authority}")
    answers = ask_all(target)
    assert answers["host key"].state == "ok"
    assert answers["login"].state == "ok"
