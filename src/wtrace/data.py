"""Plain data: what `@dataclass(frozen=True, slots=True)` gives, made at a tenth of the cost.

A hundred such classes are made whenever wtrace starts, and `dataclasses` writes and compiles six methods for each of
them: 0.6 ms a class on Python 3.11. Here `__init__` is compiled when the first value of the class is made, which for
most never happens; the other methods are the same for all. What is lost is the guard against assignment at run time:
the type checker alone holds it.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

T = TypeVar("T")
_COPYING: dict[type, Callable[..., Any]] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data(cls: type[T]) -> type[T]:
    """Make an immutable value of a class with annotated fields: compared, hashed and shown by their values.

    `dataclasses.replace` and pattern matching work as ever; `replace` below is faster. What the class defines itself is kept.
    """
    ready: Any = dataclass(init=False, eq=False, repr=False, slots=True)(cls)
    for name, method in (("__eq__", _equals), ("__hash__", _hash), ("__repr__", _show)):
        if name not in ready.__dict__:
            setattr(ready, name, method)
    if "__init__" not in ready.__dict__:
        ready.__init__ = _compiled_at_first(ready)
    return ready  # type: ignore[no-any-return]


def _compiled_at_first(cls: Any) -> Callable[..., None]:
    def __init__(self: Any, *args: object, **kwargs: object) -> None:  # noqa: N807 (it becomes one)
        cls.__init__ = _compiled(cls)
        cls.__init__(self, *args, **kwargs)

    return __init__


def _compiled(cls: Any) -> Callable[..., None]:
    """A field for a parameter, in their order; a default that is made anew each time is made in the body."""
    parameters, body = ["self"], []
    names: dict[str, Any] = {"MISSING": MISSING}
    for each in fields(cls):
        name, value, default = each.name, each.name, ""
        if each.default_factory is not MISSING:
            names[f"make_{name}"] = each.default_factory
            default, value = "=MISSING", f"make_{name}() if {name} is MISSING else {name}"
        elif each.default is not MISSING:
            names[f"default_{name}"], default = each.default, f"=default_{name}"
        parameters.append(name + default)
        body.append(f"    self.{name} = {value}\n")
    exec(f"def __init__({', '.join(parameters)}):\n{''.join(body) or '    pass'}", names)  # noqa: S102
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def replace(value: T, **changes: Any) -> T:
    """What `dataclasses.replace` gives, for a value of a class made by `data`, in a third of the time. TypeError for a wrong name."""
    cls = value.__class__
    copying = _COPYING.get(cls)
    if copying is None:
        copying = _COPYING[cls] = _copying(cls)
    copy: T = copying(value, **changes)
    return copy


def _copying(cls: Any) -> Callable[..., Any]:
    """A copy that takes each field from its parameter, or else from the value."""
    names = [each.name for each in fields(cls)]
    parameters = "".join(f", {name}=MISSING" for name in names)
    body = "".join(f"    new.{name} = self.{name} if {name} is MISSING else {name}\n" for name in names)
    made: dict[str, Any] = {"MISSING": MISSING, "cls": cls, "make": object.__new__}
    exec(f"def replaced(self, /, *{parameters}):\n    new = make(cls)\n{body}    return new", made)  # noqa: S102
    replaced: Callable[..., Any] = made["replaced"]
    return replaced


def _values(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in value.__dataclass_fields__])


def _equals(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _show(self: Any) -> str:
    values = zip(self.__dataclass_fields__, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in values)})"
