"""Ask about another machine before something is sent there: one answer per question, each with its mend.

The questions go through paramiko, which tells a wrong host key from a refused login. It knows fewer kinds of keys
and of ways than OpenSSH, so where it fails OpenSSH has the last word.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from wtrace.data import data
from wtrace.mirror import process, remote_scripts, rsync
from wtrace.mirror.connection import Connection
from wtrace.mirror.errors import SyncError, trouble
from wtrace.text import plain, seconds, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import paramiko

    from wtrace.mirror.target import Target

State = Literal["ok", "warning", "problem"]

PATIENCE_S = 10.0
LITTLE_SPACE, NO_SPACE = 1e9, 50e6  # bytes
CLOCK_OFF_S = 5.0
MOST_ANSWER = 64 * 1024


class Answer(NamedTuple):
    """What is known now, and what to do where it is not well."""

    name: str
    state: State
    text: str
    mend: str | None = None


@data
class Route:
    """How ssh would go to a host, by its config."""

    hostname: str
    port: int
    user: str
    keys: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    alias: str | None = None  # the name that the host key is known by
    through: str | None = None  # a jump host or a proxy command
    only_keys: bool = False


@dataclass(slots=True)
class _Asked:
    """A machine that lets itself be asked."""

    run: Callable[[str], str]
    close: Callable[[], None]
    told: list[Answer] = field(default_factory=list)


def questions(target: Target) -> list[Answer]:
    """Name, reachability, host key, login, rsync, folder, free space, clock: in this order, up to the first problem
    that leaves nothing to ask. Takes seconds where nobody answers; changes nothing, there or here.
    """
    return list(_questions(target))


def _questions(target: Target) -> Iterator[Answer]:
    try:
        route = look_up(target)
    except SyncError as error:
        yield _problem("ssh config", error)
        return
    yield from (way := list(_way(target, route)))
    if any(answer.state == "problem" for answer in way):
        return
    asked = _log_in(target, route)
    yield from asked.told
    if any(answer.state == "problem" for answer in asked.told):
        return
    try:
        began = time.time()
        said = asked.run(remote_scripts.telling_about(target.folder, target.rsync))
        yield from _about(target, said, (began + time.time()) / 2)
    except SyncError as error:
        yield _problem("shell", error)
    finally:
        asked.close()


def look_up(target: Target) -> Route:
    """What ssh's config says about the host, also through Include and Match: ssh is asked. SyncError if it cannot."""
    given = [] if target.ssh_config is None else ["-F", str(target.ssh_config)]
    done = process.run(["ssh", *given, "-G", "--", target.host], timeout_s=PATIENCE_S)
    if done.code != 0:
        raise trouble(target.host, done.err, otherwise="the config of ssh cannot be used")
    settings: dict[str, list[str]] = {}
    for line in done.out.splitlines():
        name, _, value = line.partition(" ")
        settings.setdefault(name, []).append(value)

    def one(name: str) -> str | None:
        value = settings.get(name, ["none"])[0]
        return None if value in ("", "none") else value

    known = " ".join(settings.get("userknownhostsfile", []) + settings.get("globalknownhostsfile", []))
    return Route(
        hostname=one("hostname") or target.host,
        port=int(one("port") or 22),
        user=one("user") or "",
        keys=tuple(settings.get("identityfile", [])),
        known_hosts=tuple(known.split()),
        alias=one("hostkeyalias"),
        through=one("proxyjump") or one("proxycommand"),
        only_keys=one("identitiesonly") == "yes",
    )


def _way(target: Target, route: Route) -> Iterator[Answer]:
    """Whether the name is known and somebody listens."""
    if route.through is not None:
        yield Answer("name", "ok", f"{target.host} is reached through {plain(route.through, 80)}")
        return
    try:
        addresses = {
            each[4][0] for each in socket.getaddrinfo(route.hostname, route.port, type=socket.SOCK_STREAM)
        }
    except OSError:
        yield _problem("name", trouble(target.host, f"Could not resolve hostname {route.hostname}"))
        return
    yield Answer(
        "name", "ok", f"{target.host} is {plain(route.hostname)} ({', '.join(sorted(map(str, addresses)))})"
    )
    began = time.monotonic()
    try:
        socket.create_connection((route.hostname, route.port), timeout=PATIENCE_S).close()
    except OSError as error:
        said = error.strerror or "Connection timed out"
        yield _problem("reach", trouble(target.host, said, otherwise="no connection"))
        return
    yield Answer("reach", "ok", f"port {route.port} answers in {1000 * (time.monotonic() - began):.0f} ms")


