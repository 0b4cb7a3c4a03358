"""Is the forecast right as often as it says, and whom would `[stop] hopeless_below` have ended?

    python bench/forecast_calibration.py            writes the tables of docs/explanation/forecast.md
    python bench/forecast_calibration.py --smoke    prints them; writes nothing

The recorded curves of bench/curves (bench/record_curves.py made them) are played check by check. At each check before
a worker's first success the forecast and the chance are asked for, and held against what came later.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pages import write

from wtrace.config import schedule
from wtrace.config.language.criteria import parse_criterion
from wtrace.judging import forecast
from wtrace.judging.checks import CheckSummary, CriterionInfo
from wtrace.judging.early_stop import chance, may_be_told
from wtrace.judging.evaluation import COMPARE
from wtrace.judging.referee import applied_threshold, criterion_info

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "forecast.md"
HARDER = {
    "attention_ratio": "mean(persistent) / mean(transient) >= 2.0",
    "val_accuracy": "mean(accuracy) >= 0.90",
    "consistency": "fraction(persistent / transient > 1.3) >= 0.90",
}
"""The success of the race comes early in a training. Under these criteria it comes late, if at all."""
SETS: tuple[tuple[str, Mapping[str, str], int], ...] = (
    ("as raced", {}, 1),
    ("as raced", {}, 2),
    ("harder", HARDER, 1),
    ("harder", HARDER, 2),
)
"""Which criteria, what they change, and the epochs between two checks."""
LEVELS: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "attention_ratio": ("mean(persistent) / mean(transient)", (1.2, 1.35, 1.5, 1.75, 2.0, 2.5)),
    "val_accuracy": ("mean(accuracy)", (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
    "consistency": ("fraction(persistent / transient > 1.3)", (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)),
}
"""Criteria that are a race's only one, one at a time: many arrivals, early and late."""
CONTENDERS = 4  # workers that may win, of which the p threshold's correction knows
LIMITS = (0.01, 0.02, 0.05, 0.1, 0.2)
BINS = (0.0, 0.02, 0.05, 0.2, 0.5, 0.8, 1.0)


@dataclass(frozen=True)
class Curve:
    """One training, checked every so many epochs."""

    name: str
    every: int
    max_epochs: int
    criteria: tuple[CriterionInfo, ...]
    points: tuple[CheckSummary, ...]

    @property
    def success(self) -> int | None:
        """The index of the first check that meets every criterion."""
        return next((i for i, point in enumerate(self.points) if all(point.met)), None)

    def asked(self) -> Iterator[int]:
        """How many checks there have been, at every moment before the first success and the last check."""
        end = len(self.points) if self.success is None else self.success + 1
        yield from range(1, end)


def curves(changed: Mapping[str, str], every: int) -> list[Curve]:
    """All recorded trainings. One minute an epoch: the forecast of the pace is not what is tested here."""
    return [
        curve_of(name, recorded, race | {"criteria": {**race["criteria"], **changed}}, every)
        for race in recorded_races()
        for name, recorded in race["workers"].items()
    ]


def alone(every: int) -> list[Curve]:
    """All recorded trainings as if one criterion were the goal, one at a time and at several thresholds."""
    found = []
    for name, (expression, thresholds) in LEVELS.items():
        for threshold in thresholds:
            for race in recorded_races():
                place = list(race["criteria"]).index(name)
                goal = race | {"criteria": {name: f"{expression} >= {threshold}"}}
                for worker, recorded in race["workers"].items():
                    values = {**recorded, "values": [[each[place]] for each in recorded["values"]]}
                    found.append(curve_of(worker, values, goal, every))
    return found


def recorded_races() -> Iterator[dict[str, Any]]:
    """What bench/record_curves.py wrote."""
    for file in sorted((HERE / "curves").glob("*.json")):
        yield json.loads(file.read_text())


def curve_of(name: str, recorded: dict[str, Any], race: dict[str, Any], every: int) -> Curve:
    """One training's checks, judged as a race with so many epochs between two checks judges them."""
    criteria = [parse_criterion(key, text) for key, text in race["criteria"].items()]
    divisor = CONTENDERS * schedule.count_planned(every, race["max_epochs"])
    applied = [applied_threshold(each, divisor) for each in criteria]
    points = []
    for epoch, values in zip(recorded["epoch"], recorded["values"], strict=True):
        if schedule.is_planned(epoch, every, race["max_epochs"]):
            met = tuple(
                value is not None and bool(COMPARE[each.op](value, threshold))
                for each, value, threshold in zip(criteria, values, applied, strict=True)
            )
            points.append(CheckSummary(epoch, 60.0 * epoch, tuple(values), met))
    infos = tuple(criterion_info(each, threshold) for each, threshold in zip(criteria, applied, strict=True))
    return Curve(name, every, race["max_epochs"], infos, tuple(points))


