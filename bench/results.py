"""The shipped race in its quick form, measured: every approach, with several seeds, trained to its last epoch.

    python bench/results.py race FOLDER --seeds 0 1 2 3 4    races in a scratch repo in FOLDER (minutes each)
    python bench/results.py test FOLDER                      then, once: the test clips
    python bench/results.py tables FOLDER                    the tables of docs/results.md

A race is `wtrace.quick.toml` with another seed for every training, with `stop_at_first = false`, and with two more
controls: the hybrid, and frozen features of a ResNet-18 that nobody has trained. Judged on the test clips are, of each
approach, the check that passed first, and the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wtrace.judging.statistics import aggregates, paired

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workers"))
from persistence.backbone import import_torchvision_models  # noqa: E402

MARGIN, RATIO, ACCURACY, P, CONSISTENCY = 1.3, 1.5, 0.75, 0.01, 0.70  # as wtrace.quick.toml has them
APPROACHES = ("attention-supervised", "pretrained-features", "contrastive", "multi-task")
CONTROLS = ("baseline", "random-features", "hybrid")
PLANNED_CHECKS = len(APPROACHES) * 6  # the p threshold of a check is divided by this, of a confirmation by 4


@dataclass(frozen=True)
class Check:
    """What one check comes to."""

    epoch: int
    ratio: float
    accuracy: float
    consistency: float
    p: float  # signed-rank, H0: a typical clip's ratio is at most MARGIN
    d: float  # Cohen's d_z of persistent - transient

    @classmethod
    def of(cls, record: dict[str, Any]) -> Check:
        """From a check record."""
        samples = {name: np.array(values, dtype=float) for name, values in record["samples"].items()}
        a, b = samples["persistent"], samples["transient"]
        return cls(
            epoch=record["epoch"],
            ratio=float(a.mean() / b.mean()),
            accuracy=float(samples["accuracy"].mean()),
            consistency=float((a / b > MARGIN).mean()),
            p=paired.signed_rank_p(paired.differences(a, b, MARGIN)),
            d=float(aggregates.cohens_d_paired(a, b)),
        )

    def passes(self, looks: int) -> bool:
        """Whether all criteria hold, the p value corrected for this many looks."""
        return (
            self.ratio >= RATIO
            and self.accuracy >= ACCURACY
            and self.consistency >= CONSISTENCY
            and self.p < P / looks
        )


# -- racing -------------------------------------------------------------------------------------------------------


def race(folder: Path, seeds: list[int]) -> None:
    """One race after the other."""
    repo = make_repo(folder)
    for seed in seeds:
        config = repo / f"seed{seed}.toml"
        config.write_text(config_of(seed, random_weights(folder)))
        run(["-m", "wtrace", "run", "--config", config.name, "--trust"], repo, folder)
        kept = folder / f"seed{seed}"
        shutil.copytree((repo / ".wtrace" / "latest").resolve(), kept, symlinks=False, dirs_exist_ok=True)
        (kept / "status.json").write_text(run(["-m", "wtrace", "status", "--json"], repo, folder))


def make_repo(folder: Path) -> Path:
    """A repo that holds the trainings as they are in this working tree."""
    repo = folder / "repo"
    if repo.exists():
        return repo
    shutil.copytree(ROOT / "workers", repo / "workers", ignore=shutil.ignore_patterns("__pycache__"))
    for command in (["init", "--quiet"], ["add", "."], [*AUTHOR, "commit", "--quiet", "-m", "The trainings"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    return repo


AUTHOR = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]


def config_of(seed: int, weights: Path) -> str:
    """The quick race's config for this seed, everybody to run to the end, with two more controls."""
    config = (ROOT / "wtrace.quick.toml").read_text()
    config = config.replace("[judge]\n", "[judge]\nstop_at_first = false\n")
    config += '\n[keep]\ncheckpoints = "all"\n'  # they are judged on the test clips afterwards
    config = config.replace('"--quick"', f'"--quick", "--seed", "{seed}"')
    config = config.replace("max_parallel = 5", f"max_parallel = {len(APPROACHES) + len(CONTROLS)}")
    (pretrained,) = re.findall(r'\ncommand = (.*"--weights".*)\n', config)
    pretrained = pretrained.replace("train.py", "train_pretrained.py")
    from_file = pretrained.replace('"self-supervised"', f'"{weights}", "--crop-px", "16"')
    hybrid = pretrained.replace("train_pretrained.py", "train_hybrid.py")
    for name, command in (("random-features", from_file), ("hybrid", hybrid)):
        config += (
            f'\n[workers.{name}]\nbranch = "early-persistence/{name}"\ncommand = {command}\ncontrol = true\n'
        )
    return config


def random_weights(folder: Path) -> Path:
    """A ResNet-18 as it is before any training."""
    path = folder / "random-resnet18.pt"
    if not path.exists():
        torch.manual_seed(0)
        torch.save(import_torchvision_models().resnet18(weights=None).state_dict(), path)
    return path


