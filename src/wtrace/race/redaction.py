"""What of a race may leave `.wtrace/`: names stay; values of the environment, addresses and places are taken out.

Reports are committed, pages are mirrored, notices go to a chat. So whatever is published goes through here first: the
config by its structure (`published`), texts by what is known to be private (`Redaction.text`).
"""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from wtrace.data import data, replace
from wtrace.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wtrace.config.spec import Argv, MetricsSpec, RaceSpec, RunnerSpec, WorkerSpec
    from wtrace.judging.checks import CriterionStanding
    from wtrace.race.status import ClaimStanding, Standing, WorkerStanding

LEFT_OUT = "…"
FEWEST = 6
"""Characters of a value that is looked for in texts. Shorter ones (`1`, `cuda`) stand in every other line."""
SHORT_WORD = re.compile(r"\w{1,11}", re.ASCII)  # might be a part of another word by chance
CUT_AT = 100  # characters: a text of so many may have been cut, and end in the midst of a value
PART = 4  # characters of a value that its cut end is known by
SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth|address|_ur[il]$", re.IGNORECASE)
"""Inherited variables of such names are taken for secrets or addresses; the config's own all are."""

TELLS_NOTHING = re.compile(r"--?[A-Za-z][\w-]*|\{\w+\}")  # an option's name, a placeholder

_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,30}://)[^\s/@'\"`]+@")
_HOST = re.compile(r"^(?:[A-Za-z][\w+.-]*://)?(?:[^\s/@]*@)?([^\s/?#@]+)")
_ABSOLUTE = re.compile(
    r"(?:^|(?<=[\s'\"`=:(\[]))(?!/(?:dev|proc|sys|usr|bin)\b)/(?=[^\W\d]|[.~])(?:[^\s/:;,|<>()'\"`\\\[\]]+/)*"
    r"([^\s/:;,|<>()'\"`\\\[\]]*[^\s/:;,|<>()'\"`\\\[\].])/?"
)
"""A path from the root, where one can begin; not those that are the same on every machine."""


