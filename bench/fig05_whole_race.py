"""Figure 5: a trivial race of four branches, from the command to the report, and to the end of the command.

The report is there before its figures are drawn. Peer: the same four as DVC experiments, queued beforehand, from
`dvc queue start -j 4` until all are recorded; it draws nothing.
"""

from __future__ import annotations

import glob
import json
import subprocess
import time
from pathlib import Path

import peers
from lab import Lab, console, lab
from marks import wait_for
from measure import Options, interleave, options, ratio_row, skipped, tell

WHAT = "a trivial race of four branches, start to report"
WHOLE = "a trivial race of four branches, start to the end of the command, its pictures drawn"
WORKERS = 4
LIMIT = 1 / 20
RACE = "check_every = 1\nmax_epochs = 1"
PIPELINE = "stages:\n  train:\n    cmd: {python} script.py\n    params:\n    - params.json:\n    metrics:\n    - result.json:\n        cache: false\n"


class Races:
    """The same race again and again; each tells two times."""

    def __init__(self) -> None:
        self.whole: list[float] = []

    def to_the_report(self) -> float:
        """Seconds to the report; those to the end of the command are kept."""
        with lab("trivial.py", WORKERS, race=RACE) as found:
            begun = time.monotonic()
            running = subprocess.Popen(
                [*console(), "run"], cwd=found.root, env=found.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            reports = f"{found.root}/.wtrace/races/*/results/SUCCESS_REPORT.md"
            wait_for(lambda: glob.glob(reports), "the report", 60)  # noqa: PTH207 (looked for all the time)
            took = time.monotonic() - begun
            if running.wait(timeout=60):
                raise RuntimeError("the race failed")
            self.whole.append(time.monotonic() - begun)
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
    races = Races()
    try:
        python = dvc_python(given)
    except peers.UnavailableError as why:
        alone = races.to_the_report()
        note = f"{why}; wtrace alone took {alone:.2f} s"
        tell([skipped("5", WHAT, LIMIT, "×", note), skipped("5", WHOLE, LIMIT, "×", str(why))])
        return
    sides = {"wtrace": races.to_the_report, "DVC": lambda: with_dvc(python)}
    measured = interleave(sides, rounds=4, seconds=given.seconds)
    peer = f"over DVC {peers.version(python, 'dvc')}"
    rows = ((WHAT, measured), (WHOLE, {**measured, "wtrace": races.whole}))
    tell(
        [
            ratio_row("5", f"{what}, {peer}", each, ours="wtrace", other="DVC", limit=LIMIT, unit="s")
            for what, each in rows
        ]
    )


if __name__ == "__main__":
    main()
