"""Which rules to run, and whether a finding got worse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cachedoctor.rules.registry import all_rules
from cachedoctor.rules.rule import Measure
from cachedoctor.suggest import meant

TOLERANCE = 5
"""An estimated number may grow by this percentage before that counts."""


def chosen(select: Sequence[str], ignore: Sequence[str]) -> tuple[str, ...]:
    """The ids of the rules that `select` names (all if it is empty) and `ignore` does not, in order.

    Rules are named by their id, their name, or the beginning of their ids, such as `CD2`. Raises `ValueError` for a
    word that names no rule, and if no rule is left.
    """
    selected = _named(select) if select else {rule.id for rule in all_rules()}
    left = selected - _named(ignore)
    if not left:
        raise ValueError("no rule is left to run")
    return tuple(sorted(left))


def _named(words: Iterable[str]) -> set[str]:
    rules = all_rules()
    named: set[str] = set()
    for word in words:
        ids = {rule.id for rule in rules if word and (rule.id.startswith(word.upper()) or rule.name == word.lower())}
        if not ids:
            known = [text for rule in rules for text in (rule.id, rule.name)]
            raise ValueError(f"{word!r} names no rule; {meant(word, known)}")
        named |= ids
    return named


def grown(now: Measure, before: Measure) -> bool:
    """Whether a number grew: at all if both are exact, otherwise by more than `TOLERANCE` percent."""
    if now.exact and before.exact:
        return now.value > before.value
    return now.value * 100 > before.value * (100 + TOLERANCE)
