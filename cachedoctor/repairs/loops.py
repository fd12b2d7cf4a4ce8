"""Which links to remove so that no loop is left, no record is lost, and as few links as possible are removed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from cachedoctor.graph.loops import Loop
from cachedoctor.graph.records import Graph

MOST_SIFTED = 3_000
"""Items of a loop whose best order is searched for. Larger loops are cut by the order in which records are derived."""
BUDGET = 5_000_000
"""Items and links that the search for all loops may visit, roughly."""
MOST_PASSES = 30
MOST_STARTS = 60
MOST_KICKS = 300


def closing(graph: Graph, rank: Sequence[int], loops: Sequence[Loop]) -> list[int]:
    """The indices of links without which there are no loops, and every item can still be derived.

    `rank` is an order in which each item comes after at least one alternative of each of its inputs. Keeping only
    links that lead forward in such an order breaks all loops. To find the order that keeps most links is NP-hard
    (feedback arc set). So several orders are built greedily, the items of each are moved to their best positions until
    nothing improves, and the best order is perturbed and improved again. The same input gives the same links.
    """
    backward = []
    for loop in loops:
        line = sorted(loop.items, key=rank.__getitem__)
        if len(line) <= MOST_SIFTED:
            line = _best_line(_Links(graph, line), line, BUDGET // len(loops))
        position_of = {item: position for position, item in enumerate(line)}
        for item, position in position_of.items():
            span = graph.span(item)
            links = enumerate(graph.links[span], span.start)
            backward += [index for index, source in links if position_of.get(source, -1) >= position]
    return backward


def _best_line(links: _Links, line: list[int], budget: int) -> list[int]:
    """The best order that is found within the budget: the one with most links forward."""
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
    """Take items as they can be derived, first those with few sources left, and if asked for, with many children."""
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
        """For each item, the sources of each input that depends only on this loop."""
        self.above: dict[int, list[int]] = {item: [] for item in items}
        """For each item, its sources in this loop, one entry per link."""
        self.below: dict[int, list[int]] = {item: [] for item in items}
        """For each item, its children in this loop, one entry per link."""
        self.needed_by: dict[int, list[tuple[int, int]]] = {item: [] for item in items}
        """For each item, the needs that it meets, as (child, number of the need)."""
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
    """An order of the items of a loop. The links that lead forward in it are kept.

    Gap `g` is the one before the item at position `g`.
    """

    def __init__(self, links: _Links, line: Sequence[int]) -> None:
        self.line = list(line)
        self._links = links
        self._position = {item: position for position, item in enumerate(line)}

    def forward(self) -> int:
        """Number of links that lead forward."""
        position = self._position
        return sum(position[source] < position[item] for item in self.line for source in self._links.above[item])

    def run(self) -> None:
        """Move items to better positions until there are none."""
        for _ in range(MOST_PASSES):
            if not sum(map(self._sift, list(self.line))):
                break

    def kick(self, choose: random.Random) -> None:
        """Move a few items to random positions where they can still be derived."""
        for _ in range(choose.randint(1, 4)):
            item = choose.choice(self.line)
            self._move(self._position[item], choose.randint(*self._bounds(item)))

    def _sift(self, item: int) -> bool:
        """Move an item to the position where most of its links lead forward. Returns whether it moved."""
        here = self._position[item]
        low, high = self._bounds(item)
        gains: dict[int, int] = defaultdict(int)
        for source in self._links.above[item]:
            gains[self._position[source] + 1] += 1
        for child in self._links.below[item]:
            gains[self._position[child] + 1] -= 1
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
        """The first and last gap to which the item can move so that it and its children can still be derived."""
        low, high = 0, len(self.line)
        for sources in self._links.needs[item]:
            low = max(low, 1 + min(self._position[source] for source in sources))
        for child, number in self._links.needed_by[item]:
            before = self._position[child]
            if not any(self._position[other] < before for other in self._links.needs[child][number] if other != item):
                high = min(high, before)
        return low, high

    def _move(self, here: int, gap: int) -> None:
        item = self.line.pop(here)
        there = gap if gap <= here else gap - 1
        self.line.insert(there, item)
        for position in range(min(here, there), max(here, there) + 1):
            self._position[self.line[position]] = position
