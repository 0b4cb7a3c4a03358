"""Which commands this user has approved, and which races were started here: never in a repo.

Approvals lie in `wtrace/trusted.json` in the user's own config folder, the races in `wtrace/started/` in that for state.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_FILE = 10_000_000  # bytes
KEPT_PER_REPO = 50  # the latest approvals: a repo has a few configs, and one may go back to an earlier one


def is_trusted(root: Path, digest: str) -> bool:
    """Whether this user has approved these commands for the repo at `root`.

    A file that is missing, cannot be read, or could have been written by somebody else approves nothing.
    """
    try:
        return digest in _read(_file()).get(_key(root), [])
    except ToolError:
        return False


def trust(root: Path, digest: str) -> None:
    """Note that this user approves these commands for the repo at `root`. ToolError where that cannot be noted."""
    file = _file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(file.parent):
            repos = _read(file)
            kept = [each for each in repos.get(_key(root), []) if each != digest]
            repos[_key(root)] = [*kept, digest][-KEPT_PER_REPO:]
            _write(file, json.dumps({"version": 1, "repos": repos}, indent=1).encode())
    except OSError as error:
        raise ToolError(
            f"the approval cannot be stored in {file}",
            seen=str(error),
            hint="or give --trust to each command",
        ) from None


def note_start(root: Path, race_id: str, digest: str) -> None:
    """Note that this user started that race, whose record has that digest. ToolError where that cannot be noted."""
    file = _started(root, race_id)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(file, digest.encode())
    except OSError as error:
        raise ToolError(f"that the race was started cannot be noted in {file}", seen=str(error)) from None


def was_started(root: Path, race_id: str, digest: str) -> bool:
    """Whether this user started that race here, and its record still has that digest."""
    try:
        return _content(_started(root, race_id)) == digest.encode()
    except (OSError, ToolError):
        return False


def has_start(root: Path, race_id: str) -> bool:
    """Whether this user started that race here, and it has not been closed."""
    try:
        return bool(_content(_started(root, race_id)))
    except (OSError, ToolError):
        return False


def forget_start(root: Path, race_id: str) -> None:
    """The race is closed: nothing of it will be started again."""
    with contextlib.suppress(OSError, ToolError):
        _started(root, race_id).unlink(missing_ok=True)


def _started(root: Path, race_id: str) -> Path:
    name = hashlib.sha256(f"{_key(root)}\0{race_id}".encode(errors="surrogateescape")).hexdigest()[:32]
    return _folder("XDG_STATE_HOME", ".local/state") / "started" / name


def _file() -> Path:
    return _folder("XDG_CONFIG_HOME", ".config") / "trusted.json"


def _folder(variable: str, usual: str) -> Path:
    base = os.environ.get(variable, "")
    try:
        return (Path(base) if base.startswith("/") else Path.home() / usual) / "wtrace"
    except RuntimeError:
        raise ToolError("no home folder to keep approvals in", hint="set HOME, or give --trust") from None


def _key(root: Path) -> str:
    return str(root.resolve())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(file: Path) -> dict[str, list[str]]:
    try:
        return _decoded(file, _content(file))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unusable(file, str(error)) from None


def _content(file: Path) -> bytes:
    """What only this user can have written there. ToolError where others could have; OSError."""
    handle = open_regular(file)
    with open(handle, "rb") as opened:  # noqa: PTH123 - a descriptor, not a path
        about = os.fstat(handle)
        if about.st_size > LARGEST_FILE:
            raise _unusable(file, "not a file that wtrace wrote")
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise _unusable(file, "others can write to it")
        return opened.read(LARGEST_FILE)


def _decoded(file: Path, content: bytes) -> dict[str, list[str]]:
    try:
        repos = json.loads(content)["repos"]
        usable = all(isinstance(digests, list) for digests in repos.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        usable = False
    if not usable:
        raise _unusable(file, "not what wtrace wrote")
    return dict(repos)


def _unusable(file: Path, seen: str) -> ToolError:
    return ToolError(
        f"the approvals in {file} cannot be used",
        seen=seen,
        hint="remove that file; wtrace will ask for approval again",
    )


def _write(file: Path, content: bytes) -> None:
    import tempfile

    handle, name = tempfile.mkstemp(prefix=".trusted-", dir=file.parent)  # mode 0600
    try:
        with open(handle, "wb") as opened:  # noqa: PTH123 - a descriptor, not a path
            opened.write(content)
            opened.flush()
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
