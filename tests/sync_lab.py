"""A real sshd on loopback, and the machines that can be played with it: asleep, full, chatty, of an old make."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from race_lab import wait_for
from runner_world import state_of

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
OPENRSYNC_REFUSES = (
    "--mkpath", "--append-verify", "--fsync", "--zc", "--secluded-args", "--protect-args", "--log-format",
    "--old-args", "--msgs2stderr", "--no-msgs2stderr", "--info", "--debug", "--new-compress", "--mkdir",
    "--checksum-choice", "--compress-choice", "--iconv", "--usermap", "--groupmap", "--chown", "--preallocate",
)  # fmt: skip
"""Long options that macOS' openrsync does not have; `docs/decisions/0006-rsync-over-openssh.md` has the list."""
OPENRSYNC_SHORT = "0468BCDEFHIKLOPRSTVWabcdefghklnopqrtuvxyz"


def need_sshd() -> None:
    """Skip where sshd, ssh or rsync cannot be had. On CI they must be there."""
    missing = [
        name
        for name, path in (("sshd", SSHD), ("ssh", shutil.which("ssh")), ("rsync", shutil.which("rsync")))
        if not path
    ]
    if missing and os.environ.get("CI"):
        raise AssertionError(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


class Machine:
    """Another machine: its sshd, a home folder for what is put there, and the ssh config that reaches it."""

    host = "laptop"

    def __init__(self, folder: Path) -> None:
        need_sshd()
        self.folder = folder
        self.home = folder / "home"
        folder.mkdir(parents=True)
        self.move_in(self.home)
        self.key = self._new_key("key")
        self._authorize(self.key)
        self._new_key("host_key")
        self.port = _free_port()
        self.ssh_config = folder / "ssh_config"
        self.known_hosts = folder / "known_hosts"
        self.more_config = ""  # of the sshd
        self._sshd: subprocess.Popen[bytes] | None = None
        self._write_config()
        self.learn_host_key()
        self.start()

    def move_in(self, home: Path) -> None:
        """Begin with an empty home folder and no start-up file."""
        home.mkdir()
        self.home = home
        (self.folder / "home_is").write_text(str(home))
        (self.folder / "setup").unlink(missing_ok=True)

    def start(self) -> None:
        assert SSHD is not None
        with contextlib.suppress(OSError):
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # Debian's sshd insists on it when it is root
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAcceptEnv LC_*\n"
            f"ForceCommand {self.folder}/shell\nMaxStartups 100\n"
            f"SetEnv HOME={self.folder}\n"  # the login shell reads the start-up files there, not this user's own
            f"{self.more_config}"
        )
        shell = self.folder / "shell"
        shell.write_text(
            f'#!/bin/sh\nexport HOME="$(cat "{self.folder}/home_is")"\ncd "$HOME"\n[ ! -f "{self.folder}/setup" ] || . "{self.folder}/setup"\n'
            'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        shell.chmod(0o755)
        with (self.folder / "sshd.log").open("ab") as log:
            self._sshd = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(config)], stderr=log, start_new_session=True
            )
        wait_for(self._listens, "the sshd to listen", timeout_s=10)

    def stop(self) -> None:
        """As when it falls asleep: nobody listens, and what was connected is cut off."""
        if self._sshd is None:
            return
        for pid in sorted(_descendants(self._sshd.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._sshd.kill()
        self._sshd.wait()
        self._sshd = None

    def restart(self) -> None:
        """As when the line breaks for a moment."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """As a laptop with its lid closed: connections stand, nobody answers."""
        assert self._sshd is not None
        for pid in [self._sshd.pid, *_descendants(self._sshd.pid)]:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._sshd is not None
        for pid in [self._sshd.pid, *_descendants(self._sshd.pid)]:
            os.kill(pid, signal.SIGCONT)

    def processes(self) -> set[int]:
        """What runs there: all below its sshd, which is this process's child."""
        return set() if self._sshd is None else _descendants(self._sshd.pid)

    def kill_rsync(self) -> None:
        """End the transfers that run there, hard."""
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if b"--server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def kill_here(self, program: str) -> None:
        """End what this machine runs of that program (rsync, ssh), hard."""
        for pid in children() - self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == program:
                    os.kill(pid, signal.SIGKILL)

    def on_login(self, code: str) -> None:
        """What the start-up file of the shell does."""
        (self.folder / "setup").write_text(code + "\n")

    def change_host_key(self) -> None:
        self.stop()
        (self.folder / "host_key").unlink()
        self._new_key("host_key")
        self.start()

    def learn_host_key(self) -> None:
        public = (self.folder / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")

    def forget_host_key(self) -> None:
        self.known_hosts.write_text("")

    def lock_out(self) -> None:
        (self.folder / "authorized_keys").write_text("")

    def only_openrsync(self) -> Path:
        """An rsync that knows no option but those of macOS' openrsync, speaks its protocol, and logs its arguments."""
        program = self.folder / "openrsync"
        refused = "|".join(f"{option}|{option}=*" for option in OPENRSYNC_REFUSES)
        program.write_text(
            "#!/bin/sh\n"
            'if [ "$1" = --version ]; then\n'
            '  echo "openrsync: protocol version 29"; echo "rsync version 2.6.9 compatible"; exit 0\nfi\n'
            f'echo "$@" >>"{self.folder}/openrsync.log"\n'
            'for each in "$@"; do case $each in\n'
            f'  {refused}) echo "openrsync: unrecognized option $each" >&2; exit 1;;\n'
            "  --*) ;;\n"
            f'  -*[!{OPENRSYNC_SHORT}.-]*) case $each in -*e.*) ;; *) echo "openrsync: invalid option $each" >&2; exit 1;; esac;;\n'
            "esac; done\n"
            'exec rsync --protocol=29 "$@"\n'
        )
        program.chmod(0o755)
        return program

    def _authorize(self, key: Path) -> None:
        (self.folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())

    def _new_key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    def _write_config(self) -> None:
        self.ssh_config.write_text(
            f"Host {self.host}\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {self.key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine for as long as it is needed. Whoever used it must have ended what it started."""
    before = children()
    made = Machine(folder)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.thaw() if made._sshd is not None else None
        made.stop()
    assert children() <= before, "a test left processes behind"


def _free_port() -> int:
    while True:
        port = random.randint(20000, 60000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat[stat.rindex(")") + 2 :].split()[1])
    found: set[int] = set()
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in found | {pid}}
        grown = bool(more - found)
        found |= more
    return found


def children() -> set[int]:
    """What this process has started and still runs. What has ended and not been collected is not told."""
    return {pid for pid in _descendants(os.getpid()) if state_of(pid) not in ("", "Z")}
