"""What can go wrong on the way to another machine: each trouble has its one line and its mend."""

from __future__ import annotations

import re
from typing import NamedTuple

from wtrace.errors import ToolError
from wtrace.text import plain

LONGEST_SEEN = 300  # characters of a tool's own words


class SyncError(ToolError):
    """The other machine could not be reached, or could not take what was sent."""


class _Trouble(NamedTuple):
    signs: str  # a pattern over what ssh and rsync said
    what: str
    mend: str


# The first that fits counts: what ssh says about a connection comes before what rsync makes of its end.
_TROUBLES = (
    _Trouble(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        "{host} shows another host key than the one that is known",
        "if the machine was set up anew: `ssh-keygen -R {host}`, then connect once by hand; if not, somebody may listen",
    ),
    _Trouble(
        r"Host key verification failed|No .*host key is known",
        "{host} is not known to this machine: its host key is in no known_hosts",
        "connect once by hand, `ssh {host}`, and compare the fingerprint; wtrace never adds a key itself",
    ),
    _Trouble(
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "{host} is a name that nobody knows",
        "name it in ~/.ssh/config (Host, HostName), or write its address",
    ),
    _Trouble(
        r"Connection refused",
        "{host} refuses connections: nothing listens for ssh there",
        "on a Mac: System Settings, Sharing, Remote Login; through a tunnel: is it up?",
    ),
    _Trouble(
        r"Connection timed out|Operation timed out|No route to host|Network is unreachable|Host is down"
        r"|banner exchange: .*timed out",
        "{host} does not answer: asleep, switched off, or not reachable from here",
        "wake it; behind a home router use a reverse tunnel or Tailscale, or `wtrace pull` from there",
    ),
    _Trouble(
        r"Permission denied \((?:[a-z-]+,?)+\)|Too many authentication failures|Permission denied, please try again",
        "{host} does not let this user in: no key that it accepts",
        "`ssh-copy-id {host}`; a key with a passphrase needs an agent, wtrace cannot type it",
    ),
    _Trouble(
        r"Bad owner or permissions on|Bad configuration option|terminating, \d+ bad configuration|Can't open user config",
        "the config of ssh cannot be used",
        "correct the file that ssh names",
    ),
    _Trouble(
        r"No space left on device|[Dd]is[kc] quota exceeded|File too large",
        "the disk of {host} is full",
        "make room there; what has arrived stays",
    ),
    _Trouble(
        r"Read-only file system",
        "the folder on {host} cannot be written: its file system is read-only",
        "name another `path`",
    ),
    _Trouble(
        r"Operation not permitted",
        "{host} does not let ssh write to that folder",
        "on a Mac, Documents, Desktop and Downloads need full disk access for remote users; name another `path`",
    ),
    _Trouble(
        r"is your shell clean|protocol version mismatch|unexpected tag|protocol incompatibility|Invalid checksum length",
        "the shell of {host} prints text of its own, which rsync takes for an answer",
        "let its start-up file (.bashrc, .zshenv, …) print only at a terminal: `[ -t 1 ] || return`",
    ),
    _Trouble(
        r"unknown option|unrecognized option|invalid option|unrecognised option",
        "the rsync of {host} is too old, or another program",
        'install a newer one there and name it: `rsync = "/opt/homebrew/bin/rsync"`',
    ),
    _Trouble(
        r"[Cc]ommand not found|exec: .*not found|: not found|remote command not found",
        "there is no rsync on {host}",
        'install it there (`brew install rsync`, `apt install rsync`), or name it: `rsync = "/path/to/rsync"`',
    ),
    _Trouble(
        r"Permission denied",
        "{host} does not let this user write there",
        "name another `path`, or change the folder's owner",
    ),
    _Trouble(
        r"not responding|Broken pipe|Connection reset|Connection (?:to \S+ )?closed|connection unexpectedly closed"
        r"|unexplained error \(code 255\)|timeout in data send/receive|io timeout|kex_exchange_identification|lost connection|Connection closed",
        "the connection to {host} broke off",
        "nothing: the next try goes on where this one ended",
    ),
)


def trouble(host: str, said: str, *, otherwise: str = "the transfer failed") -> SyncError:
    """The error for what ssh or rsync said on standard error. The host is one that was checked."""
    for each in _TROUBLES:
        if re.search(each.signs, said):
            return SyncError(
                each.what.format(host=host), seen=_seen(said, each.signs), hint=each.mend.format(host=host)
            )
    return SyncError(f"{host}: {otherwise}", seen=_seen(said, r"\S"))


def shell_prints(host: str, text: str) -> SyncError:
    """The error for a login shell that printed something before it did what it was told."""
    found = next(each for each in _TROUBLES if "shell" in each.signs)
    return SyncError(found.what.format(host=host), seen=plain(text.strip(), LONGEST_SEEN), hint=found.mend)


def _seen(said: str, signs: str) -> str | None:
    """The line that tells most: the last one with the sign, without the frame that ssh draws around a warning."""
    lines = [line.strip(" @\r") for line in said.split("\n")]
    found = [line for line in lines if line and re.search(signs, line)]
    return plain(found[-1], LONGEST_SEEN) if found else None