def test(folder: Path) -> None:
    """Judge on the test clips, for each seed and approach, the check that passed first, and the last one."""
    for worker in (seed / name for seed in seeds_in(folder) for name in all_names()):
        result = worker / "test.jsonl"
        result.unlink(missing_ok=True)
        checks = checks_of(worker / "metrics.jsonl")
        for epoch in sorted({shown(checks).epoch, checks[-1].epoch}):
            checkpoint = worker / "output" / "checkpoints" / f"epoch_{epoch:03d}.pt"
            command = ["workers/evaluate.py", "--checkpoint", str(checkpoint)]
            run(command, folder / "repo", folder, WTRACE_METRICS=str(result))


def run(arguments: list[str], repo: Path, folder: Path, **env: str) -> str:
    """Run this Python with a cache, home and settings of the folder's own; what it printed."""
    own = {"HOME": folder, "XDG_CACHE_HOME": folder / "cache", "XDG_CONFIG_HOME": folder / "config"}
    own |= {"XDG_DATA_HOME": folder / "data", "XDG_STATE_HOME": folder / "state"}
    environment = {**os.environ, **{name: str(path) for name, path in own.items()}, **env}
    command = [sys.executable, *arguments]
    print(f"{folder.name}: {' '.join(arguments)}", file=sys.stderr, flush=True)
    ended = subprocess.run(command, cwd=repo, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, 1):  # 1: a race without a winner
        raise SystemExit(f"{command} ended with {ended.returncode}")
    return ended.stdout


# -- telling ------------------------------------------------------------------------------------------------------


def checks_of(path: Path) -> list[Check]:
    """The checks of a metrics file, the one before the training left out."""
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [Check.of(record) for record in records if record["event"] == "check" and record["epoch"] > 0]


def shown(checks: list[Check]) -> Check:
    """The first check that passes, else the last one."""
    return next((check for check in checks if check.passes(PLANNED_CHECKS)), checks[-1])


def tables(folder: Path) -> None:
    """Print what the races came to."""
    seeds = seeds_in(folder)
    print(f"{len(seeds)} seeds; median (least to most)\n")
    validation = {name: [checks_of(seed / name / "metrics.jsonl") for seed in seeds] for name in all_names()}
    held_out = {name: [checks_of(seed / name / "test.jsonl") for seed in seeds] for name in all_names()}
    print("| approach | passes on validation | first at epoch | of these, pass on test |")
    print("| --- | --- | --- | --- |")
    for name in all_names():
        print(passing_row(name, validation[name], held_out[name]))
    for title, runs, at in (
        ("validation, first passing check or last", validation, shown),
        ("validation, last epoch", validation, last),
        ("test, first passing check or last", held_out, first),
        ("test, last epoch", held_out, last),
    ):
        print(f"\n| {title} | ratio | accuracy | consistency | largest p | Cohen's d |")
        print("| --- | --- | --- | --- | --- | --- |")
        for name, found in runs.items():
            print(figures_row(name, [at(checks) for checks in found]))


def first(checks: list[Check]) -> Check:
    """The earliest check."""
    return checks[0]


def last(checks: list[Check]) -> Check:
    """The latest check."""
    return checks[-1]


def seeds_in(folder: Path) -> list[Path]:
    """The races that were run to the end."""
    return sorted(path.parent for path in folder.glob("seed*/status.json"))


def all_names() -> tuple[str, ...]:
    """The approaches, then the controls."""
    return (*APPROACHES, *CONTROLS)


def passing_row(name: str, validation: list[list[Check]], held_out: list[list[Check]]) -> str:
    """How often an approach passes, when first, and how many of these checks pass on the test clips as well."""
    found = [shown(checks) for checks in validation]
    passed = [check.passes(PLANNED_CHECKS) for check in found]
    epochs = ", ".join(str(check.epoch) if ok else "never" for check, ok in zip(found, passed, strict=True))
    confirmed = sum(
        ok and first(checks).passes(len(APPROACHES)) for ok, checks in zip(passed, held_out, strict=True)
    )
    return f"| {name} | {sum(passed)} of {len(passed)} | {epochs} | {confirmed} |"


def figures_row(name: str, checks: list[Check]) -> str:
    """The middle and the range of each figure over the seeds."""
    cells = [spread([getattr(check, field) for check in checks], digits) for field, digits in FIGURES]
    return f"| {name} | {' | '.join(cells[:3])} | {max(check.p for check in checks):.1g} | {cells[3]} |"


FIGURES = (("ratio", 2), ("accuracy", 3), ("consistency", 2), ("d", 2))


def spread(values: list[float], digits: int) -> str:
    """Median (least to most)."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def main() -> None:
    """Race, or tell of races."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("race", "test", "tables"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    folder = args.folder.resolve()
    if args.what == "race":
        race(folder, args.seeds)
    elif args.what == "test":
        test(folder)
    else:
        tables(folder)


if __name__ == "__main__":
    main()
