"""A line of a log taken apart: the numbers in it that have a name, and which of them is the epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wtrace.config import names
from wtrace.config.sources import EPOCH
from wtrace.metrics.foreign import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_METRICS = 6  # of a line

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|nan|inf"
_WORD = r"[A-Za-z_][\w.@/'\u2019-]*+"  # possessive, as the rest: the time that a line takes stays bounded
_PAIR = re.compile(
    rf"(?<![\w.@/\u2019-])(?P<key>['\"]?{_WORD}(?: {_WORD}){{0,2}}['\"]?)(?P<gap>\s*[:=]\s*|\s+\|\s+|\s+(?:(?:of|is|was|at)\s+)?)"
    rf"(?P<around>\d+/\d+ \(|['\"]|{_WORD}\()?(?P<value>(?>{_NUMBER}))(?!\w|:\d|-\d|\.\d)"
)
EPOCHS = "epoch"
STEPS_WORDS = (
    "step|iter|iteration|round|boosting round|update|generation|episode|global_step|batch_idx|batch"
    "|total_timesteps|timesteps|timestep|total_steps|num_updates"
)
WHOSE = r"(?:(?:train|training|val|valid|validation|eval|test|current|cur|trainer)[ _/])?"


def _counter(words: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![\w.])(?P<key>{WHOSE}(?P<word>{words}))(?:\(\w+\))?['\"]?(?:\s*[:=|]\s*|\s+)?[#\[(]*\s*['\"]?"
        r"(?P<value>\d+(?:\.\d+)?)(?![\w]|:\d|\.\d)",
        re.IGNORECASE,
    )


_COUNTERS = (_counter(EPOCHS), _counter(STEPS_WORDS))
_NESTED = re.compile(r"['\"]\w+['\"]: *\{['\"]")
BRACKET = re.compile(r"^\s*(?:\[(?=\d+\]\s)|(?=\d+:\t))(?P<value>\d+)")  # xgboost, LightGBM; CatBoost
VALIDATION = re.compile(r"(?:^|[\W_])(val|valid|validation|test|eval|dev)(?=$|[\W_\d])", re.IGNORECASE)
METRIC = re.compile(
    r"loss|acc|f1|auc|auroc|rmse|mae|mse|mape|err|ppl|perplex|bleu|rouge|wer|cer|iou|map|dice|psnr|ssim|fid|rew|return"
    r"|^(?:train|training|learn|val|valid|validation|test|eval|dev)$|score|prec|recall|r2|bpb|bpc|ndcg|mrr|elbo|nll|top[_-]?[15]|corr|success|l1|l2|reward|metric"
)
_NO_METRIC = re.compile(
    r"(?:.*_)?(?:time|eta|lr|learning_rate|mfu|runtime|elapsed|secs?|seconds|s|ms|mem|memory|norm|gnorm|wps|ups|wpb|bsz|fps"
    r"|per_second|per_sec|v_num|throughput|speed|wall|seed|epochs?|steps?|iters?|iterations?|rounds?|batch|batch_idx"
    r"|batch_size|loss_scale|gb_free|num_updates|timesteps|params|parameters|workers|gpus?|total_flos|port|rank|pid"
    r"|patience|n_updates|clip_range|clip_fraction|tokens|samples|examples|size|device|version|temperature|data)"
)
_MODIFIERS = frozenset(
    {
        "train",
        "training",
        "val",
        "valid",
        "validation",
        "test",
        "eval",
        "dev",
        "avg",
        "average",
        "mean",
        "best",
    }
    | {"total", "macro", "micro", "weighted", "top", "epoch", "running", "final", "smoothed"}
)


@dataclass(frozen=True, slots=True)
class Named:
    """A number of a line, and the name beside it; spans are of the line's text."""

    name: str
    start: int  # where its name begins
    at: int  # where the number begins
    end: int
    value: float
    is_given: bool = True  # by a sign such as `=`, and not only by standing beside its name


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line of a log, the epoch that it tells, and its other numbers that may be metrics."""

    index: int
    text: str
    epoch: Named | None
    values: tuple[Named, ...]

    @property
    def shape(self) -> tuple[str, ...]:
        """What lines of one kind have in common: their names, and whether they speak of a validation."""
        validates = "validation" if VALIDATION.search(self.text) else ""
        return (
            validates,
            "" if self.epoch is None else self.epoch.name,
            *(each.name for each in self.values),
        )


def take_apart(index: int, text: str) -> PrintedLine:
    """The line, which is the log's `index`-th."""
    epoch = _epoch_of(text)
    nested = _NESTED.search(text) is not None
    values: list[Named] = []
    for found in _PAIR.finditer(text):
        name, start = _named(found, nested)
        inside = epoch is not None and not (found.end() <= epoch.start or start >= epoch.end)
        if not inside and may_be_metric(name) and name not in {value.name for value in values}:
            number = rows.number(found["value"])
            if number is not None:
                given = bool(found["gap"].strip(" \t"))
                values.append(Named(name, start, *found.span("value"), number, given))
    known = [value for value in values if METRIC.search(value.name)]
    return PrintedLine(index, text, epoch, tuple((known or values)[:MOST_METRICS]))


def _epoch_of(text: str) -> Named | None:
    for counter in _COUNTERS:
        if found := counter.search(text):
            name = EPOCH if found["word"].lower() == EPOCH else found["word"].lower().replace(" ", "_")
            return Named(
                name, found.start("key"), found.start("value"), found.end("value"), float(found["value"])
            )
    found = BRACKET.match(text)
    if found is None:
        return None
    return Named("round", found.start(), found.start("value"), found.end("value"), float(found["value"]))


def _named(pair: re.Match[str], nested: bool) -> tuple[str, int]:
    """What the number is called, and where that begins: the last word, and what qualifies it.

    `nested`: the line holds a printed dict within another, whose key then belongs to the name.
    """
    words = list(re.finditer(r"\S+", pair["key"]))
    kept = [words.pop()]
    while words and (words[-1][0].lower() in _MODIFIERS or re.search(r"^[A-Z]$|['\u2019]s$", words[-1][0])):
        kept.insert(0, words.pop())
    above = _key_above(pair.string[: pair.start("key")]) if nested else ""
    return name_of(" ".join([above, *(word[0] for word in kept)])), pair.start("key") + kept[0].start()


def _key_above(text: str) -> str:
    """The key of the dict within a dict that is open where the text ends."""
    opened: list[int] = []
    for at, char in enumerate(text):
        if char == "{":
            opened.append(at)
        elif char == "}" and opened:
            opened.pop()
    found = re.search(r"['\"](\w+)['\"]: *$", text[: opened[-1]]) if opened else None
    return found[1] if found else ""


def name_of(text: str) -> str:
    """The text as the name of a group."""
    name = re.sub(r"\W+", "_", re.sub(r"['\u2019]s\b", "", text)).strip("_").lower()
    if name and not name.isidentifier():  # a digit first, or a letter such as a small 2 above the line
        name = f"m_{re.sub(r'[^A-Za-z0-9_]', '_', name)}"
    return name


def may_be_metric(name: str) -> bool:
    """Whether a number of that name may be a metric, and not a time, a counter or a setting."""
    return bool(name) and not names.is_step(name) and not _NO_METRIC.fullmatch(name_of(name))


def key_of(names: Iterable[str]) -> str | None:
    """The name that tells the epoch; else the one that tells a step."""
    for words in (EPOCHS, STEPS_WORDS):
        for name in names:
            if re.fullmatch(rf"(?:.*[./_])?{WHOSE}(?:{words})", name.strip(), re.IGNORECASE):
                return name
    return None
