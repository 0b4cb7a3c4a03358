"""Plain data behave as frozen dataclasses do."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest

from wtrace.data import data, replace


@data
class Ours:
    """Every kind of field."""

    name: str
    count: int = 3
    items: list[int] = field(default_factory=list)


@data
class Longer(Ours):
    """One more."""

    more: str = "more"


@dataclass(frozen=True, slots=True)
class Theirs:
    name: str
    count: int = 3
    items: list[int] = field(default_factory=list)


@pytest.mark.parametrize(
    ("values", "named"), [(("a",), {}), (("a", 4), {"items": [1]}), ((), {"count": 5, "name": "b"})]
)
def test_values_are_those_of_a_dataclass(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = Ours(*values, **named), Theirs(*values, **named)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours == Ours(*values, **named)
    assert copy.deepcopy(ours) == ours
    assert pickle.loads(pickle.dumps(ours)) == ours


@pytest.mark.parametrize("wrong", [{}, {"name": "a", "other": 1}])
def test_wrong_fields_are_a_type_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Ours\.__init__"):
        Ours(**wrong)
    with pytest.raises(TypeError, match="other"):
        replace(Ours("a"), other=1)


def test_a_default_that_is_made_is_made_anew_each_time() -> None:
    assert Ours("a").items is not Ours("a").items


def test_replace_gives_what_dataclasses_replace_gives() -> None:
    for value in (Ours("a", 4, [1]), Longer("a", 4, [1], "m")):
        for changes in ({}, {"name": "b"}, {"count": 0, "items": [2]}):
            changed = replace(value, **changes)
            assert changed == dataclasses.replace(value, **changes)
            assert type(changed) is type(value)
            assert value.name == "a"


def test_match_takes_them_apart() -> None:
    match Longer("a", 1, [], "m"):
        case Longer(name, count, _, more):
            assert (name, count, more) == ("a", 1, "m")
        case _:
            pytest.fail("it does not match")


def test_nothing_else_can_be_set() -> None:
    with pytest.raises(AttributeError):
        Ours("a").other = 1  # type: ignore[attr-defined]
