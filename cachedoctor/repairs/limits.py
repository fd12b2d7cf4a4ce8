"""The limits that a repaired cache keeps: what they are, whether they can be reached at all, and reaching them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cachedoctor.buildkit import IMPORT_LIMIT, SECONDS_PER_CALL
from cachedoctor.cacheconfig import encode
from cachedoctor.errors import LimitError
from cachedoctor.graph import cost, paths
from cachedoctor.numbers import count, digits
from cachedoctor.repairs import prune
from cachedoctor.repairs.draft import Draft
from cachedoctor.rules import Limits
from cachedoctor.sources import CacheDocument

Limit = int | Literal["auto"] | None
"""A limit: a number, the one that the rules ask for (`auto`), or none."""

HEADROOM = 10.0
"""Percent of a limit on bytes that are left for the next builds."""


@dataclass(frozen=True, slots=True)
class Options:
    """What repair may add and remove."""

    minimal: bool = False
    """Keep only the cheapest alternative of each input."""
    max_calls: Limit = None
    max_bytes: Limit = None
    prefer: prune.Preference = "cheapest"
    """What decides between alternatives that cost the same (see `prune.Preference`)."""
    drop_oldest: bool = False
    """Whether whole records may be dropped if removing alternatives does not reach `max_bytes`."""
    headroom: float = HEADROOM
    """Percent of `max_bytes` to leave, if possible; the limit itself must hold."""
    join: bool = True
    """Whether several leaves are joined by one more record (`graph.joining`)."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a repaired cache has to be like."""

    max_bytes: int | None = None
    target_bytes: int | None = None
    """`max_bytes` less the headroom."""
    max_calls: int | None = None
    bytes_chosen: str = ""
    """What `auto` chose for the bytes, and why; empty if they were not chosen."""
    calls_chosen: str = ""
    """The same for the calls."""


def silent_calls() -> tuple[int, int]:
    """The most calls that are not worth a word, and the most that are no error (`rules.path_explosion`)."""
    limits, each = Limits(), SECONDS_PER_CALL[1]
    silent, bearable = math.ceil(limits.warn_seconds / each), math.floor(limits.max_seconds / each) + 1
    # These are one too many, or two by rounding.
    while (cost.seconds(silent, each) or 0.0) >= limits.warn_seconds:
        silent -= 1
    while (cost.seconds(bearable, each) or 0.0) > limits.max_seconds:
        bearable -= 1
    return silent, bearable


def goal(draft: Draft, options: Options, documents: Sequence[CacheDocument]) -> Goal:
    """What is asked for, with the numbers that `auto` stands for.

    Raises `LimitError` if it surely cannot be reached. That takes two passes over the draft, which may have loops.
    """
    wanted = _bytes_goal(options, documents)
    if wanted.max_bytes is not None and not wanted.bytes_chosen and not options.drop_oldest:
        least = prune.least_bytes(draft, len(encode(draft.plain())))
        if least > wanted.max_bytes:
            problem = f"with one alternative for each input it has at least {least:,} bytes"
            raise LimitError(f"{_limit_of_bytes(wanted)} is too low: {problem}", dropping_may_help=True)
    if options.max_calls is None:
        return wanted
    fewest = prune.fewest_calls(draft.graph)
    if options.max_calls == "auto":
        calls, chosen = _choose_calls(fewest)
        return replace(wanted, max_calls=calls, calls_chosen=chosen)
    wanted = replace(wanted, max_calls=options.max_calls)
    if fewest > options.max_calls and not options.drop_oldest:
        raise _too_few_calls(wanted, fewest)
    return wanted


def _bytes_goal(options: Options, documents: Sequence[CacheDocument]) -> Goal:
    max_bytes, chosen = options.max_bytes, ""
    if max_bytes == "auto":
        max_bytes = IMPORT_LIMIT if any(document.is_limited for document in documents) else None
        chosen = f"{IMPORT_LIMIT:,}, which BuildKit imports" if max_bytes else "none, since importers have none here"
    target = None if max_bytes is None else max(1, math.floor(max_bytes * (100 - options.headroom) / 100))
    return Goal(max_bytes, target, bytes_chosen=chosen)


def _choose_calls(fewest: int) -> tuple[int, str]:
    """What `auto` stands for if so many calls are the fewest, and why."""
    silent, bearable = silent_calls()
    if fewest <= silent:
        return silent, f"{count(silent)}, up to which no rule says anything"
    if fewest <= bearable:
        return bearable, f"{count(bearable)}, up to which there is only a warning; the fewest are {count(fewest)}"
    return fewest, f"{count(fewest)}, the fewest that keep every record, which are still an error"


_Step = Callable[[Draft, Goal, prune.Preference], None]
"""Removes alternatives from a draft."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A draft from which alternatives were removed, and what it is like."""

    draft: Draft
    calls: int
    """0 without a limit on calls."""
    size: int
    """Bytes of the document; 0 without a limit on them."""

    def keeps_calls(self, goal: Goal) -> bool:
        return goal.max_calls is None or self.calls <= goal.max_calls

    def keeps_bytes(self, goal: Goal) -> bool:
        return goal.max_bytes is None or self.size <= goal.max_bytes


