"""What an unknown word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

NEAR = 0.5
"""The share of common letters from which one word may be a misspelling of another."""

_LONGEST_WORD = 100
"""Letters of a word that are compared with known ones, which takes quadratic time."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant: the most similar one, and among equals the longest common part."""
    from difflib import SequenceMatcher

    start = word[:_LONGEST_WORD].lower()

    def likeness(choice: str) -> tuple[float, int]:
        pair = SequenceMatcher(None, start, choice.lower())
        return pair.ratio(), pair.find_longest_match().size

    return max(known, key=likeness)


def meant(word: str, known: Iterable[str], near: float = NEAR) -> str:
    """Return "did you mean X?", or the list of choices if nothing is close."""
    from difflib import SequenceMatcher

    words = list(known)
    best = nearest(word, words)
    if SequenceMatcher(None, word[:_LONGEST_WORD].lower(), best.lower()).ratio() >= near:
        return f"did you mean {best}?"
    return f"expected one of {', '.join(words)}"
