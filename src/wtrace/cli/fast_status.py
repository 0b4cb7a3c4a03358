"""`wtrace status` without building the command line: it is asked often, and must answer at once.

Only the plain cases are answered here: a race that has ended, or one whose supervisor lives. For everything else,
options and mistakes included, `answer` gives None and the whole command line takes over. Standard library only, and
of that only what is needed.
"""

from __future__ import annotations

import os
import sys

from wtrace.mirror import brief
from wtrace.race import quickjson

NOT_OURS = """
SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'
OR EXISTS (SELECT 1 FROM pragma_table_xinfo(name) WHERE hidden) LIMIT 1
"""  # views, triggers, columns that are worked out: the whole command line says so, and does not use them

TYPE_CHECKING = False  # importing `typing` costs as much as reading the whole race
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def answer(arguments: Sequence[str]) -> int | None:
    """Answer `wtrace ARGUMENTS` if that is a plain `status`: the exit code, or None where it has not been answered."""
    if list(arguments) not in (["status"], ["status", "--json"]):
        return None
    standing = _standing()
    if standing is None:
        return None
    try:
        _print(standing, as_json=len(arguments) == 2)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has gone
        return 0
    except OSError as error:
        return unwritable(error)
    return 0


def unwritable(error: OSError) -> int:
    """Tell that standard output takes no more, if anybody can hear it; returns the exit code."""
    try:
        sys.stderr.write(f"error: standard output cannot be written: {error.strerror}\n")
        sys.stderr.flush()
    except OSError:  # the terminal itself is gone
        pass
    return 4


def _print(standing: Any, *, as_json: bool) -> None:
    if as_json:
        from wtrace.race.status_json import status_json

        sync = brief.to_json(standing.sync_rows)
        sys.stdout.write(quickjson.dumps(status_json(standing, sync)) + "\n")
    else:
        from wtrace.cli.terminal.table import print_table

        print_table(standing, standing.sync_rows)


def _standing() -> Any:
    """The newest race's standing, shaped like `core.standing.Standing`; None where more must be asked first."""
    root = _main_worktree(os.getcwd())  # noqa: PTH109 (pathlib costs more than the whole answer)
    if root is None or not _is_own(root):
        return None
    database = os.path.join(root, ".wtrace", "wtrace.db")  # noqa: PTH118
    if not os.path.exists(database):  # noqa: PTH110
        return None
    race, workers = _rows(database)
    if race is None:
        return None
    standing = quickjson.loads(race, _namespace)
    if "/" in standing.id:  # none of ours, and the whole command line says so
        return None
    standing.workers = [quickjson.loads(row, _namespace) for row in workers]
    alive = _is_supervised(os.path.join(root, ".wtrace", "lock"), standing.id)  # noqa: PTH118
    if standing.ended is None and (not alive or _lags_behind(database)):
        return None
    standing.supervisor_alive = alive
    standing.sync_rows = brief.read(os.path.join(root, ".wtrace", "races", standing.id))  # noqa: PTH118
    return standing


def _namespace(fields: dict[str, Any]) -> Any:
    return type(sys.implementation)(**fields)  # types.SimpleNamespace, without its module


def _main_worktree(folder: str) -> str | None:
    """The first folder upwards that holds `.git` as a folder; a linked worktree is left to `repo.find`."""
    while not os.path.isdir(os.path.join(folder, ".git")):  # noqa: PTH112, PTH118
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder or os.path.exists(os.path.join(folder, ".git")):  # noqa: PTH110, PTH118
            return None
        folder = parent
    return folder


def _is_own(root: str) -> bool:
    """Whether what lies in `.wtrace/` was made here; where that is not certain the whole command line tells."""
    from wtrace.git.index import may_hold
    from wtrace.store import foreign

    git_dir = os.path.join(root, ".git")  # noqa: PTH118
    return foreign.problem(root) is None and not may_hold(git_dir, foreign.HOME)


def _rows(database: str) -> tuple[str | None, list[str]]:
    try:  # `sqlite3` itself imports datetime, and adapters that nobody needs here
        import _sqlite3 as sqlite3
    except ImportError:
        import sqlite3  # type: ignore[no-redef]

    path = database.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("BEGIN")
        if connection.execute(NOT_OURS).fetchone() is not None:
            return None, []
        race = connection.execute("SELECT id, view FROM races ORDER BY rowid DESC LIMIT 1").fetchone()
        if race is None:
            return None, []
        rows = connection.execute("SELECT view FROM views WHERE race = ? ORDER BY position", (race[0],))
        return race[1], [row[0] for row in rows]
    except sqlite3.Error:
        return None, []
    finally:
        connection.close()


def _lags_behind(database: str) -> bool:
    """Whether something is told in `store.trouble`'s file: the record cannot be written."""
    try:
        descriptor = os.open(f"{database}-trouble", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return bool(os.read(descriptor, 1000).strip())
    finally:
        os.close(descriptor)


def _is_supervised(lock: str, race_id: str) -> bool:
    import fcntl

    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 1000).decode(errors="replace").strip() == race_id
    else:
        return False
    finally:
        os.close(descriptor)
