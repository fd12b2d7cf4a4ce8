"""Paths of an acyclic merged graph, counted and never walked."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cachedoctor.errors import CountTooLarge
from cachedoctor.graph.adjacency import topological_order
from cachedoctor.graph.loops import Acyclic

MOST_BITS_HELD = 8 << 30
"""Bits of counts that may be in memory at once: 1 GiB."""
MOST_BITS_ADDED = 1 << 41
"""Bits that one pass may add up: some 20 seconds of additions."""
SMALL_BITS = 1_024
"""Counts of fewer bits are all kept: 160 bytes for each item at the most."""


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
    """For each of its sources the fraction of `paths` that comes in by one link from there."""


def calls(graph: Acyclic) -> int:
    """Calls that the loop check of BuildKit v0.9 to v0.24 makes: the paths from roots to any item.

    `v1.(*normalizeState).checkLoops` remembers only the path that it is on, so it makes one call for each path. Equal
    to the exporter's own count on acyclic graphs. O(items + links) additions of big integers.
    """
    return sum(paths for _, paths in _paths_from_roots(graph))


def calls_and_log_paths(graph: Acyclic) -> tuple[int, list[float]]:
    """As `calls`; and for each item the binary logarithm of the paths to it."""
    total = 0
    log_paths = [0.0] * len(graph.order)
    for item, paths in _paths_from_roots(graph):
        total += paths
        log_paths[item] = math.log2(paths)
    return total, log_paths


def hotspots(graph: Acyclic, most: int, log_paths: Sequence[float]) -> list[Hotspot]:
    """The items that most calls go through, most first, at most `most` of them.

    Candidates are compared by logarithms, those of their paths given, and their counts are then computed exactly; so
    the memory that is needed stays that of one front of big integers, however deep the graph is.
    """
    heap: list[tuple[float, int, int]] = []
    least = 0.0
    for item, walk in _calls_below(graph):
        score = log_paths[item] + math.log2(walk)
        if score < least:
            continue
        entry = (round(score, 6), -item, walk)
        if len(heap) < most:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
            least = heap[0][0] - 1e-6
    walks = {-negative: walk for _, negative, walk in heap}
    found: list[Hotspot] = []
    for item, paths in _paths_from_roots(graph) if walks else ():
        if item in walks:
            shares = _shares(graph, item, log_paths)
            found.append(Hotspot(item, len(graph.children[item]), paths * walks[item], paths, shares))
            if len(found) == len(walks):
                break
    return sorted(found, key=lambda hotspot: (-hotspot.calls, hotspot.item))


def logarithms(graph: Acyclic) -> tuple[list[float], list[float]]:
    """For each item the binary logarithms of the paths to it, and of the calls of a walk that starts at it."""
    _, log_paths = calls_and_log_paths(graph)
    log_calls = [0.0] * len(graph.order)
    for item, walk in _calls_below(graph):
        log_calls[item] = math.log2(walk)
    return log_paths, log_calls


def _shares(graph: Acyclic, item: int, log_paths: Sequence[float]) -> dict[int, float]:
    return {source: 2.0 ** (log_paths[source] - log_paths[item]) for source in set(graph.sources[item])}


def max_depth(graph: Acyclic) -> int:
    """Number of links on the longest path."""
    depth = [0] * len(graph.order)
    for item in graph.order:
        longest = 0
        for source in graph.sources[item]:
            if depth[source] >= longest:
                longest = depth[source] + 1
        depth[item] = longest
    return max(depth, default=0)


def _paths_from_roots(graph: Acyclic) -> _Sums:
    """Each item with the number of paths from a root to it."""
    own = bytearray(len(graph.order))
    for root in graph.roots:
        own[root] = 1
    return _Sums(graph.order, graph.sources, graph.children, own)


def _calls_below(graph: Acyclic) -> _Sums:
    """Each item with the calls of a walk that starts at it."""
    return _Sums(graph.order[::-1], graph.children, graph.sources, b"\1" * len(graph.order))


class _Sums:
    """Each item with its own number added to the sums of all items before it.

    Where they surely are small, all are added once and kept. Otherwise each iteration adds them anew, and lets a sum go
    once nothing needs it.
    """

    def __init__(
        self,
        order: Sequence[int],
        before: Sequence[Sequence[int]],
        after: Sequence[Sequence[int]],
        own: Sequence[int],
    ) -> None:
        self._before, self._after, self._own = before, after, own
        self._kept = self._all(order)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return self._one_by_one() if self._kept is None else enumerate(self._kept)

    def _all(self, order: Sequence[int]) -> list[int] | None:
        links = sum(map(len, self._before))
        if SMALL_BITS * len(order) > MOST_BITS_HELD or SMALL_BITS * links > MOST_BITS_ADDED:
            return None
        small = 1 << SMALL_BITS
        before, own = self._before, self._own
        sums = [0] * len(order)
        for item in order:
            total = own[item]
            for other in before[item]:
                total += sums[other]
            if total >= small:
                return None
            sums[item] = total
        return sums

    def _one_by_one(self) -> Iterator[tuple[int, int]]:
        # As soon as those before allow: then the fewest sums are needed at once.
        order, _ = topological_order(self._before, self._after)
        sums = [0] * len(order)
        bits = [0] * len(order)
        needed = list(map(len, self._after))
        held = spent = 0
        for item in order:
            total = self._own[item]
            for other in self._before[item]:
                total += sums[other]
                needed[other] -= 1
                if not needed[other]:
                    held -= bits[other]
                    sums[other] = 0
            size = total.bit_length()
            if needed[item]:
                sums[item], bits[item] = total, size
                held += size
            spent += size * (1 + len(self._before[item]))
            if held > MOST_BITS_HELD or spent > MOST_BITS_ADDED:
                raise CountTooLarge("their exact number would take more than a GiB of memory, or too long")
            yield item, total
