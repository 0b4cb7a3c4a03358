"""Tells that nothing is found in a worker's sources while there is time to mend it; and when something is, after all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wtrace.race.early import AFTER_S, is_worth_a_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wtrace.metrics.foreign.translation import Translation

log = logging.getLogger("wtrace")


class EarlyWord:
    """Looks at the translation of one attempt. Told once, also where another supervisor takes over."""

    def __init__(self, translation: Translation, worker: str, since: float) -> None:
        """`since` is when the attempt began."""
        self._translation = translation
        self._worker = worker
        self._since = since
        self._told = False
        self._over = False
        self.due: float | None = since + AFTER_S  # when to look although nothing happens

    def look(self, now: float, told_before: Iterable[str]) -> str | None:
        """What a person should read now. `told_before`: what happened in the race so far, in words."""
        if self._over:
            return None
        translation, silence = self._translation, self._translation.silence
        if self.due is not None and now >= self.due:
            self.due = None
        if silence is None:
            self._over, self.due = True, None
            return "its metrics are found now" if self._told else None
        if self._told or not is_worth_a_word(translation.lines_seen, now - self._since):
            return None
        self._told, self.due = True, None
        if any(text.startswith(f"{self._worker}: {silence} yet") for text in told_before):
            return None
        word = self._in_words(silence)
        log.warning("%s: %s", self._worker, word)
        return word

    def _in_words(self, silence: str) -> str:
        lines, near = self._translation.lines_seen, self._translation.nearest()
        counted = f", of {lines:,} line{'' if lines == 1 else 's'}" if lines else ""
        told = f"; {near.told}" if near is not None else ""
        return f"{silence} yet{counted}{told}; `wtrace try --worker {self._worker}` shows more"