@dataclass
class Tally:
    """What became of the forecasts. An interval is open where its slow end lies beyond the last epoch."""

    within: int = 0
    before: int = 0
    after: int = 0
    never: int = 0
    never_open: int = 0
    off_trend: int = 0
    off_trend_came: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def cells(self) -> list[str]:
        """A line of the table. An open interval covers what never came before the last epoch."""
        told = self.within + self.before + self.after + self.never
        covered = f"{(self.within + self.never_open) / told:.0%}".replace("%", " %") if told else "—"
        counts = (told, self.within, self.before, self.after, self.never_open, self.never - self.never_open)
        return [*map(str, counts), covered, str(self.off_trend), str(self.off_trend_came)]

    def add(self, told: forecast.Estimate, after_s: float | None) -> None:
        """One forecast, and when success came, if it did."""
        if told.reason == forecast.NOT_ON_THIS_TREND:
            self.off_trend += 1
            self.off_trend_came += after_s is not None
        if told.seconds is None or told.low_s is None:
            return
        if after_s is None:
            self.never += 1
            self.never_open += told.high_s is None
        elif after_s < told.low_s:
            self.before += 1
        elif told.high_s is not None and after_s > told.high_s:
            self.after += 1
        else:
            self.within += 1


def interval_table() -> str:
    """How often success came within the interval of the forecast, and what became of "not on this trend".

    Every second curve was looked at when the forecast was made; the others were held back.
    """
    titles = (
        "criteria", "check every", "curves", "times told", "within", "before", "after", "never, and open",
        "never, and not open", "covered", "“not on this trend” told", "success all the same",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", f"| --- |{' ---: |' * (len(titles) - 1)}"]
    sets = [(title, every, curves(changed, every)) for title, changed, every in SETS]
    sets += [("one alone", every, alone(every)) for every in (1, 2)]
    for half, kind in enumerate(("seen", "held back")):
        tallies = [(title, f"{every}", tally(each[half::2])) for title, every, each in sets]
        total = sum((each for _, _, each in tallies), Tally())
        for title, every, found in [*tallies, ("all", "", total)]:
            lines.append(f"| {title} | {every} | {kind} | {' | '.join(found.cells())} |")
    return "\n".join(lines)


def tally(some: Sequence[Curve]) -> Tally:
    """What became of all forecasts of these trainings."""
    found = Tally()
    for curve in some:
        for seen in curve.asked():
            now = curve.points[seen - 1].at
            came = None if curve.success is None else curve.points[curve.success].at - now
            told = forecast.estimate(
                curve.points[:seen],
                curve.criteria,
                check_every=curve.every,
                max_epochs=curve.max_epochs,
                now=now,
            )
            found.add(told, came)
    return found


def share(part: int, whole: int) -> str:
    """`12 (80 %)`."""
    return f"{part} ({part / whole:.0%})".replace("%", " %") if whole else "0"


@dataclass(frozen=True)
class Told:
    """A chance that was told, and whether success came."""

    chance: float
    came: bool


def chances(changed: Mapping[str, str], every: int) -> Iterator[Told]:
    """Every chance, also before a worker may be ended by it."""
    for curve in curves(changed, every):
        for seen in curve.asked():
            found = chance_at(curve, seen)
            if found is not None:
                yield Told(found, curve.success is not None)


def chance_at(curve: Curve, seen: int) -> float | None:
    """The chance after so many checks, where the race asks for it."""
    if not may_be_told(seen, len(curve.points)):
        return None
    return chance(curve.points[:seen], curve.criteria, check_every=curve.every, max_epochs=curve.max_epochs)


def reliability_table() -> str:
    """Chances told, by size, and how often success came."""
    told = [each for _, changed, every in SETS for each in chances(changed, every)]
    lines = ["| chance told | how often | their mean | success came |", "| --- | ---: | ---: | ---: |"]
    for low, high in pairwise(BINS):
        some = [each for each in told if low <= each.chance < high or each.chance == high == 1.0]
        mean = f"{statistics.mean(each.chance for each in some):.3f}" if some else "—"
        lines.append(
            f"| {low:g} to {high:g} | {len(some)} | {mean} | {share(sum(e.came for e in some), len(some))} |"
        )
    return "\n".join([*lines, "", scores(told)])


def scores(told: Sequence[Told]) -> str:
    """The Brier score, beside that of always saying how often success came."""
    base = statistics.mean(each.came for each in told)
    brier = statistics.mean((each.chance - each.came) ** 2 for each in told)
    return (
        f"Brier score {brier:.3f}; {base * (1 - base):.3f} for always saying {base:.2f}, the share of these checks that "
        "were followed by success. 0 is best."
    )


def ended_table() -> str:
    """Whom each limit would have ended."""
    titles = (
        "`hopeless_below`",
        "criteria",
        "check every",
        "ended, that never succeed",
        "ended, that would have",
        "epochs saved",
    )
    lines = [f"| {' | '.join(titles)} |", f"|{' ---: |' * len(titles)}"]
    for limit in LIMITS:
        for title, changed, every in SETS:
            rows = [(curve, ended_at(curve, limit)) for curve in curves(changed, every)]
            losers = [at for curve, at in rows if curve.success is None]
            winners = [at for curve, at in rows if curve.success is not None]
            saved = sum(curve.max_epochs - at for curve, at in rows if at is not None)
            ended, wrongly = (sum(at is not None for at in each) for each in (losers, winners))
            lines.append(
                f"| {limit:g} | {title} | {every} | {ended} of {len(losers)} | {wrongly} of {len(winners)} | "
                f"{share(saved, sum(curve.max_epochs for curve, _ in rows))} |"
            )
    return "\n".join(lines)


def ended_at(curve: Curve, limit: float) -> int | None:
    """The epoch at which the limit would have ended the training."""
    for seen in curve.asked():
        found = chance_at(curve, seen)
        if found is not None and found < limit and may_be_told(seen, len(curve.points)):
            return curve.points[seen - 1].epoch
    return None


# -- trainings that take off late ----------------------------------------------------------------------------------

S_RACES = 1500
S_GOAL = CriterionInfo("score", "score >= 1.5", ">=", 1.5, 1.5)


def s_shaped(rng: random.Random, every: int, max_epochs: int, noise: float) -> Curve:
    """Flat at first, then a logistic rise of 0.7 to 1.5 from 1: its middle at 30 to 100 % of the epochs."""
    middle, width = rng.uniform(0.3, 1.0) * max_epochs, rng.uniform(0.02, 0.08) * max_epochs
    rise, drift = rng.uniform(0.7, 1.5), rng.uniform(-0.02, 0.02)
    points = []
    for epoch in range(every, max_epochs + 1, every):
        value = 1 + rise / (1 + math.exp((middle - epoch) / width)) + drift * epoch / max_epochs
        value += rng.gauss(0, noise)
        points.append(CheckSummary(epoch, 60.0 * epoch, (value,), (value >= S_GOAL.applied,)))
    return Curve("s", every, max_epochs, (S_GOAL,), tuple(points))


def s_shaped_table(count: int) -> str:
    """Of S-shaped trainings that would have come, how many each limit ends."""
    lines = [
        f"| planned checks | noise of a check | {' | '.join(f'ended at {limit:g}' for limit in LIMITS)} |",
        f"| ---: | ---: |{' ---: |' * len(LIMITS)}",
    ]
    for every, max_epochs in ((5, 50), (5, 100)):
        for noise in (0.01, 0.02, 0.05):
            rng = random.Random(1)
            made = (s_shaped(rng, every, max_epochs, noise) for _ in range(count))
            least = [least_chance(curve) for curve in made if curve.success is not None]
            cells = [
                f"{sum(chance < limit for chance in least) / len(least):.0%}".replace("%", " %")
                for limit in LIMITS
            ]
            lines.append(f"| {max_epochs // every} | {noise:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def least_chance(curve: Curve) -> float:
    """The least chance that was told before success came."""
    found = [chance_at(curve, seen) for seen in curve.asked()]
    return min((each for each in found if each is not None), default=1.0)


def main() -> None:
    """Play the curves, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    tables = {
        "intervals": interval_table(),
        "chances": reliability_table(),
        "ended": ended_table(),
        "s-shaped": s_shaped_table(50 if smoke else S_RACES),
    }
    for text in tables.values():
        print(text, end="\n\n")
    if not smoke:
        write(PAGE, tables)


if __name__ == "__main__":
    main()
