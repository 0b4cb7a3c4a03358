"""Figure 5: a trivial race of four branches, from the command to the report.

Peer: the same four as DVC experiments, queued beforehand, from `dvc queue start -j 4` until all are recorded.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import peers
from lab import Lab, console, lab
from marks import wait_for
from measure import Options, interleave, options, ratio_row, skipped, summary, tell

WHAT = "a trivial race of four branches, start to report"
WORKERS = 4
LIMIT = 1 / 20
RACE = "check_every = 1\nmax_epochs = 1"
PIPELINE = "stages:\n  train:\n    cmd: {python} script.py\n    params:\n    - params.json:\n    metrics:\n    - result.json:\n        cache: false\n"


def with_wtrace() -> float:
    with lab("trivial.py", WORKERS, race=RACE) as found:
        begun = time.monotonic()
        subprocess.run(
            [*console(), "run"], cwd=found.root, env=found.env, check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        took = time.monotonic() - begun
        if not list(found.root.glob(".wtrace/races/*/results/SUCCESS_REPORT.md")):
            raise RuntimeError("there is no report")
    return took


def queued(found: Lab, python: Path, env: dict[str, str]) -> None:
    """A DVC project with four experiments in its queue."""

    def dvc(*words: str) -> None:
        subprocess.run(
            [python, "-m", "dvc", *words], cwd=found.root, env=env, check=True, capture_output=True
        )

    (found.root / "params.json").write_text(json.dumps({"number": 0}))
    (found.root / "dvc.yaml").write_text(PIPELINE.format(python=python))
    dvc("init", "--quiet")
    found.git("add", ".")
    found.git("commit", "--quiet", "-m", "pipeline")
    numbers = ",".join(map(str, range(WORKERS)))
    dvc("exp", "run", "--queue", "--quiet", "--set-param", f"params.json:number={numbers}")


def recorded(found: Lab) -> int:
    """How many experiments DVC has finished and recorded."""
    refs = found.git("for-each-ref", "--format=%(refname)", "refs/exps/").split()
    return sum("/celery/" not in ref for ref in refs)


def with_dvc(python: Path) -> float:
    with lab("trivial.py", WORKERS) as found:
        kept = {name: value for name, value in found.env.items() if name != "PYTHONPATH"}
        env = {**kept, "DVC_NO_ANALYTICS": "1", "PATH": f"{python.parent}:{kept['PATH']}"}
        queued(found, python, env)
        begun = time.monotonic()
        subprocess.run(
            [python, "-m", "dvc", "queue", "start", "-j", str(WORKERS)],
            cwd=found.root, env=env, check=True, capture_output=True,
        )  # fmt: skip
        wait_for(lambda: recorded(found) == WORKERS, "DVC to record its experiments", 120)
        took = time.monotonic() - begun
        subprocess.run([python, "-m", "dvc", "queue", "stop", "--kill"], cwd=found.root, env=env, check=False, capture_output=True)  # fmt: skip
    return took


def dvc_python(given: Options) -> Path:
    if given.smoke:
        raise peers.UnavailableError("not in a smoke run")
    return peers.python_with("dvc", peers.DVC)


def main() -> None:
    given = options(__doc__)
    try:
        python = dvc_python(given)
    except peers.UnavailableError as why:
        alone = summary([with_wtrace()])
        tell([skipped("5", WHAT, LIMIT, "×", f"{why}; wtrace alone took {alone.median:.2f} s")])
        return
    sides = {"wtrace": with_wtrace, "DVC": lambda: with_dvc(python)}
    measured = interleave(sides, rounds=4, seconds=given.seconds)
    what = f"{WHAT}, over DVC {peers.version(python, 'dvc')}"
    tell([ratio_row("5", what, measured, ours="wtrace", other="DVC", limit=LIMIT, unit="s")])


if __name__ == "__main__":
    main()
