"""What is sent to a Ray node for one attempt: the commit, clean; what the worker goes on from; its keeper."""

from __future__ import annotations

import json
import secrets
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from wtrace.errors import ToolError
from wtrace.text import size

if TYPE_CHECKING:
    from wtrace.runners.base import Launch, Parcel

HERE = Path(__file__).parent
WTRACE = HERE.parent.parent
LOCAL_RUNNER = (
    "__init__.py",
    "base.py",
    "exits.py",
    "local.py",
    "open_files.py",
    "processes.py",
    "attempt_folder.py",
)
OF_WTRACE = (
    "__init__.py",
    "errors.py",
    "files.py",
    "data.py",
    "race/open_file.py",
    "metrics/__init__.py",
    "metrics/reporter.py",
)


def pack(launch: Launch, file: Path, python: str | None) -> None:
    """Write the parcel as a zip archive. ToolError where it is more than Ray takes, or a part cannot be read."""
    parcel = launch.parcel
    assert parcel is not None
    try:
        with tempfile.TemporaryDirectory(prefix="wtrace-parcel-", dir=file.parent) as name:
            folder = Path(name)
            parcel.export(folder / "tree.tar")
            if parcel.mirrors:
                _archive(
                    folder / "output.tar", [(path, path.name) for path in sorted(parcel.output.iterdir())]
                )
            _archive(
                folder / "files.tar", [(path, f"{i}-{path.name}") for i, path in enumerate(parcel.files)]
            )
            _check_size(folder, parcel)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for path in sorted(folder.iterdir()):
                    archive.write(path, path.name)
                _add_keeper(archive)
                archive.writestr("launch.json", _launch(launch, parcel, python))
    except OSError as error:
        raise ToolError("what Ray is to be sent cannot be packed", seen=str(error)) from error


def _archive(file: Path, entries: list[tuple[Path, str]]) -> None:
    if entries:
        with tarfile.open(file, "w") as archive:
            for path, name in entries:
                archive.add(path, name)


def _add_keeper(archive: zipfile.ZipFile) -> None:
    """The entry and, in a folder of its own, the keeper with as much of wtrace as it and a worker's Reporter need."""
    archive.write(HERE / "ray_entry.py", "ray_entry.py")
    archive.write(HERE / "ray_keeper.py", "lib/ray_keeper.py")
    shims = sorted(f"shim/{path.name}" for path in WTRACE.glob("runners/shim/*.py"))
    for name in [*OF_WTRACE, *(f"runners/{name}" for name in (*LOCAL_RUNNER, *shims))]:
        archive.write(WTRACE / name, f"lib/wtrace/{name}")


def _launch(launch: Launch, parcel: Parcel, python: str | None) -> str:
    """The launch in terms of this machine, and where each of its places is on the node."""
    places = [(str(path), f"files/{i}-{path.name}") for i, path in enumerate(parcel.files)]
    places += [
        (str(launch.folder), "attempt"),
        (str(parcel.output), "output"),
        (str(parcel.worktree), "tree"),
    ]
    pythons = [sys.executable, str(parcel.worktree / ".venv" / "bin" / "python")]
    content = {
        "command": launch.command,
        "cwd": str(launch.cwd),
        "env": dict(parcel.env),
        "grace_s": launch.grace_s,
        "signal": launch.signal,
        "marker": launch.marker or secrets.token_hex(16),
        "places": places,
        "python": python,
        "pythons": pythons,
        "mirrors": parcel.mirrors,
    }
    return json.dumps(content)


def _check_size(folder: Path, parcel: Parcel) -> None:
    """Compressed it may be smaller, but what is large in a training is seldom text."""
    most = most_bytes()
    sizes = {path.stem: path.stat().st_size for path in folder.iterdir()}
    if sum(sizes.values()) < most:
        return
    names = {"tree": "the commit", "output": "the output that it goes on from", "files": "the checkpoint"}
    parts = ", ".join(
        f"{names[stem]} {size(bytes_)}" for stem, bytes_ in sorted(sizes.items(), key=lambda e: -e[1])
    )
    large = ", ".join(f"{path} {size(bytes_)}" for path, bytes_ in parcel.largest())
    raise ToolError(
        f"more than the {size(most)} that Ray takes with a job: {parts}",
        seen=f"the largest files of the commit: {large}" if large else None,
        hint="put data where every node reaches them, and name that place in the command or `env`",
    )


def most_bytes() -> int:
    """Ray's limit on a working_dir, in bytes, as its own package says it."""
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    return int(GCS_STORAGE_MAX_SIZE)
