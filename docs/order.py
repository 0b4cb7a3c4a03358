"""The order of the parts in the site's sidebar; within a part, pages stand as their files do."""

from __future__ import annotations

from typing import Any

PARTS = ["Tutorial", "How to", "Reference", "Explanation", "Decisions"]


def on_nav(nav: Any, **_: Any) -> Any:
    """Put the parts in order, behind the first page; pages beside the parts come last."""
    home, *others = nav.items
    nav.items = [home, *sorted(others, key=_place)]
    return nav


def _place(item: Any) -> int:
    return PARTS.index(item.title) if item.is_section else len(PARTS)
