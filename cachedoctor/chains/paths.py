"""Paths of an acyclic merged graph, counted and never walked."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cachedoctor.chains.adjacency import topological_order
from cachedoctor.chains.loops import Acyclic

MOST_BITS_HELD = 8 << 30
"""Bits of counts that may be in memory at once: 1 GiB."""
MOST_BITS_ADDED = 1 << 41
"""Bits that one pass may add up: some 20 seconds of additions."""
SMALL_BITS = 1_024
"""Counts of fewer bits than these are all kept."""


class CountTooLarge(Exception):
    """Paths are so many that their exact counts would outgrow `MOST_BITS_HELD` or `MOST_BITS_ADDED`."""


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


def hotspots(graph: Acyclic, most: int) -> list[Hotspot]:
    """The items that most calls go through, most first, at most `most` of them.

    Candidates are compared by logarithms, and their counts are then computed exactly; so the memory that is needed
    stays that of one front of big integers, however deep the graph is.
    """
    log_paths = [0.0] * len(graph.order)
    for item, paths in _paths_from_roots(graph):
        log_paths[item] = math.log2(paths)
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
    found = [
        Hotspot(item, len(graph.children[item]), paths * walks[item], paths, _shares(graph, item, log_paths))
        for item, paths in _paths_from_roots(graph)
        if item in walks
    ]
    return sorted(found, key=lambda hotspot: (-hotspot.calls, hotspot.item))


def logarithms(graph: Acyclic) -> tuple[list[float], list[float]]:
    """For each item the binary logarithms of the paths to it, and of the calls of a walk that starts at it."""
    log_paths = [0.0] * len(graph.order)
    log_calls = [0.0] * len(graph.order)
    for item, paths in _paths_from_roots(graph):
        log_paths[item] = math.log2(paths)
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


def _paths_from_roots(graph: Acyclic) -> Iterable[tuple[int, int]]:
    """Each item with the number of paths from a root to it."""
    own = bytearray(len(graph.order))
    for root in graph.roots:
        own[root] = 1
    kept = _kept_sums(graph.order, graph.sources, own)
    return _sums(graph.order, graph.sources, graph.children, own) if kept is None else enumerate(kept)


def _calls_below(graph: Acyclic) -> Iterable[tuple[int, int]]:
    """Each item with the calls of a walk that starts at it."""
    own = b"\1" * len(graph.order)
    kept = _kept_sums(graph.order[::-1], graph.children, own)
    if kept is not None:
        return enumerate(kept)
    # From the leaves as soon as they allow: then the fewest sums are needed at once.
    order, _ = topological_order(graph.children, graph.sources)
    return _sums(order, graph.children, graph.sources, own)


def _kept_sums(order: Sequence[int], before: Sequence[Sequence[int]], own: Sequence[int]) -> list[int] | None:
    """What `_sums` gives, by item, at the speed of small numbers; `None` where not all are surely small."""
    if len(order) * SMALL_BITS > MOST_BITS_HELD or sum(map(len, before)) * SMALL_BITS > MOST_BITS_ADDED:
        return None
    small = 1 << SMALL_BITS
    sums = [0] * len(order)
    for item in order:
        total = own[item]
        for other in before[item]:
            total += sums[other]
        if total >= small:
            return None
        sums[item] = total
    return sums


def _sums(
    order: Sequence[int], before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], own: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Add to each item's own number the sums of all items before it; a sum is let go once nothing needs it."""
    sums = [0] * len(order)
    needed = list(map(len, after))
    held = spent = 0
    for item in order:
        total = own[item]
        for other in before[item]:
            total += sums[other]
            needed[other] -= 1
            if not needed[other]:
                held -= sums[other].bit_length()
                sums[other] = 0
        if needed[item]:
            sums[item] = total
            held += total.bit_length()
        spent += total.bit_length() * (1 + len(before[item]))
        if held > MOST_BITS_HELD or spent > MOST_BITS_ADDED:
            raise CountTooLarge("their exact number would take more than a GiB of memory, or too long")
        yield item, total
