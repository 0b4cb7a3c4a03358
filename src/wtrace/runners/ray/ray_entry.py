"""What a Ray job runs: `python3 -I -S ray_entry.py JOB`, in the folder that Ray unpacked the parcel to.

It makes the attempt's home on the node, starts the keeper apart from Ray's process tree, and stays as the process that
Ray knows: a SIGTERM of Ray's is passed on, and if Ray kills this process the keeper notices and ends the worker. The
keeper is apart because Ray, when it stops a job, signals every process below the job's and kills them soon after.
Standard library only; any Python 3 that lies on the node's PATH may be the one.
"""
# pathlib is left out, and new syntax: an old Python may run this

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PREFIX = "job-driver-"
RAYS_LIBRARY = re.compile(r"(/\S*)/lib\d*/python[^/]*/site-packages/ray/")


def logs_folder() -> str:
    """The session's folder of logs, which this process's output goes to: what lies there can be read through Ray."""
    log = os.readlink("/proc/self/fd/1")
    if os.path.basename(log).startswith(PREFIX):
        return os.path.dirname(log)
    return os.path.join(os.environ.get("RAY_TMPDIR", "/tmp/ray"), "session_latest", "logs")  # noqa: S108


def rays_python() -> str:
    """The Python that runs Ray here: that of the nearest process above which has Ray's library loaded."""
    pid = os.getppid()
    while pid > 1:
        try:
            found = RAYS_LIBRARY.search(open(f"/proc/{pid}/maps").read())
            python = os.path.join(found.group(1), "bin", "python") if found else ""
            if os.access(python, os.X_OK):
                return python
            stat = open(f"/proc/{pid}/stat").read()
        except OSError:
            break
        pid = int(stat[stat.rindex(")") + 2 :].split()[1])
    return sys.executable


def make_home(job: str) -> tuple[str, dict[str, Any]]:
    """Unpack the parcel into a new folder of this attempt's own; returns it and the launch in terms of this node."""
    logs = logs_folder()
    home = os.path.join(os.path.dirname(logs), "wtrace", job)
    os.makedirs(home, mode=0o700)  # fails where the job ran before: nothing is started twice
    for name in ("attempt", "control", "tree", "output", "files"):
        os.mkdir(os.path.join(home, name), 0o700)
    wire = os.path.join(logs, "wtrace", job)
    os.makedirs(os.path.join(wire, "files"), mode=0o700)
    for name in ("tree", "output", "files"):
        archive = os.path.join(os.getcwd(), name + ".tar")
        if os.path.exists(archive):
            with tarfile.open(archive) as opened:
                safe = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
                opened.extractall(os.path.join(home, name), **safe)  # type: ignore[arg-type]  # noqa: S202
    shutil.copytree("lib", os.path.join(home, "lib"))  # Ray removes its copy when it likes
    launch = json.load(open("launch.json"))
    python = launch["python"] or rays_python()
    places = [(near, os.path.join(home, there)) for near, there in launch["places"]]
    far = Translation([*places, *[(near, python) for near in launch["pythons"]]])
    kept = {name: value for name, value in os.environ.items() if name != "RAY_JOB_CONFIG_JSON_ENV_VAR"}
    added = {name: far(value) for name, value in launch["env"].items()}
    launch.update(
        home=home,
        wire=wire,
        python=python,
        command=[far(part) for part in launch["command"]],
        cwd=far(launch["cwd"]),
        env={
            "COLUMNS": "500",
            **kept,
            "PYTHONUNBUFFERED": "1",
            **added,
        },  # as wide as on the machine that sent it
    )
    launch["env"]["PYTHONPATH"] = python_path(launch["env"].get("PYTHONPATH", ""), os.path.join(home, "lib"))
    return home, launch


def python_path(given: str, lib: str) -> str:
    """What was given less the parcel's folder, which Ray has put there, and with wtrace's Reporter at its end."""
    parts = [part for part in given.split(os.pathsep) if part and os.path.realpath(part) != os.getcwd()]
    return os.pathsep.join([*parts, lib])


class Translation:
    """Paths of the machine that sent the parcel, replaced by their places here wherever one stands."""

    def __init__(self, places: list[tuple[str, str]]) -> None:
        self.places = dict(places)
        longest = sorted(self.places, key=len, reverse=True)
        self.pattern = re.compile(f"({'|'.join(map(re.escape, longest))})(?![A-Za-z0-9_.-])")

    def __call__(self, text: str) -> str:
        """The text in terms of this machine."""
        return self.pattern.sub(lambda found: self.places[found.group(1)], text)


def start_keeper(home: str, launch: dict[str, Any]) -> tuple[int, int]:
    """Start the keeper where Ray does not look for it; returns the pipe to it and the one that closes with it."""
    with open(os.path.join(home, "keeper.json"), "w") as file:
        json.dump(launch, file)
    os.chmod(os.path.join(home, "keeper.json"), 0o600)
    hear, tell = os.pipe()
    wait, hold = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.close(tell)
        os.close(wait)
        for fd in (hear, hold):
            os.set_inheritable(fd, True)
        log = os.open(os.path.join(home, "keeper.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for fd in (1, 2):
            os.dup2(log, fd)
        keeper = os.path.join(home, "lib", "ray_keeper.py")
        os.execv(launch["python"], [launch["python"], "-I", "-S", keeper, home, str(hear), str(hold)])  # noqa: S606
    os.waitpid(middle, 0)
    os.close(hear)
    os.close(hold)
    return tell, wait


def main(job: str) -> int:
    """Keep Ray's side of the attempt until the keeper has ended."""
    home, launch = make_home(job)
    tell, wait = start_keeper(home, launch)
    signal.signal(signal.SIGTERM, lambda *_: os.write(tell, b"T"))
    print("wtrace: the worker's files are in " + home, flush=True)  # noqa: T201
    while os.read(wait, 1):  # nothing is ever written: it ends with the keeper
        pass
    if os.path.exists(os.path.join(home, "attempt", "exit.json")):
        return 0
    with open(os.path.join(home, "keeper.log"), errors="replace") as file:
        print(file.read()[-4000:] or "the keeper was killed", flush=True)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
