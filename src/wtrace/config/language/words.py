"""The words of a criterion: numbers, names, operators and brackets, each with its place in the text."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LENGTH = 1000  # characters
MAX_WORDS = 200  # bounds the depth of the expression tree

WordKind = Literal["space", "number", "name", "operator", "comparison", "mark", "end"]

WORD = re.compile(
    r"""(?P<space> \s+ )
      | (?P<number> (?: \d+\.?\d* | \.\d+ ) (?: [eE][+-]?\d+ )? )
      | (?P<name> [A-Za-z_]\w* (?: \.\w+ )* | '[^']+' )
      | (?P<comparison> [<>]=? )
      | (?P<operator> [-+*/] )
      | (?P<mark> [(),] )""",
    re.VERBOSE | re.ASCII,
)


class Mistake(Exception):  # noqa: N818 - it never leaves the room: criteria.py makes a ConfigError of it
    """What is wrong with a criterion's text, and at which character."""

    def __init__(self, what: str, at: int, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.at = at
        self.hint = hint


class Word(NamedTuple):
    """A word and the character at which it begins."""

    kind: WordKind
    text: str
    at: int

    def __str__(self) -> str:
        """How a message names it."""
        if self.kind == "end":
            return "the end"
        return self.text if len(self.text) <= 40 else self.text[:39] + "…"

    @property
    def name(self) -> str:
        """A name without its quotes."""
        return self.text.strip("'")


def words(text: str) -> list[Word]:
    """All words and the end. Raises `Mistake` for what is no word, and for a text that is empty or too long."""
    if len(text) > MAX_LENGTH:
        raise Mistake(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    found = [word for word in split(text) if word.kind != "space"]
    if not found:
        raise Mistake("empty", 0, hint="a criterion looks like this: val_loss <= 0.2")
    if len(found) > MAX_WORDS:
        raise Mistake(f"more than {MAX_WORDS} numbers, names and signs", found[MAX_WORDS].at)
    check_brackets(found)
    return [*found, Word("end", "", len(text.rstrip()))]


def split(text: str) -> list[Word]:
    """The words with the white space between them."""
    found: list[Word] = []
    at = 0
    while at < len(text):
        match = WORD.match(text, at)
        if match is None:
            raise no_word(text[at], at)
        found.append(Word(cast("WordKind", match.lastgroup), match.group(), at))
        at = match.end()
    return found


def no_word(character: str, at: int) -> Mistake:
    """The mistake of a character that begins no word."""
    if character in "=!≤≥≠":
        return Mistake("a comparison is one of < <= > >=", at)
    if character in "'\"":
        return Mistake(
            "not a quoted name", at, hint="a name with other characters is written like this: 'val/loss'"
        )
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    hint = "a name with other characters is written in single quotes: 'val/loss'"
    return Mistake(f"{shown} has no meaning here", at, hint=hint)


def check_brackets(found: list[Word]) -> None:
    """Raises `Mistake` at a parenthesis without a partner."""
    open_: list[Word] = []
    for word in found:
        if word.text == "(":
            open_.append(word)
        elif word.text == ")":
            if not open_:
                raise Mistake("this parenthesis closes nothing", word.at)
            open_.pop()
    if open_:
        raise Mistake("this parenthesis is never closed", open_[-1].at)


class Cursor:
    """A place between the words. Each method consumes the words that it accepts, or raises `Mistake`."""

    def __init__(self, found: Sequence[Word]) -> None:
        self._words = found
        self._position = 0

    @property
    def next(self) -> Word:
        """The word that has not been consumed yet."""
        return self._words[self._position]

    def take(self) -> Word:
        """Consume a word; the end stays."""
        word = self.next
        self._position += word.kind != "end"
        return word

    def close(self) -> None:
        """Consume a closing parenthesis."""
        if self.next.text != ")":
            raise self.unexpected()
        self.take()

    def comparison(self) -> Word:
        """Consume one of < <= > >=."""
        word = self.next
        if word.kind == "end":
            raise Mistake("a comparison with a number is missing", word.at, hint="as in val_loss <= 0.2")
        if word.kind != "comparison":
            raise self.unexpected()
        return self.take()

    def number(self) -> float:
        """Consume one finite number, with a minus or without."""
        at = self.next.at
        negative = self.next.text == "-"
        if negative:
            self.take()
        word = self.take()
        if word.kind == "number":
            return -number_of(word) if negative else number_of(word)
        if word.text.lower() in ("nan", "inf", "infinity"):
            raise Mistake("not a finite number", at)
        if word.kind == "end":
            raise Mistake("a number is missing", word.at)
        hint = "a criterion is EXPRESSION OPERATOR NUMBER"
        raise Mistake(f"a plain number must stand here, not {word}", word.at, hint=hint)

    def end(self) -> None:
        """Raises `Mistake` unless every word is consumed."""
        if self.next.kind != "end":
            hint = "one number stands on the right, and nothing after it"
            raise Mistake(f"{self.next} comes after the end", self.next.at, hint=hint)

    def unexpected(self) -> Mistake:
        """The mistake of a word that cannot go on what stands before it."""
        if self.next.kind == "comparison":
            return Mistake("a comparison stands inside of fraction(…) only, and once", self.next.at)
        return Mistake(f"an operator is missing before {self.next}", self.next.at)


def number_of(word: Word) -> float:
    """The number that the word spells."""
    value = float(word.text)
    if not math.isfinite(value):
        raise Mistake("not a finite number", word.at)
    return value
