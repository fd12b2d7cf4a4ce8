"""Loops cut where nothing is lost, and as few links as can be."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from cachedoctor.graph.loops import Loop
from cachedoctor.graph.records import Graph

MOST_SIFTED = 3_000
"""Items of a loop that are ordered with care; larger loops are cut by the order in which records are derived."""
BUDGET = 5_000_000
"""Items and links that ordering all loops may look at, roughly."""
MOST_PASSES = 30
MOST_STARTS = 60
MOST_KICKS = 300


def closing(graph: Graph, rank: Sequence[int], loops: Sequence[Loop]) -> list[int]:
    """The indices of links without which no loop is left, and every item can still be derived.

    `rank` is an order in which each item comes after at least one alternative of each of its inputs. Keeping only
    links that lead forward in such an order breaks every loop. Which order keeps most links is NP-hard to find
    (feedback arc set), so several orders are made greedily, the items of each are moved to their best places until
    nothing improves, and the best is shaken and improved again. The same input gives the same links.
    """
    backward = []
    for loop in loops:
        line = sorted(loop.items, key=rank.__getitem__)
        if len(line) <= MOST_SIFTED:
            line = _best_line(_Links(graph, line), line, BUDGET // len(loops))
        position = {item: place for place, item in enumerate(line)}
        for item, place in position.items():
            span = graph.span(item)
            backward += [
                index for index, source in enumerate(graph.links[span], span.start) if position.get(source, -1) >= place
            ]
    return backward


def _best_line(links: _Links, line: list[int], budget: int) -> list[int]:
    """The order with most links forward that is found within the budget."""
    choose = random.Random(len(line))
    best = _Sifting(links, line)
    best.run()
    size = len(line) ** 2 + links.count
    for start in range(min(MOST_STARTS, 4 * len(line), budget // (2 * size))):
        other = _Sifting(links, _greedy(links, choose, towards_children=start % 2 == 0))
        other.run()
        if other.forward() > best.forward():
            best = other
    for _ in range(min(MOST_KICKS, 8 * len(line), budget // (2 * size))):
        other = _Sifting(links, best.line)
        other.kick(choose)
        other.run()
        if other.forward() >= best.forward():
            best = other
    return best.line


def _greedy(links: _Links, choose: random.Random, *, towards_children: bool) -> list[int]:
    """Take items as they can be derived: first those with few sources to come, or many children as well."""
    unmet = {item: len(needs) for item, needs in links.needs.items()}
    met: set[tuple[int, int]] = set()
    above = {item: len(links.above[item]) for item in links.needs}
    below = {item: len(links.below[item]) for item in links.needs}
    ready = [item for item, count in unmet.items() if not count]
    line = []
    while ready:
        scores = [(below[item] if towards_children else 0) - above[item] + 1.5 * choose.random() for item in ready]
        item = ready.pop(scores.index(max(scores)))
        line.append(item)
        for child in links.below[item]:
            above[child] -= 1
        for source in links.above[item]:
            below[source] -= 1
        for need in links.needed_by[item]:
            if need not in met:
                met.add(need)
                unmet[need[0]] -= 1
                if not unmet[need[0]]:
                    ready.append(need[0])
    return line


class _Links:
    """The links between the items of one loop."""

    def __init__(self, graph: Graph, items: Sequence[int]) -> None:
        inside = set(items)
        self.needs: dict[int, list[set[int]]] = {item: [] for item in items}
        """For each item the inputs that depend on this loop alone, each as its sources."""
        self.above: dict[int, list[int]] = {item: [] for item in items}
        """For each item its sources in this loop, one entry a link."""
        self.below: dict[int, list[int]] = {item: [] for item in items}
        """For each item its children in this loop, one entry a link."""
        self.needed_by: dict[int, list[tuple[int, int]]] = {item: [] for item in items}
        """For each item the needs that it meets, as (child, number of the need)."""
        for item in items:
            for alternatives in graph.inputs(item):
                sources = [source for source, _ in alternatives if source in inside and source != item]
                for source in sources:
                    self.above[item].append(source)
                    self.below[source].append(item)
                if all(source in inside for source, _ in alternatives):
                    for source in set(sources):
                        self.needed_by[source].append((item, len(self.needs[item])))
                    self.needs[item].append(set(sources))
        self.count = sum(map(len, self.above.values()))


class _Sifting:
    """The items of one loop in a line, in which links that lead forward are kept.

    A gap `g` is the place before the `g`-th item of the line.
    """

    def __init__(self, links: _Links, line: Sequence[int]) -> None:
        self.line = list(line)
        self._links = links
        self._place = {item: place for place, item in enumerate(line)}

    def forward(self) -> int:
        """Number of links that lead forward."""
        place = self._place
        return sum(place[source] < place[item] for item in self.line for source in self._links.above[item])

    def run(self) -> None:
        """Move items to better places until none has one."""
        for _ in range(MOST_PASSES):
            if not sum(map(self._sift, list(self.line))):
                break

    def kick(self, choose: random.Random) -> None:
        """Move a few items anywhere they may stand."""
        for _ in range(choose.randint(1, 4)):
            item = choose.choice(self.line)
            self._move(self._place[item], choose.randint(*self._bounds(item)))

    def _sift(self, item: int) -> bool:
        """Move one item to where most of its links lead forward; whether that is elsewhere."""
        here = self._place[item]
        low, high = self._bounds(item)
        gains: dict[int, int] = defaultdict(int)
        for source in self._links.above[item]:
            gains[self._place[source] + 1] += 1
        for child in self._links.below[item]:
            gains[self._place[child] + 1] -= 1
        gain = at_home = 0
        best: tuple[int, int] | None = None
        for gap in sorted({low, here, *gains}):
            gain += gains[gap]
            if gap <= here:
                at_home = gain
            if low <= gap <= high and (best is None or gain > best[0]):
                best = (gain, gap)
        if best is None or best[0] <= at_home:
            return False
        self._move(here, best[1])
        return True

    def _bounds(self, item: int) -> tuple[int, int]:
        """The gaps between which the item may stand, so that it and its children can still be derived."""
        low, high = 0, len(self.line)
        for sources in self._links.needs[item]:
            low = max(low, 1 + min(self._place[source] for source in sources))
        for child, number in self._links.needed_by[item]:
            before = self._place[child]
            if not any(self._place[other] < before for other in self._links.needs[child][number] if other != item):
                high = min(high, before)
        return low, high

    def _move(self, here: int, gap: int) -> None:
        item = self.line.pop(here)
        there = gap if gap <= here else gap - 1
        self.line.insert(there, item)
        for place in range(min(here, there), max(here, there) + 1):
            self._place[self.line[place]] = place
