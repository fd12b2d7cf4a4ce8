"""What an unknown word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

_NEAR = 0.5
"""The share of letters in common from which one word may be meant by another."""

_LONGEST_WORD = 100
"""Letters of a word that are compared with known ones: that takes quadratic time."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was most probably meant; of several that are as near, one with most in one piece."""
    from difflib import SequenceMatcher

    start = word[:_LONGEST_WORD].lower()

    def alike(one: str) -> tuple[float, int]:
        pair = SequenceMatcher(None, start, one.lower())
        return pair.ratio(), pair.find_longest_match().size

    return max(known, key=alike)


def meant(word: str, known: Iterable[str]) -> str:
    """A hint for a word that is not known: the nearest, or all of them where none is near."""
    from difflib import SequenceMatcher

    words = list(known)
    best = nearest(word, words)
    if SequenceMatcher(None, word[:_LONGEST_WORD].lower(), best.lower()).ratio() >= _NEAR:
        return f"did you mean {best}?"
    return f"expected one of {', '.join(words)}"
