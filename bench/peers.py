"""Other tools, installed by the benchmarks into `bench/.env`, never into the system or into wtrace's own environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ENV = Path(__file__).parent / ".env"
RAY = "ray[tune]==2.60.0"
DVC = "dvc==3.67.1"


class UnavailableError(Exception):
    """Why a peer cannot be had, in a few words."""


def gnu_parallel() -> list[str]:
    """The command of GNU parallel: the installed one, or Debian's package unpacked here."""
    program = ENV / "parallel" / "usr" / "bin" / "parallel"
    if not program.exists():
        if installed := shutil.which("parallel"):
            return [installed, "--will-cite"]
        _unpack("parallel", ENV / "parallel")
    return ["perl", str(program), "--will-cite"]


def python_with(name: str, requirement: str) -> Path:
    """The Python of an environment of its own that holds this package."""
    folder = ENV / name
    done = folder / f".has-{requirement}".replace("/", "_")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        _run([*pip, requirement])
        done.touch()
    return folder / "bin" / "python"


def version(python: Path, package: str) -> str:
    words = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", words], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def _unpack(package: str, into: Path) -> None:
    """Fetch a Debian package and unpack it into a folder; nothing is installed."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UnavailableError(f"{package} is not installed, and there is no apt-get to fetch it with")
    with tempfile.TemporaryDirectory() as folder:
        _run(["apt-get", "download", package], cwd=folder)
        (package_file,) = Path(folder).glob("*.deb")
        into.mkdir(parents=True, exist_ok=True)
        _run(["dpkg-deb", "--extract", str(package_file), str(into)])


def _run(command: list[str], cwd: str | None = None) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UnavailableError(f"{' '.join(command[:4])} failed: {last[:200]}")
