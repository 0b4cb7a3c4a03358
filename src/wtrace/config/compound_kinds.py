"""Values of `wtrace.toml` that are made of others: commands, lists, environments, criteria."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from wtrace.config import kinds
from wtrace.config.kinds import Flag, Kind, Place, Text, Whole, any_text, check_placeholders, shown, wrong
from wtrace.config.language import criteria
from wtrace.config.names import path_problem, variable_problem
from wtrace.config.placeholders import PLACEHOLDERS
from wtrace.config.schema import Key, read_keys, write_keys
from wtrace.config.spec import IncludeSpec, MetricsSpec, RunnerSpec
from wtrace.data import data
from wtrace.errors import ConfigError
from wtrace.text import plain as visible


@data
class Command(Kind):
    """An argument list; its placeholders must be known."""

    @property
    def expects(self) -> str:
        """In words."""
        return "a command as a list of arguments"

    def read(self, value: object, at: Place) -> tuple[str, ...]:
        """The arguments. There is no shell, hence no command in one string."""
        if isinstance(value, str) and value.strip():
            raise wrong(at, self.expects, value, hint=f"write it as {kinds.toml_value(value.split()[:50])}")
        if not isinstance(value, list) or not value:
            raise wrong(at, self.expects, value, hint='for example ["python", "train.py"]')
        argv = tuple(any_text(argument, at.item(n)) for n, argument in enumerate(value))
        if not argv[0].strip():
            raise ConfigError(f"{at}: the first argument names the program and cannot be empty")
        check_placeholders(argv, at, tuple(PLACEHOLDERS))
        return argv


@data
class ListOf(Kind):
    """A list whose items are all of one kind."""

    item: Kind
    what: str
    distinct: bool = False

    @property
    def expects(self) -> str:
        """In words."""
        return f"a list of {self.what}"

    def read(self, value: object, at: Place) -> tuple[Any, ...]:
        """The items, in their order."""
        if not isinstance(value, list):
            raise wrong(at, self.expects, value)
        items = tuple(self.item.read(each, at.item(n)) for n, each in enumerate(value))
        twice = next((each for n, each in enumerate(items) if self.distinct and each in items[:n]), None)
        if twice is not None:
            raise ConfigError(f"{at}: {shown(twice)} stands there twice")
        return items

    def plain(self, value: Sequence[Any]) -> object:
        """The items as TOML holds them."""
        return [self.item.plain(each) for each in value]


@data
class Variables(Kind):
    """Environment variables: a table of text."""

    @property
    def expects(self) -> str:
        """In words."""
        return "a table of environment variables"

    def read(self, value: object, at: Place) -> dict[str, str]:
        """Name to value; the values are text, as an environment holds nothing else."""
        if not isinstance(value, dict):
            raise wrong(at, self.expects, value)
        for name, each in value.items():
            if problem := variable_problem(name):
                raise ConfigError(f"{at / name}: {problem}")
            any_text(each, at / name, hint=_quoted(each))
        return dict(value)


@data
class RunnerSettings(Kind):
    """A `[runners.NAME]`: settings that only the engine itself understands."""

    @property
    def expects(self) -> str:
        """In words."""
        return "a table of settings (text, numbers, true or false)"

    def read(self, value: object, at: Place) -> RunnerSpec:
        """The runner, named by its key."""
        if not isinstance(value, dict):
            raise wrong(at, self.expects, value)
        for name, each in value.items():
            if isinstance(each, str):
                any_text(each, at / name)
            elif not isinstance(each, int | float) or not abs(each) < 2**63:
                raise wrong(at / name, "text, a finite number, true or false", each)
        return RunnerSpec(at.name, dict(value))

    def plain(self, value: RunnerSpec) -> object:
        """The settings."""
        return value.settings


@data
class SuccessCriterion(Kind):
    """An entry of `[success]`: the criterion's text, or a table with `is`, `for_checks` and `min_checks`."""

    keys: tuple[Key, ...] = (
        Key("is", Text(), "The criterion.", required=True, field="text"),
        Key("for_checks", Whole(1, 1000), "Checks in a row at which it must hold.", default=1),
        Key("min_checks", Whole(1, 1000), "A worker's first check that may meet it.", default=1),
    )

    @property
    def expects(self) -> str:
        """In words."""
        return 'a criterion such as "mean(accuracy) >= 0.75"'

    def read(self, value: object, at: Place) -> criteria.Criterion:
        """The criterion, parsed and named by its key."""
        if problem := _label_problem(at.name):
            raise ConfigError(f"{at}: {problem}")
        if isinstance(value, dict):
            given = read_keys(self.keys, value, at)
        else:
            given = {"text": Text(self.expects).read(value, at)}
        return _placed(at, lambda: criteria.parse_criterion(at.name, **given))

    def plain(self, value: criteria.Criterion) -> object:
        """The text, or the table where it says more."""
        counts = {"for_checks": value.for_checks, "min_checks": value.min_checks}
        more = {name: count for name, count in counts.items() if count != 1}
        return {"is": value.text, **more} if more else value.text


