"""What a training script tells its user in one line instead of a traceback."""

from __future__ import annotations


class TrainingError(Exception):
    """Something that the training needs cannot be had; the message says what, and what to try."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line: torch's own messages run over many."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
