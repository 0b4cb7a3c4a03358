"""How often is a confidence bound beyond the truth, and why has a standard deviation none?

    python bench/bounds.py            some minutes; writes the tables of docs/explanation/statistics.md
    python bench/bounds.py --smoke    the smallest run; writes nothing

Samples are drawn from distributions whose truth is known, and wtrace itself judges `ci_low` and `ci_high` of them. For
the standard deviation, which the language refuses, the ways that were tried are computed here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pages import write
from scipy import stats

from wtrace.config.language.criteria import parse_criterion
from wtrace.judging import referee

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Draw = Callable[[np.random.Generator, int], Mapping[str, Rows]]

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "statistics.md"
ERRORS = (0.01, 0.01 / 40)
SETS = {20: 6000, 400: 2000}


@dataclass(frozen=True)
class Case:
    """Samples, an expression of them, and its true value."""

    title: str
    text: str
    truth: float
    draw: Draw


def lognormal(sigma: float, *columns: str) -> Draw:
    """Columns of log-normal values, their medians at 1."""
    return lambda rng, n: {name: np.exp(sigma * rng.standard_normal(n)) for name in columns}


def shares(**share: float) -> Draw:
    """Columns of 0 and 1."""
    return lambda rng, n: {name: (rng.random(n) < each).astype(float) for name, each in share.items()}


CASES = (
    Case("mean, normal", "mean(a)", 0.0, lambda rng, n: {"a": rng.standard_normal(n)}),
    Case("mean accuracy, beta(8, 2)", "mean(a)", 0.8, lambda rng, n: {"a": rng.beta(8, 2, n)}),
    Case("mean, log-normal (σ = 0.5)", "mean(a)", float(np.exp(0.125)), lognormal(0.5, "a")),
    Case("mean, log-normal (σ = 1)", "mean(a)", float(np.exp(0.5)), lognormal(1.0, "a")),
    Case("ratio of means, log-normal (σ = 0.3)", "mean(a) / mean(b)", 1.0, lognormal(0.3, "a", "b")),
    Case("ratio of means, log-normal (σ = 0.8)", "mean(a) / mean(b)", 1.0, lognormal(0.8, "a", "b")),
    Case("median, log-normal (σ = 0.8)", "median(a)", 1.0, lognormal(0.8, "a")),
    Case("share of 80 %", "mean(a)", 0.8, shares(a=0.8)),
    Case("share of 98 %", "mean(a)", 0.98, shares(a=0.98)),
    Case("difference of shares, 90 % − 80 %", "mean(a) - mean(b)", 0.1, shares(a=0.9, b=0.8)),
)


def beyond(setting: tuple[int, int, int]) -> list[float]:
    """Of so many sets of a case (by its number) with so many samples each: the shares of sets whose bound is beyond the truth.

    Low and high at the first error, then at the second.
    """
    number, n, count = setting
    case = CASES[number]
    texts = [
        f"{side}({case.text}, {error}) {op} 0"
        for error in ERRORS
        for side, op in (("ci_low", ">"), ("ci_high", "<"))
    ]
    criteria = [parse_criterion(text, text) for text in texts]
    rng = np.random.default_rng([3, number, n])
    found = np.zeros(len(criteria))
    for _ in range(count):
        columns = {name: rows.tolist() for name, rows in case.draw(rng, n).items()}
        for i, standing in enumerate(referee.judge(criteria, {}, columns, divisor=1)):
            if standing.value is not None:  # samples that do not vary have no bound, and meet nothing
                found[i] += standing.value > case.truth if standing.op == ">" else standing.value < case.truth
    return [float(each) for each in found / count]


def percent(share: float, error: float) -> str:
    """A share as a percentage, with the digits that its error has."""
    return f"{100 * share:.{1 if error == ERRORS[0] else 2}f}"


def bounds_table(pool: ProcessPoolExecutor, sets: Mapping[int, int]) -> str:
    """Every case at every number of samples."""
    settings = [(number, n, count) for number in range(len(CASES)) for n, count in sets.items()]
    lines = [
        "| values | samples | 1 %: low | high | 0.025 %: low | high |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (number, n, _), found in zip(settings, pool.map(beyond, settings), strict=True):
        cells = [percent(share, ERRORS[i // 2]) for i, share in enumerate(found)]
        lines.append(f"| {CASES[number].title} | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


# -- the standard deviation, and Cohen's d with it ------------------------------------------------------------------

DEVIATIONS: Mapping[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Rows], float]] = {
    "normal": (lambda rng, shape: rng.standard_normal(shape), 1.0),
    "Laplace": (lambda rng, shape: rng.laplace(size=shape), 2**0.5),
    "log-normal (σ = 0.5)": (
        lambda rng, shape: np.exp(0.5 * rng.standard_normal(shape)),
        float(np.exp(0.125) * np.sqrt(np.exp(0.25) - 1)),
    ),
}


def by_chi_square(x: Rows, error: float) -> tuple[Rows, Rows]:
    """The bounds of the standard deviation of normal values."""
    n, spread = x.shape[1], x.std(axis=1, ddof=1)
    return (
        spread * np.sqrt((n - 1) / stats.chi2.isf(error, n - 1)),
        spread * np.sqrt((n - 1) / stats.chi2.ppf(error, n - 1)),
    )


def by_bonett(x: Rows, error: float) -> tuple[Rows, Rows]:
    """Bonett (2006), Computational Statistics & Data Analysis 50:775: the logarithm, with the kurtosis about a trimmed mean."""
    n, variance = x.shape[1], x.var(axis=1, ddof=1)
    centre = np.asarray(stats.trim_mean(x, 1 / (2 * np.sqrt(n - 4)), axis=1))[:, None]
    squares = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    kurtosis = n * ((x - centre) ** 4).sum(axis=1) / squares**2
    half = stats.norm.isf(error) * np.sqrt((kurtosis - (n - 3) / n) / (n - 1)) / 2
    scale = n / (n - stats.norm.isf(error))
    return np.sqrt(scale * variance) * np.exp(-half), np.sqrt(scale * variance) * np.exp(half)


def by_influence(x: Rows, error: float) -> tuple[Rows, Rows]:
    """What wtrace does for other expressions, on the logarithm: t standard errors, and more for skewness."""
    n, spread = x.shape[1], x.std(axis=1, ddof=1)
    squares = (x - x.mean(axis=1, keepdims=True)) ** 2
    influence = squares / squares.mean(axis=1, keepdims=True) / 2
    low, high = distances(influence, error, n)
    return spread * np.exp(-low), spread * np.exp(high)


def of_cohens_d(x: Rows, error: float) -> tuple[Rows, Rows]:
    """The same for mean / standard deviation."""
    n, mean, spread = x.shape[1], x.mean(axis=1, keepdims=True), x.std(axis=1, ddof=1, keepdims=True)
    z = (x - mean) / spread
    influence = z - mean / spread * (z**2 - 1) / 2
    low, high = distances(influence, error, n)
    d = (mean / spread)[:, 0]
    return d - low, d + high


def distances(influence: Rows, error: float, n: int) -> tuple[Rows, Rows]:
    """How far below and above the estimate the bounds lie."""
    t = stats.t.isf(error, n - 1)
    skewness = stats.skew(influence, axis=1) / np.sqrt(n) * (2 * t**2 + 1) / 6
    error_ = influence.std(axis=1, ddof=1) / np.sqrt(n)
    return (t + np.maximum(0, -skewness)) * error_, (t + np.maximum(0, skewness)) * error_


WAYS = {"normal theory": by_chi_square, "Bonett": by_bonett, "logarithm, t + c": by_influence}


def deviations_table(sets: Mapping[int, int]) -> str:
    """Low / high of every way at both errors."""
    lines = [
        "| values | samples | bound | 1 %: low | high | 0.025 %: low | high |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for title, (draw, truth) in DEVIATIONS.items():
        for n, count in sets.items():
            rng = np.random.default_rng([4, n])
            x = np.concatenate([draw(rng, (500, n)) for _ in range(max(1, 10 * count // 500))])
            for way, bounds in WAYS.items():
                lines.append(f"| {title} | {n} | std: {way} | {' | '.join(missed(x, bounds, truth))} |")
            d = (0.0 if title != "log-normal (σ = 0.5)" else float(np.exp(0.125))) / truth
            shifted = x if d else x + truth  # a true d of 1
            lines.append(
                f"| {title} | {n} | cohens_d | {' | '.join(missed(shifted, of_cohens_d, d or 1.0))} |"
            )
    return "\n".join(lines)


def missed(x: Rows, bounds: Callable[[Rows, float], tuple[Rows, Rows]], truth: float) -> list[str]:
    """How often each bound is beyond the truth."""
    cells = []
    for error in ERRORS:
        low, high = bounds(x, error)
        cells += [percent(float((low > truth).mean()), error), percent(float((high < truth).mean()), error)]
    return cells


def main() -> int:
    """Simulate, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    sets = dict.fromkeys(SETS, 50) if smoke else SETS
    with ProcessPoolExecutor() as pool:
        tables = {"bounds": bounds_table(pool, sets), "deviations": deviations_table(sets)}
    for text in tables.values():
        print(text, end="\n\n")
    if not smoke:
        write(PAGE, tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
