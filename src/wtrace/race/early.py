"""When to tell that no metric of a worker was found yet: early enough to mend it, and late enough to be worth a word."""

from __future__ import annotations

MANY_LINES = 50
AFTER_S = 30.0


def is_worth_a_word(lines: int | None, ran_s: float) -> bool:
    """Whether nothing in so many lines, or for so long, is worth telling; `lines` is None where a source has none.

    A log that is still empty is not: whatever is looked for, nothing could have been found.
    """
    if lines is None:
        return ran_s >= AFTER_S
    return lines >= MANY_LINES or (lines > 0 and ran_s >= AFTER_S)
