"""A regular expression made of a line that was taken apart: what stands between its numbers as it is, where that stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wtrace.metrics.proposals.printed import BRACKET

if TYPE_CHECKING:
    from wtrace.metrics.proposals.printed import Named, PrintedLine

_CLOSING = re.compile(r"[%,;:)\]'\"]*(?=\s|$)")


def pattern_of(line: PrintedLine, strict: bool, step: Named | None = None) -> str:
    """The line as a regular expression: what stands between its numbers as it is, where that does not change.

    `strict`: a name that follows something else is told from the end of a longer one (`train-loss`).
    """
    epoch = [] if line.epoch is None else [line.epoch]
    numbers = sorted([*epoch, *([step] if step else []), *line.values], key=lambda each: each.at)
    made, at, digits = "", numbers[0].start, ""
    for each in numbers:
        made += _between(line.text[at : each.start], each, after=digits, strict=strict)
        made += _literal(line.text[each.start : each.at])
        digits = _digits(each, line)
        made += f"(?P<{each.name}>{digits})"
        at = each.end
    return _anchored(line.text, numbers[0], made)


def _anchored(text: str, first: Named, made: str) -> str:
    """A name that may stand within a longer one is told apart from it; a bracket stands at the line's beginning."""
    if first.name == "round" and BRACKET.match(text):
        return "^" + made
    before = text[: first.start].rstrip()
    return rf"\b{made}" if before and text[first.start].isalnum() else made


def epoch_pattern(line: PrintedLine) -> str:
    """What finds the epoch alone in lines like this one, which has one."""
    assert line.epoch is not None
    each = line.epoch
    follows = line.text[each.end : each.end + 1]
    made = _literal(line.text[each.start : each.at]) + rf"(?P<{each.name}>{_digits(each, line)})"
    return _anchored(line.text, each, made + (_literal(follows) if follows in {"/", ":", "]"} else ""))


def _digits(each: Named, line: PrintedLine) -> str:
    """What a number is made of: all up to the next space, where what follows it there is no part of it."""
    if each is line.epoch or each.name == "step":
        # A dict's may be a fraction now and then: Trainers print '1' after '0.5'.
        may_be_a_fraction = {"'", '"'}.intersection(line.text[each.start : each.at])
        return r"[\d.]+" if "." in line.text[each.at : each.end] or may_be_a_fraction else r"\d+"
    return r"\S+" if _CLOSING.match(line.text, each.end) else r"[^\s,;|%)\]}'\"]+"


def _between(text: str, name: Named, *, after: str, strict: bool) -> str:
    """What stands before a name, and after a number that is found by `after`."""
    if not after:
        return ""
    if not re.search(r"[\d#█▏▎▍▌▋▊▉]", text) and len(text) <= 12 and not strict:
        return _literal(text)
    if name.name == "step":
        nearby = re.search(r"[A-Za-z]*\W{1,3}$", text)
        return f".*?{_literal(nearby[0] if nearby else text[-1:])}"
    if text[-1:] in "'\"":
        return f".*?{text[-1:]}"
    return r".*?(?<![\w.-])" if strict else r".*?\b"


def _literal(text: str) -> str:
    """The text as a regular expression, spaces of any number; readable, as people would write it."""
    escaped = re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)
    escaped = re.sub(r"(?<![\w@])\d+", r"\\d+", escaped)
    return re.sub(r"\s{2,}|\t", r"\\s+", escaped)
