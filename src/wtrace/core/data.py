"""Plain data: what `@dataclass(frozen=True, slots=True)` gives, made at a third of the cost.

A hundred such classes are made whenever wtrace starts, and `dataclasses` writes and compiles six methods for each of
them: 0.6 ms a class on Python 3.11. Here it writes only `__init__`; the others are the same for all and stand below.
What is lost is the guard against assignment at run time: the type checker alone holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from typing import Any

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data(cls: type[T]) -> type[T]:
    """Make an immutable value of a class with annotated fields: compared, hashed and shown by their values.

    `dataclasses.replace` and pattern matching work as ever. What the class defines itself is kept.
    """
    ready: Any = dataclass(eq=False, repr=False, slots=True)(cls)
    for name, method in (("__eq__", _equals), ("__hash__", _hash), ("__repr__", _show)):
        if name not in ready.__dict__:
            setattr(ready, name, method)
    return ready  # type: ignore[no-any-return]


def _values(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in value.__dataclass_fields__])


def _equals(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _show(self: Any) -> str:
    values = zip(self.__dataclass_fields__, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in values)})"