@data
class Redaction:
    """What is taken out of texts. Made by `redaction_of`."""

    values: tuple[str, ...] = ()  # as they may stand in a text, the longest first
    arguments: tuple[str, ...] = ()  # the same of `[after]`
    places: tuple[
        tuple[str, str], ...
    ] = ()  # paths of this machine and what stands for them, the longest first

    def text(self, text: str) -> str:
        """The text without private values, users and passwords in addresses, and absolute paths."""
        text = self.known(text)
        if "/" in text:
            text = _ABSOLUTE.sub(rf"{LEFT_OUT}/\1", _USER.sub(rf"\1{LEFT_OUT}@", text))
        return text

    def known(self, text: str) -> str:
        """The text without private values and the paths that are known: for content that holds other slashes."""
        if private := (*self.values, *self.arguments):
            text = _pattern(private).sub(LEFT_OUT, text)
            if text.endswith(LEFT_OUT) or len(text) >= CUT_AT:
                text = _without_cut_end(text, private)
        for path, shown in self.places:
            if path in text:
                text = _place_pattern(path).sub(shown, text)
        return text

    def texts(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The same for each of them."""
        return tuple(map(self.text, texts))

    def argv(self, command: Argv) -> Argv:
        """A worker's command, argument by argument; what it shares with a command of `[after]` stays."""
        return replace(self, arguments=()).texts(command)

    def standing(self, standing: Standing) -> Standing:
        """The standing as it is published."""
        return replace(
            standing,
            workers=tuple(map(self._row, standing.workers)),
            happenings=tuple(replace(each, text=self.text(each.text)) for each in standing.happenings),
        )

    def _row(self, row: WorkerStanding) -> WorkerStanding:
        return replace(
            row,
            note=None if row.note is None else self.text(row.note),
            doing=None if row.doing is None else self.text(row.doing),
            ruled_out=None if row.ruled_out is None else self.text(row.ruled_out),
            claim=None if row.claim is None else self._claim(row.claim),
            handle=None,
            criteria=tuple(map(self._criterion, row.criteria)),
            worktree=self.text(row.worktree),
            output=self.text(row.output),
            log=self.text(row.log),
        )

    def _claim(self, claim: ClaimStanding) -> ClaimStanding:
        return claim if claim.why is None else replace(claim, why=self.text(claim.why))

    def _criterion(self, criterion: CriterionStanding) -> CriterionStanding:
        return (
            criterion if criterion.reason is None else replace(criterion, reason=self.text(criterion.reason))
        )


def redaction_of(
    spec: RaceSpec, places: Iterable[tuple[str, str]] = (), inherited: Mapping[str, str] | None = None
) -> Redaction:
    """What must not leave of a race of this config. `places`: this machine's paths and what is shown for each;
    `inherited`: the environment that workers are started with.
    """
    values = [value for worker in spec.workers for value in worker.env.values()]
    values += _addresses(spec)
    values += [value for name, value in (inherited or {}).items() if SECRET_NAME.search(name)]
    arguments = [
        each for command in spec.after_winner for each in command[1:] if not TELLS_NOTHING.fullmatch(each)
    ]
    names = _names(spec)
    return Redaction(
        _looked_for(value for value in values if value not in names),
        _looked_for(argument for argument in arguments if argument not in names),
        tuple(sorted(places, key=lambda place: -len(place[0]))),
    )


def _addresses(spec: RaceSpec) -> list[str]:
    """Where notices, mirrors and engines are; of an address with a scheme also the host alone."""
    found = [*spec.notify_urls, *(target.host for target in spec.sync)]
    found += [
        value
        for runner in spec.runners
        for name, value in runner.settings.items()
        if isinstance(value, str) and _is_address(name, value)
    ]
    return found + [host[1] for each in found if (host := _HOST.search(each)) is not None]


def _is_address(name: str, value: str) -> bool:
    return name == "address" or "://" in value


def _looked_for(values: Iterable[str]) -> tuple[str, ...]:
    forms = {form for value in values for form in _forms(value) if len(form) >= FEWEST}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def published(spec: RaceSpec, redaction: Redaction) -> RaceSpec:
    """The config as it is published: every name stays, and every command but those of `[after]`."""
    return replace(
        spec,
        workers=tuple(_worker(worker, redaction) for worker in spec.workers),
        confirm=spec.confirm and replace(spec.confirm, command=redaction.argv(spec.confirm.command)),
        metrics=_metrics(spec.metrics, redaction),
        worktrees=redaction.text(spec.worktrees),
        after_winner=tuple(after_shown(command, redaction) for command in spec.after_winner),
        runners=tuple(_runner(runner, redaction) for runner in spec.runners),
        sync=tuple(replace(each, host=LEFT_OUT, path=LEFT_OUT, ssh_config=None) for each in spec.sync),
        notify_urls=(LEFT_OUT,) * len(spec.notify_urls),
    )


def after_shown(command: Argv, redaction: Redaction) -> Argv:
    """A command of `[after]`: its program alone. Its arguments are addresses and keys more often than not."""
    program = redaction.text(command[0])
    return (program, LEFT_OUT) if len(command) > 1 else (program,)


def _worker(worker: WorkerSpec, redaction: Redaction) -> WorkerSpec:
    return replace(
        worker,
        env=dict.fromkeys(worker.env, LEFT_OUT),
        command=redaction.argv(worker.command),
        setup=tuple(map(redaction.argv, worker.setup)),
        metrics=worker.metrics and _metrics(worker.metrics, redaction),
    )


def _metrics(metrics: MetricsSpec, redaction: Redaction) -> MetricsSpec:
    return replace(metrics, path=metrics.path and redaction.text(metrics.path))


def _runner(runner: RunnerSpec, redaction: Redaction) -> RunnerSpec:
    """Where an engine is reached is nobody else's business; what is asked of it is."""
    settings = {
        name: _setting(name, value, redaction) if isinstance(value, str) else value
        for name, value in runner.settings.items()
    }
    return replace(runner, settings=settings)


def _setting(name: str, value: str, redaction: Redaction) -> str:
    return LEFT_OUT if _is_address(name, value) else redaction.text(value)


def _names(spec: RaceSpec) -> set[str]:
    """What is shown anyway; a value that is the same says nothing more."""
    names = {spec.name, spec.base or "", *(criterion.name for criterion in spec.success)}
    names.update(name for worker in spec.workers for name in (worker.name, worker.branch))
    return names | {target.name for target in spec.sync}


def _forms(value: str) -> set[str]:
    """The ways in which a value stands in a text: as it is, by its lines, and escaped."""
    parts = {value, *(line for line in value.splitlines() if len(line) > 2 * FEWEST)}
    stripped = {part.strip() for part in parts}
    return stripped | {
        form
        for part in stripped
        for form in (
            plain(part),
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            escape(part),
            repr(part)[1:-1],
        )
    }


@cache
def _pattern(values: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_bounded, values)))


def _bounded(value: str) -> str:
    """A short word is looked for as a word, anything else wherever it stands."""
    return rf"\b{re.escape(value)}\b" if SHORT_WORD.fullmatch(value) else re.escape(value)


@cache
def _place_pattern(path: str) -> re.Pattern[str]:
    """The path, but not where another's name begins or ends with it: `/home/me`, not `/home/me2`."""
    end = "" if path.endswith("/") else r"(?![\w-])"
    return re.compile(rf"(?<![\w.~-]){re.escape(path)}{end}")


def _without_cut_end(text: str, values: Sequence[str]) -> str:
    """Where a text was cut in the midst of a value, its beginning is known by nothing but its place."""
    whole = text.removesuffix(LEFT_OUT)
    for value in values:
        for length in range(min(len(value) - 1, len(whole)), PART - 1, -1):
            if whole.endswith(value[:length]):
                return whole[:-length] + LEFT_OUT
    return text