@data
class SampleTest(Kind):
    """A criterion on one sample."""

    @property
    def expects(self) -> str:
        """In words."""
        return 'a test of one sample such as "accuracy >= 0.75"'

    def read(self, value: object, at: Place) -> criteria.Criterion:
        """The test, parsed; its name is its text."""
        text = Text(self.expects).read(value, at)
        return _placed(at, lambda: criteria.parse_sample_test(text, text))

    def plain(self, value: criteria.Criterion) -> object:
        """Its text."""
        return value.text


@data
class Pattern(Kind):
    """A regular expression with named groups."""

    @property
    def expects(self) -> str:
        """In words."""
        return "a regular expression with named groups"

    def read(self, value: object, at: Place) -> str:
        """The expression, which must compile and name at least one group."""
        text = Text(self.expects).read(value, at)
        try:
            groups = compiled(text).groupindex
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(
                f"{at}: this regular expression cannot be used: {visible(str(error), 100)}"
            ) from None
        if len(text) > LONGEST_PATTERN:
            raise ConfigError(f"{at}: longer than {LONGEST_PATTERN:,} characters")
        if not groups:
            raise ConfigError(f"{at}: no named group; got {shown(text)}", hint=r"for example (?P<loss>\S+)")
        return text


@data
class MetricsTable(Kind):
    """Where metrics come from: `{ from = "stdout", pattern = "…" }`."""

    keys: tuple[Key, ...]

    @property
    def expects(self) -> str:
        """In words."""
        return 'a table such as { from = "jsonl" }'

    def read(self, value: object, at: Place) -> MetricsSpec:
        """The source of the metrics."""
        if not isinstance(value, dict):
            raise wrong(at, self.expects, value)
        return MetricsSpec(**read_keys(self.keys, value, at))

    def plain(self, value: MetricsSpec) -> object:
        """The table."""
        return write_keys(self.keys, value)


@data
class Include(Kind):
    """Something to bring along: its path, or a table with `path` and `link`."""

    keys: tuple[Key, ...] = (
        Key("path", Text("a path inside the repo", path_problem), "The path.", required=True),
        Key("link", Flag(), "A link in the place of a copy.", default=False),
    )

    @property
    def expects(self) -> str:
        """In words."""
        return 'a path inside the repo, or { path = "data/", link = true }'

    def read(self, value: object, at: Place) -> IncludeSpec:
        """What is brought along, and how."""
        if isinstance(value, dict):
            return IncludeSpec(**read_keys(self.keys, value, at))
        return IncludeSpec(Text(self.expects, path_problem).read(value, at))

    def plain(self, value: IncludeSpec) -> object:
        """The path, or the table where it says more."""
        return {"path": value.path, "link": True} if value.link else value.path


def _label_problem(name: str) -> str | None:
    if not name.strip() or visible(name) != name or len(name) > 64:
        return "a criterion's name is text on one line of at most 64 characters"
    return None


def _placed(at: Place, parse: Callable[[], criteria.Criterion]) -> criteria.Criterion:
    try:
        return parse()
    except ConfigError as error:
        raise ConfigError(f"{at}: {error.what}", seen=error.seen, hint=error.hint) from None


def _quoted(value: object) -> str | None:
    return f'write it as text: "{shown(value)}"' if isinstance(value, int | float) else None


LONGEST_PATTERN = 1000  # characters


def compiled(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The regular expression. `re.error`, RecursionError or OverflowError where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on what a later Python may understand otherwise
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
