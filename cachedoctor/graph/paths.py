"""Paths of an acyclic merged graph, counted and never walked."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import mul
from typing import TypeVar

from cachedoctor.errors import CountTooLarge
from cachedoctor.graph import logarithms
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.records import earliest

_T = TypeVar("_T")

MOST_BITS_HELD = 8 << 30
"""Bits of counts that may be in memory at once: 1 GiB."""
MOST_BITS_ADDED = 1 << 41
"""Bits that one pass may add up: about 20 seconds of additions."""
SMALL_BITS = 1_024
"""Counts with fewer bits are all kept: at most 160 bytes per item."""

_TOO_LARGE = "their exact number would take more than a GiB of memory, or too long"
_SMALL_PART = 62
"""Bits that a number may have to be added up as a machine integer."""
_FAR_LARGER = 1 << 130
"""To this number, one of `_SMALL_PART` bits adds less than the precision of a float."""


@dataclass(frozen=True, slots=True)
class Hotspot:
    """An item that many calls of the loop check go through."""

    item: int
    fan_out: int
    """Number of links to its children."""
    calls: int
    """Calls that go through it: paths from a root to it, times the calls of a walk that starts at it."""
    paths: int
    """Paths from a root to it."""
    source_shares: dict[int, float]
    """For each of its sources, the fraction of `paths` that arrive through one link from there."""


def calls(graph: Acyclic) -> int:
    """Calls of the loop check of BuildKit v0.9 to v0.24: the number of paths from roots to any item.

    `v1.(*normalizeState).checkLoops` remembers only the path that it is on, so it makes one call per path. For acyclic
    graphs, this is exactly the exporter's own count. O(items + links) additions of big integers.
    """
    paths = _small_paths(graph)
    return sum(paths) if paths is not None else _backwards(graph, partial(_large_walks, graph, None, 0))[0]


def calls_and_hotspots(graph: Acyclic, most: int) -> tuple[int, list[Hotspot]]:
    """The same, and the items that most calls go through, at most `most` of them, most calls first.

    If counts are large, items are compared by logarithms, and only the counts of the best are kept. So memory is needed
    only for the counts at the front of a pass, however deep the graph is.
    """
    paths = _small_paths(graph)
    if paths is not None:
        walks = _small_walks(graph)
        top = _top(list(map(mul, paths, walks)), most)
        total = sum(paths)
        walks_from = {item: walks[item] for item in top}
        paths_to = {item: (paths[item], _shares(graph, item, paths[item], paths)) for item in top}
    else:
        log_paths = logarithms.of_paths(graph)
        total, walks_from = _backwards(graph, partial(_large_walks, graph, log_paths, most))
        paths_to = _forwards(graph, partial(_large_paths, graph, walks_from))
    hotspots = [
        Hotspot(item, graph.adjacency.fan_out[item], number * walks_from[item], number, shares)
        for item, (number, shares) in paths_to.items()
    ]
    return total, sorted(hotspots, key=lambda hotspot: (-hotspot.calls, hotspot.item))


def _top(scores: Sequence[int], most: int) -> set[int]:
    """The items with the highest scores; among equal ones, those with the smallest numbers."""
    least = min(heapq.nlargest(most, scores), default=0)
    top = {item for item, score in enumerate(scores) if score > least}
    equal = (item for item, score in enumerate(scores) if score == least)
    return top.union(islice(equal, most - len(top)))


def _shares(graph: Acyclic, item: int, total: int, paths: Sequence[int]) -> dict[int, float]:
    """The fraction of the paths to an item that each of its sources has."""
    logarithm = math.log2(total)
    return {source: 2.0 ** (math.log2(paths[source]) - logarithm) for source in graph.sources[item]}


def max_depth(graph: Acyclic) -> int:
    """Number of links on the longest path."""
    depth = [0] * graph.size
    for item, sources in graph.forwards:
        if len(sources) == 1:
            depth[item] = depth[sources[0]] + 1
        elif sources:
            depth[item] = max(map(depth.__getitem__, sources)) + 1
    return max(depth, default=0)


def _small_paths(graph: Acyclic) -> list[int] | None:
    """The number of paths from a root to each item; `None` if one of them has more than `SMALL_BITS`."""
    if SMALL_BITS * graph.size > MOST_BITS_HELD or SMALL_BITS * graph.links > MOST_BITS_ADDED:
        return None
    large = 1 << SMALL_BITS
    paths = [1] * graph.size
    for item, sources in graph.forwards:
        if len(sources) == 1:
            paths[item] = paths[sources[0]]
        elif sources:
            total = paths[item] = sum(map(paths.__getitem__, sources))
            if total >= large:
                return None
    return paths


def _small_walks(graph: Acyclic) -> list[int]:
    """For each item, the number of calls of a walk that starts there."""
    walks = [1] * graph.size
    for item, sources in graph.backwards:
        walk = walks[item]
        for source in sources:
            walks[source] += walk
    return walks


def _forwards(graph: Acyclic, count: Callable[[Sequence[int]], _T]) -> _T:
    """Count in an order in which sources come first. The known one is nearly always good enough."""
    try:
        return count(graph.order)
    except _TooMuchHeld:
        return count(graph.adjacency.earliest[0])


def _backwards(graph: Acyclic, count: Callable[[Sequence[int]], _T]) -> _T:
    """The same in an order in which children come first."""
    try:
        return count(graph.order[::-1])
    except _TooMuchHeld:
        return count(earliest(graph.children, graph.sources)[0])


def _large_walks(
    graph: Acyclic, log_paths: Sequence[float] | None, most: int, order: Sequence[int]
) -> tuple[int, dict[int, int]]:
    """The number of all paths, and for the `most` items that most calls go through, the calls of a walk from there.

    Which items these are is decided by logarithms; `log_paths` are those of the paths to each item. Every number has
    two parts, so that counting an item itself does not take an addition of large numbers.
    """
    # The entry after the last item adds up what starts at roots.
    large, small = [0] * (graph.size + 1), [*[1] * graph.size, 0]
    everything = [graph.size]
    sources_of = graph.sources
    best: list[tuple[float, int, int, int]] = []
    least = 0.0
    fold = 1 << min(_SMALL_PART, MOST_BITS_HELD, MOST_BITS_ADDED)
    # Smaller numbers are not accounted for: even all together, they take only an eighth of what is allowed.
    free = min(MOST_BITS_HELD, MOST_BITS_ADDED) // (8 * (graph.size + graph.links + 1))
    account = _Account(large)
    log2, push = math.log2, heapq.heappushpop
    for item in order:
        walk, few = large[item], small[item]
        if few >= fold:
            walk, few = walk + few, 0
        if log_paths:
            score = log_paths[item] + log2(walk if walk >= _FAR_LARGER else walk + few)
            if score >= least:
                candidate = round(score, 6), -item, walk, few
                if len(best) < most:
                    heapq.heappush(best, candidate)
                else:
                    push(best, candidate)
                    least = best[0][0] - 1e-6
        sources = sources_of[item] or everything
        if walk:
            for source in sources:
                small[source] += few
                before = large[source]
                large[source] = before + walk if before else walk
            large[item] = 0
            bits = walk.bit_length()
            if bits > free:
                account.move(item, bits, sources_of[item])
        else:
            for source in sources:
                small[source] += few
    return large[-1] + small[-1], {-negative: walk + few for _, negative, walk, few in best}


def _large_paths(
    graph: Acyclic, wanted: Collection[int], order: Sequence[int]
) -> dict[int, tuple[int, dict[int, float]]]:
    """For each wanted item, the number of paths to it, and the fraction of them that each of its sources has.

    They are counted in this order, in which sources come first.
    """
    sources_of = graph.sources
    paths = [0] * graph.size
    needed = graph.adjacency.fan_out.copy()
    paths_to: dict[int, tuple[int, dict[int, float]]] = {}
    held = spent = 0
    for item in order:
        sources = sources_of[item]
        total = paths[sources[0]] if sources else 1
        for source in sources[1:]:
            total += paths[source]
        bits = total.bit_length()
        spent += bits * len(sources)
        if needed[item]:
            paths[item] = total
            held += bits
        _check(held, spent)
        if item in wanted:
            paths_to[item] = total, _shares(graph, item, total, paths)
            if len(paths_to) == len(wanted):
                break
        for source in sources:
            needed[source] -= 1
            if not needed[source]:
                held -= paths[source].bit_length()
                paths[source] = 0
    return paths_to


class _TooMuchHeld(CountTooLarge):
    """Another order may need less memory."""


def _check(held: int, spent: int) -> None:
    """Raise `CountTooLarge` if too many bits are held in memory, or were added up."""
    if spent > MOST_BITS_ADDED:
        raise CountTooLarge(_TOO_LARGE)
    if held > MOST_BITS_HELD:
        raise _TooMuchHeld(_TOO_LARGE)


class _Account:
    """Keeps track of the bits that a list of sums holds, and of those that were added up.

    A sum is assumed to have as many bits as everything that was added to it. Only if that would be too much, the real
    bits of all sums are counted.
    """

    def __init__(self, sums: Sequence[int]) -> None:
        self._sums = sums
        self._bits = [0] * len(sums)
        self._held = self._spent = 0
        self._next_count = MOST_BITS_HELD

    def move(self, item: int, bits: int, sources: Sequence[int]) -> None:
        """Account for a sum of so many bits that was removed, and added to those of its sources."""
        added = bits * len(sources)
        for source in sources:
            self._bits[source] += bits
        self._held += added - self._bits[item]
        self._spent += added
        if self._held > self._next_count or self._spent > MOST_BITS_ADDED:
            self._bits = list(map(int.bit_length, self._sums))
            self._held = sum(self._bits)
            self._next_count = max(MOST_BITS_HELD, self._held + MOST_BITS_HELD // 8)
            _check(self._held, self._spent)
