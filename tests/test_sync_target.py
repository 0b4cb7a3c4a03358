"""Targets: what may be a host, a folder, an rsync; and the version that an rsync tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtrace.config.spec import SyncSpec
from wtrace.errors import UsageError
from wtrace.mirror import target
from wtrace.mirror.rsync import parse_version

HOSTILE_HOSTS = (
    "", " ", "-oProxyCommand=touch x", "/etc/passwd", "a/b", "a b", "a;b", "a$(b)", "a`b`", "a|b", "a\nb", "user@-x",
    "a:b", "[::1]", "a'b", "*", "a@b@c", "h\x00", "ho\u202est",
)  # fmt: skip
HOSTILE_FOLDERS = ("", "  ", "../up", "a/../b", "..", "~root/x", "~~", "a\nb", "a\x1bb", "a\x00b")


@pytest.mark.parametrize("host", HOSTILE_HOSTS)
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(UsageError) as refused:
        target.resolve(SyncSpec("mac", host), "lab", Path("/repo"))
    assert refused.value.exit_code == 2
    if ":" not in host:
        with pytest.raises(UsageError):
            target.address(f"{host}:repo")


@pytest.mark.parametrize("folder", HOSTILE_FOLDERS)
def test_a_folder_that_leads_elsewhere_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="path"):
        target.resolve(SyncSpec("mac", "mac", path=folder), "lab", Path("/repo"))
    with pytest.raises(UsageError, match="rsync"):
        target.resolve(SyncSpec("mac", "mac", rsync=folder), "lab", Path("/repo"))


@pytest.mark.parametrize("race", ["../x", "a/b", "-x", "", ".", "a b"])
def test_a_race_whose_name_is_no_folder_is_refused(race: str) -> None:
    with pytest.raises(UsageError, match="race's name"):
        target.resolve(SyncSpec("mac", "mac"), race, Path("/repo"))


@pytest.mark.parametrize("host", ["macbook", "me@macbook", "10.0.0.2", "a-b.example.org", "me+x@h_1"])
def test_names_that_ssh_knows_are_taken(host: str) -> None:
    assert target.resolve(SyncSpec("mac", host), "lab", Path("/repo")).host == host


def test_the_races_name_is_filled_in_once() -> None:
    spec = SyncSpec("mac", "mac", path="runs of {race}/{{race}}")
    assert target.resolve(spec, "lab", Path("/repo")).folder == "runs of lab/{race}"


def test_an_address_needs_a_host_and_a_path() -> None:
    found = target.address("me@ec2:work/my repo")
    assert (found.host, found.folder) == ("me@ec2", "work/my repo")
    for text in ("ec2", "", "ec2:", ":repo"):
        with pytest.raises(UsageError):
            target.address(text)


@pytest.mark.parametrize(
    ("said", "name", "number", "knows_checksum"),
    [
        ("rsync  version 3.2.7  protocol version 31\nCopyright", "rsync", (3, 2, 7), True),
        ("rsync  version v3.4.1  protocol version 32", "rsync", (3, 4, 1), True),
        ("rsync  version 2.6.9  protocol version 29", "rsync", (2, 6, 9), True),
        ("openrsync: protocol version 29\nrsync version 2.6.9 compatible", "openrsync", (2, 6, 9), True),
        ("openrsync 0.1 (protocol version 27)", "openrsync", (), False),
        ("openrsync: protocol version 27", "openrsync", (), False),
    ],
)
def test_versions(said: str, name: str, number: tuple[int, ...], knows_checksum: bool) -> None:
    version = parse_version(said)
    assert version is not None
    assert (version.name, version.number, version.knows_checksum) == (name, number, knows_checksum)


def test_what_is_no_rsync_has_no_version() -> None:
    assert parse_version("BusyBox v1.36") is None
    assert parse_version("") is None


def test_a_config_of_sshs_that_is_relative_lies_in_the_repo_from_wherever_one_asks() -> None:
    def config(name: str) -> Path | None:
        return target.resolve(SyncSpec("mac", "mac", ssh_config=name), "lab", Path("/repo")).ssh_config

    assert config("ssh/config") == Path("/repo/ssh/config")
    assert config("/etc/ssh/other") == Path("/etc/ssh/other")
    assert config("~/.ssh/races") == Path.home() / ".ssh" / "races"
