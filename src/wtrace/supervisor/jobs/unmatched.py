"""Tells that nothing is found in a worker's sources while there is time to mend it; and when something is, after all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wtrace.race.early import AFTER_S, is_worth_a_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wtrace.metrics.foreign.translation import Translation

FOUND = "its metrics are found now"

log = logging.getLogger("wtrace")


class EarlyWord:
    """Looks at the translation of one attempt."""

    def __init__(self, translation: Translation, worker: str, since: float) -> None:
        """`since` is when the attempt began."""
        self._translation = translation
        self._worker = worker
        self._since = since
        self._told = False
        self._over = False
        self.due: float | None = since + AFTER_S  # when to look although nothing happens

    def look(self, now: float) -> Iterator[tuple[str, str]]:
        """What a person should read now: its topic, and the words."""
        if self._over:
            return
        translation, silence = self._translation, self._translation.silence
        if self.due is not None and now >= self.due:
            self.due = None
        if silence is None:
            self._over, self.due = True, None
            if self._told:
                yield FOUND, FOUND
        elif not self._told and is_worth_a_word(translation.lines_seen, now - self._since):
            self._told, self.due = True, None
            words = self._in_words(silence)
            log.warning("%s: %s", self._worker, words)
            yield silence, words

    def _in_words(self, silence: str) -> str:
        lines, near = self._translation.lines_seen, self._translation.nearest()
        counted = f", of {lines:,} line{'' if lines == 1 else 's'}" if lines else ""
        told = f"; {near.told}" if near is not None else ""
        return f"{silence} yet{counted}{told}; `wtrace try --worker {self._worker}` shows more"
