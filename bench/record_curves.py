"""The curves of the shipped race, recorded: what the forecast is tested against.

    python bench/record_curves.py FOLDER --seeds 0 1 2 3 4    races in a scratch repo in FOLDER (minutes each)
    python bench/record_curves.py FOLDER --seeds              only reads the races that were run there

As `bench/results.py race`, every approach is trained to its last epoch, here with a check after every epoch. Of each
check are kept its epoch, the seconds since the race began, the value of every criterion, and the shape of the clips' log
ratios: bench/curves/seedN.json, by the order of the races.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import results
from scipy import stats

from wtrace.judging.statistics import paired
from wtrace.race.paths import Layout
from wtrace.store.reader import Reader

CURVES = Path(__file__).parent / "curves"
DIGITS = 6


def record(folder: Path, seed: int) -> None:
    """Run the race of this seed."""
    repo = results.make_repo(folder)
    config = repo / f"seed{seed}.toml"
    config.write_text(results.config_of(seed, results.random_weights(folder)))
    results.run(
        ["-m", "wtrace", "run", "--config", config.name, "--check-every", "1", "--trust"], repo, folder
    )


def curves_of(reader: Reader, race: str) -> dict[str, Any]:
    """The curves of one race."""
    standing = reader.standing(race)
    assert standing is not None
    workers: dict[str, Any] = {
        worker.name: {"control": worker.control, "epoch": [], "at_s": [], "values": [], "log_ratio": []}
        for worker in standing.workers
    }
    for check in reader.checks(race):
        if check.judged:
            curve = workers[check.worker]
            curve["epoch"].append(check.epoch)
            curve["at_s"].append(round(check.at - standing.started, 1))
            curve["values"].append([rounded(result.value) for result in check.results])
            curve["log_ratio"].append(shape_of(json.loads(check.raw)["samples"]))
    criteria = {each.name: each.text for each in standing.criteria}
    return {"max_epochs": standing.workers[0].max_epochs, "criteria": criteria, "workers": workers}


def shape_of(samples: dict[str, list[float]]) -> list[float]:
    """Of the clips' log ratios: pseudomedian, standard deviation, skewness."""
    logs = np.log(np.divide(samples["persistent"], samples["transient"]))
    middle = math.log(paired.typical_ratio(logs, 1.0))
    return [round(float(each), 3) for each in (middle, logs.std(ddof=1), stats.skew(logs))]


def rounded(value: float | None) -> float | None:
    """To six significant digits."""
    return None if value is None else float(f"{value:.{DIGITS}g}")


def main() -> None:
    """Record one race after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    CURVES.mkdir(exist_ok=True)
    for seed in args.seeds:
        record(folder, seed)
    with Reader(Layout(folder / "repo").database) as reader:
        for seed, race in enumerate(reader.races()):
            (CURVES / f"seed{seed}.json").write_text(json.dumps(curves_of(reader, race.id)) + "\n")


if __name__ == "__main__":
    main()