def reach(draft: Draft, uncut: Draft, goal: Goal, options: Options) -> Draft:
    """A copy of the draft without what has to be removed. `uncut` is the draft as it was before its loops were cut.

    Raises `LimitError`, but not for bytes of `auto`. Records are dropped only if nothing else keeps the limits.
    """
    attempts = []
    for attempt in _attempts(draft, uncut, goal, options.prefer):
        if attempt.keeps_calls(goal) and attempt.keeps_bytes(goal):
            return attempt.draft
        attempts.append(attempt)
    affordable = [attempt for attempt in attempts if attempt.keeps_calls(goal)]
    if goal.max_bytes is not None and options.drop_oldest:
        fewest_calls = min(attempts, key=lambda attempt: attempt.calls)
        smallest = min(affordable, key=lambda attempt: attempt.size, default=fewest_calls)
        return _dropped(smallest.draft, uncut, goal)
    if not affordable:
        raise _too_few_calls(goal, prune.fewest_calls(uncut.graph))
    smallest = min(affordable, key=lambda attempt: attempt.size)
    if goal.bytes_chosen:
        return smallest.draft
    raise _too_few_bytes(goal, smallest.size)


def _attempts(draft: Draft, uncut: Draft, goal: Goal, prefer: prune.Preference) -> Iterator[_Attempt]:
    """Ways to keep the limits, the one that removes least first.

    Fewer calls take fewer bytes too, so they come first, unless that removed the smallest alternatives. The bytes come
    last, since removing links never adds calls, but may add leaves, which a joining record has to link to.
    """
    yield _attempt(draft, goal, prefer, (_reduce_calls, _reduce_bytes))
    if goal.max_calls is None:
        return
    if goal.max_bytes is not None:
        smallest = draft.copy()
        prune.to_bytes(smallest, _size(smallest), prefer)
        # If that is too large, no other order that begins with bytes gets smaller: nothing it could remove saves any.
        if _size(smallest) <= goal.max_bytes:
            yield _attempt(draft, goal, prefer, (_reduce_bytes, _reduce_calls, _reduce_bytes))
            yield _attempt(smallest, goal, prefer, (_reduce_calls, _reduce_bytes))
    # Cutting the loops, or an order that removes less, may have kept other alternatives than the cheapest.
    yield _attempt(uncut, goal, prefer, (_keep_cheapest,))


def _attempt(draft: Draft, goal: Goal, prefer: prune.Preference, steps: Sequence[_Step]) -> _Attempt:
    draft = draft.copy()
    for step in steps:
        step(draft, goal, prefer)
    draft = draft.without_imitations()
    calls = 0 if goal.max_calls is None else paths.calls(draft.acyclic())
    return _Attempt(draft, calls, size=0 if goal.max_bytes is None else _size(draft))


def _reduce_calls(draft: Draft, goal: Goal, prefer: prune.Preference) -> None:
    if goal.max_calls is not None:
        prune.to_calls(draft, goal.max_calls, prefer)


def _reduce_bytes(draft: Draft, goal: Goal, prefer: prune.Preference) -> None:
    if goal.target_bytes is not None:
        prune.to_bytes(draft, _size(draft) - goal.target_bytes, prefer)


def _keep_cheapest(draft: Draft, goal: Goal, prefer: prune.Preference) -> None:
    prune.minimal(draft, prefer)


def _size(draft: Draft) -> int:
    return len(encode(draft.config()))


def _dropped(draft: Draft, uncut: Draft, goal: Goal) -> Draft:
    """The draft without as many records as it takes to leave the headroom. Raises `LimitError`."""
    draft, target = draft.copy(), goal.target_bytes
    assert target is not None
    if not prune.drop_oldest(draft, lambda: _size(draft.without_imitations()) <= target):
        raise LimitError(f"{_limit_of_bytes(goal)} is too low: no record at all would be left")
    if goal.max_calls is not None and paths.calls(draft.acyclic()) > goal.max_calls:
        raise _too_few_calls(goal, prune.fewest_calls(uncut.graph))
    return draft.without_imitations()


def _too_few_bytes(goal: Goal, least: int) -> LimitError:
    found = f"the smallest cache found that keeps every record has {least:,} bytes"
    if goal.max_calls is not None:
        found = f"with at most {digits(goal.max_calls)} calls, {found}"
    return LimitError(f"{_limit_of_bytes(goal)} is too low: {found}", dropping_may_help=True)


def _limit_of_bytes(goal: Goal) -> str:
    limit, target = goal.max_bytes, goal.target_bytes
    headroom = f" ({target:,} with the headroom)" if limit and target and target < limit else ""
    return f"the limit of {limit:,} bytes{headroom}"


def _too_few_calls(goal: Goal, fewest: int) -> LimitError:
    problem = f"the limit of {goal.max_calls} calls is too low: the fewest that keep every record are {digits(fewest)}"
    return LimitError(problem)