def _log_in(target: Target, route: Route) -> _Asked:
    """Log in through paramiko, else through OpenSSH; what was learnt of the host key and the login is told."""
    if route.through is None:
        with contextlib.suppress(Exception):  # whatever paramiko cannot do, OpenSSH is asked next
            return _by_paramiko(route)
    connection = Connection(target)
    try:
        connection.open()
    except SyncError as error:
        name = "host key" if "host key" in error.what else "login"
        return _Asked(lambda _: "", connection.close, [_problem(name, error)])
    told = [Answer("host key", "ok", "known"), Answer("login", "ok", f"as {plain(route.user)}")]
    return _Asked(lambda command: connection.run(command).out, connection.close, told)


def _by_paramiko(route: Route) -> _Asked:
    import paramiko

    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it is an answer here, not an event
    client = paramiko.SSHClient()
    try:
        for file in map(Path, route.known_hosts):
            if file.expanduser().is_file():
                client.load_system_host_keys(str(file.expanduser()))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        sock = socket.create_connection((route.hostname, route.port), timeout=PATIENCE_S)
        client.connect(
            route.alias or route.hostname,
            22 if route.alias else route.port,
            username=route.user,
            key_filename=[key for key in map(_expanded, route.keys) if Path(key).is_file()],  # type: ignore[arg-type] # the stubs know only one
            look_for_keys=False,  # ssh's config names them all
            allow_agent=not route.only_keys,
            sock=sock,
            timeout=PATIENCE_S,
            banner_timeout=PATIENCE_S,
            auth_timeout=PATIENCE_S,
        )
    except BaseException:
        client.close()
        raise
    told = [
        Answer("host key", "ok", f"known ({_key_of(client)})"),
        Answer("login", "ok", f"as {plain(route.user)}"),
    ]
    return _Asked(lambda command: _run(client, command), client.close, told)


def _key_of(client: paramiko.SSHClient) -> str:
    transport = client.get_transport()
    return "" if transport is None else plain(transport.get_remote_server_key().get_name())


def _run(client: paramiko.SSHClient, command: str) -> str:
    import paramiko

    try:
        _, out, _ = client.exec_command(command, timeout=PATIENCE_S)
        return out.read(MOST_ANSWER).decode("utf-8", "replace")
    except (OSError, paramiko.SSHException) as error:
        raise SyncError("the machine does not answer commands", seen=str(error)) from error


def _about(target: Target, said: str, now: float) -> Iterator[Answer]:
    """From the lines that `far.telling_about` prints."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        name, equals, value = line.partition("=")
        if equals and name in {"now", "system", "rsync", "df", "writable"}:
            found[name] = f"{found[name]}\n{value}" if name in found else value
    if "now" not in found:
        yield _problem("shell", SyncError("its shell does not run a script", seen=plain(said.strip(), 200)))
        return
    before = said.partition("now=")[0].strip()
    if before:
        yield _problem("shell", trouble(target.host, f"is your shell clean? {before}"))
    yield _rsync(target, found.get("rsync", ""))
    yield _folder(target, "writable" in found)
    if (space := _space(target, found.get("df", ""))) is not None:
        yield space
    yield _clock(found["now"], now)


def _rsync(target: Target, said: str) -> Answer:
    version = rsync.parse_version(said)
    if version is None:
        return _problem("rsync", trouble(target.host, f"{target.rsync}: command not found"))
    if not version.knows_checksum:
        return _problem("rsync", trouble(target.host, f"unknown option --checksum: {said}"))
    return Answer("rsync", "ok", plain(version.text))


def _folder(target: Target, writable: bool) -> Answer:
    if writable:
        return Answer("folder", "ok", plain(target.folder, 120))
    return _problem("folder", trouble(target.host, f"{target.folder}: Permission denied"))


def _space(target: Target, said: str) -> Answer | None:
    """From `df -Pk`: device, blocks, used, available, …"""
    figures = re.findall(r"\s([0-9]{1,18})(?=\s)", said)
    if len(figures) < 3:
        return None
    free = 1024 * int(figures[2])
    if free < NO_SPACE:
        return _problem("space", trouble(target.host, f"No space left on device: {size(free)} free"))
    text = f"{size(free)} free"
    return (
        Answer("space", "ok", text)
        if free >= LITTLE_SPACE
        else Answer("space", "warning", text, "make room there")
    )


def _clock(said: str, now: float) -> Answer:
    ahead_s = float(said) + 0.5 - now if re.fullmatch(r"[0-9]{1,12}", said) else 0.0
    if abs(ahead_s) <= CLOCK_OFF_S:
        return Answer("clock", "ok", "as here")
    word = "ahead" if ahead_s > 0 else "behind"
    return Answer(
        "clock",
        "warning",
        f"{seconds(abs(ahead_s))} {word}",
        "switch on network time there, or here: ages are told wrong",
    )


def _problem(name: str, error: SyncError) -> Answer:
    return Answer(name, "problem", error.what, error.hint)


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())
