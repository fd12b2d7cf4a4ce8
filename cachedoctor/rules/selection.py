"""Which rules are asked, and whether a finding got worse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cachedoctor.rules.interface import Measure
from cachedoctor.rules.registry import RULES
from cachedoctor.suggest import meant

TOLERANCE = 5
"""Per cent by which an estimated number may grow before that counts."""


def chosen(select: Sequence[str], ignore: Sequence[str]) -> tuple[str, ...]:
    """The ids of the rules that `select` names (all, where it is empty) and `ignore` does not, in order.

    Rules are named by id, by name, or by the start of their ids, such as `CD2`. Raises `ValueError` for a word that
    names no rule, and where no rule is left.
    """
    selected = _named(select) if select else {rule.id for rule in RULES}
    left = selected - _named(ignore)
    if not left:
        raise ValueError("no rule is left to ask")
    return tuple(sorted(left))


def _named(words: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for word in words:
        ids = {rule.id for rule in RULES if word and (rule.id.startswith(word.upper()) or rule.name == word.lower())}
        if not ids:
            known = [text for rule in RULES for text in (rule.id, rule.name)]
            raise ValueError(f"{word!r} names no rule; {meant(word, known)}")
        found |= ids
    return found


def grown(now: Measure, before: Measure) -> bool:
    """Whether a number grew: at all where both are exact, by more than `TOLERANCE` per cent otherwise."""
    if now.exact and before.exact:
        return now.value > before.value
    return now.value * 100 > before.value * (100 + TOLERANCE)
