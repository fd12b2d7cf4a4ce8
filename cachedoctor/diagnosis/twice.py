"""Two dumps of one daemon: what moved in between, and what did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachedoctor.diagnosis.causes.registry import doing
from cachedoctor.diagnosis.stacks import RUNNING, function_of, is_buildkit, is_waiting, line
from cachedoctor.pprof.goroutines import Goroutine

LEAST_GROWTH = 100
"""Goroutines more than before from which the growth is shown."""


@dataclass(frozen=True, slots=True)
class Still:
    """Goroutines that are where they were, by the function of BuildKit that they are in."""

    count: int
    function: str
    state: str
    minutes: int | None
    """The longest wait among them, in the second dump."""
    line: str
    """One of them in a line."""


class Grown(NamedTuple):
    """Goroutines in one function that became many more."""

    function: str
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class Twice:
    """What two dumps show of the goroutines of BuildKit."""

    minutes: int | None
    """At least so many minutes are between them; `None` if none of the waits shows it."""
    stuck: Sequence[Still]
    """Waits that are in both and only got older, the most common first."""
    busy: Sequence[Still]
    """Goroutines that ran in the same function both times."""
    moved: int
    """Goroutines that are in both, but elsewhere, or that began to wait anew."""
    begun: int
    ended: int
    grown: Sequence[Grown]
    stuck_ids: frozenset[int] = frozenset()

    @property
    def is_still(self) -> bool:
        """Whether nothing of BuildKit ran, moved, began or ended."""
        return not (self.busy or self.moved or self.begun or self.ended)


def compare(before: Sequence[Goroutine], now: Sequence[Goroutine]) -> Twice:
    """Compare two dumps of one daemon.

    Goroutines are the same if their ids are; dumps without ids show only how many there are. A wait is the same one if
    its stack is the same and it is not younger than before: Go counts the minutes of each wait from its beginning.
    """
    old = {item.id: item for item in before if item.id is not None and _is_buildkits(item)}
    new = {item.id: item for item in now if item.id is not None and _is_buildkits(item)}
    stuck: list[Goroutine] = []
    busy: list[Goroutine] = []
    moved = 0
    ages = []
    for number, item in new.items():
        earlier = old.get(number)
        if earlier is None:
            continue
        if _is_same_wait(earlier, item):
            ages.append((item.minutes or 0) - (earlier.minutes or 0))
            if doing(item.stack, waiting=True).cause:
                stuck.append(item)
        elif item.state in RUNNING and earlier.state in RUNNING and function_of(item) == function_of(earlier):
            busy.append(item)
        elif not (is_waiting(item) and item.stack == earlier.stack and item.minutes is None):
            moved += 1
    return Twice(
        minutes=max(ages, default=0) or None,
        stuck=_groups(stuck),
        busy=_groups(busy),
        moved=moved,
        begun=len(new.keys() - old.keys()),
        ended=len(old.keys() - new.keys()),
        grown=_grown(before, now),
        stuck_ids=frozenset(item.id for item in stuck if item.id is not None),
    )


def _is_buildkits(goroutine: Goroutine) -> bool:
    return any(map(is_buildkit, goroutine.stack))


def _is_same_wait(earlier: Goroutine, item: Goroutine) -> bool:
    return (
        is_waiting(item)
        and item.minutes is not None
        and item.minutes >= (earlier.minutes or 0)
        and item.state == earlier.state
        and item.stack == earlier.stack
    )


def _groups(goroutines: Sequence[Goroutine]) -> list[Still]:
    groups: dict[tuple[str, str], list[Goroutine]] = {}
    for item in goroutines:
        groups.setdefault((function_of(item), item.state), []).append(item)
    return [
        Still(
            len(group),
            function,
            state,
            max((item.minutes for item in group if item.minutes is not None), default=None),
            line(group[0]),
        )
        for (function, state), group in sorted(groups.items(), key=lambda pair: -len(pair[1]))
    ]


def _grown(before: Sequence[Goroutine], now: Sequence[Goroutine]) -> list[Grown]:
    old, new = _counts(before), _counts(now)
    grown = [Grown(function, old[function], number) for function, number in new.items()]
    return sorted(
        (item for item in grown if item.now - item.before >= LEAST_GROWTH), key=lambda item: item.before - item.now
    )


def _counts(goroutines: Sequence[Goroutine]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for item in goroutines:
        if _is_buildkits(item):
            counts[function_of(item)] += item.count
    return counts
