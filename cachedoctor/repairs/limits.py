"""The limits that a repaired cache keeps: what they are, whether they can be reached at all, and reaching them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
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
    max_bytes = options.max_bytes
    chosen = ""
    if max_bytes == "auto":
        max_bytes = IMPORT_LIMIT if any(document.is_limited for document in documents) else None
        chosen = f"{IMPORT_LIMIT:,}, which BuildKit imports" if max_bytes else "none, since importers have none here"
    target = None if max_bytes is None else max(1, math.floor(max_bytes * (100 - options.headroom) / 100))
    if max_bytes is not None and not chosen and not options.drop_oldest:
        least = prune.least_bytes(draft, len(encode(draft.plain())))
        if least > max_bytes:
            raise _too_few_bytes(max_bytes, target, least)
    calls, calls_chosen = _calls(draft, options)
    return Goal(max_bytes, target, calls, chosen, calls_chosen)


def _calls(draft: Draft, options: Options) -> tuple[int | None, str]:
    if options.max_calls is None:
        return None, ""
    fewest = prune.fewest_calls(draft.graph)
    if options.max_calls != "auto":
        if fewest > options.max_calls and not options.drop_oldest:
            raise _too_few_calls(options.max_calls, fewest)
        return options.max_calls, ""
    silent, bearable = silent_calls()
    if fewest <= silent:
        return silent, f"{count(silent)}, up to which no rule says anything"
    if fewest <= bearable:
        return bearable, f"{count(bearable)}, up to which there is only a warning; the fewest are {count(fewest)}"
    return fewest, f"{count(fewest)}, the fewest that keep every record, which are still an error"


def reach(draft: Draft, goal: Goal, options: Options) -> Draft:
    """Remove what has to be removed from a draft without loops. Raises `LimitError`, but not for bytes of `auto`.

    Fewer calls take fewer bytes too, so they come first, unless that removed the smallest alternatives, or records may
    be dropped anyway.
    """
    if options.drop_oldest:
        return _bytes_first(draft, goal, options)
    before = replace(draft, removed=replace(draft.removed))
    try:
        return _calls_first(draft, goal, options)
    except LimitError as error:
        if goal.max_bytes is not None and goal.max_calls is not None:
            with suppress(LimitError):
                return _bytes_first(before, goal, options)
        if goal.bytes_chosen and error.dropping_may_help:
            return draft
        raise


def _calls_first(draft: Draft, goal: Goal, options: Options) -> Draft:
    _reach_calls(draft, goal, options)
    _reach_bytes(draft, goal, options)
    return draft


def _bytes_first(draft: Draft, goal: Goal, options: Options) -> Draft:
    _reach_bytes(draft, goal, options)
    _reach_calls(draft, goal, options)
    return draft


def _reach_calls(draft: Draft, goal: Goal, options: Options) -> None:
    if goal.max_calls is None or prune.to_calls(draft, goal.max_calls, options.prefer) or goal.calls_chosen:
        return
    raise _too_few_calls(goal.max_calls, paths.calls(draft.acyclic()))


def _reach_bytes(draft: Draft, goal: Goal, options: Options) -> None:
    limit, target = goal.max_bytes, goal.target_bytes
    if limit is None or target is None:
        return

    def size() -> int:
        return len(encode(draft.config()))

    if prune.to_bytes(draft, size() - target, options.prefer):
        return
    left = size()
    if left <= limit:
        return
    if not options.drop_oldest:
        raise _too_few_bytes(limit, target, left)
    if not prune.drop_oldest(draft, lambda: size() <= target):
        raise LimitError(f"the limit of {_bytes(limit, target)} is too low: no record at all would be left")


def _too_few_bytes(limit: int, target: int | None, least: int) -> LimitError:
    problem = f"the limit of {_bytes(limit, target)} is too low: with one alternative for each input it still has"
    return LimitError(f"{problem} {least:,} bytes", dropping_may_help=True)


def _bytes(limit: int, target: int | None) -> str:
    return f"{limit:,} bytes" + (f" ({target:,} with the headroom)" if target is not None and target < limit else "")


def _too_few_calls(limit: int, fewest: int) -> LimitError:
    problem = f"the limit of {limit} calls is too low: the fewest that keep every record are {digits(fewest)}"
    return LimitError(problem)
