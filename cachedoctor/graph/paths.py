"""Paths of an acyclic merged graph, counted and never walked."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import add, mul
from typing import NoReturn

from cachedoctor.errors import CountTooLarge
from cachedoctor.graph.adjacency import earliest
from cachedoctor.graph.loops import Acyclic

MOST_BITS_HELD = 8 << 30
"""Bits of counts that may be in memory at once: 1 GiB."""
MOST_BITS_ADDED = 1 << 41
"""Bits that one pass may add up: some 20 seconds of additions."""
SMALL_BITS = 1_024
"""Counts of fewer bits are all kept: 160 bytes for each item at the most."""

_SMALL_PART = 62
"""Bits of a machine integer."""
_SCALE = 512
_LARGE_FLOAT = 2.0**_SCALE
"""Larger floats are divided by this, and how often is kept beside them."""


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
    paths = _small_paths(graph)
    return sum(paths) if paths is not None else _large_walks(graph, ())[0]


def calls_and_hotspots(graph: Acyclic, most: int) -> tuple[int, list[Hotspot]]:
    """As `calls`; and the items that most calls go through, most first, at most `most` of them.

    Where counts are large, candidates are compared by logarithms, and only theirs are kept; so the memory that is
    needed stays that of one front of big integers, however deep the graph is.
    """
    paths = _small_paths(graph)
    if paths is not None:
        walks = _small_walks(graph)
        top = _top(list(map(mul, paths, walks)), most)
        total = sum(paths)
        walks_from = {item: walks[item] for item in top}
        paths_to = {item: _paths_to(graph, item, paths) for item in top}
    else:
        top = _top([round(score, 6) for score in map(add, *logarithms(graph))], most)
        total, walks_from = _large_walks(graph, top)
        paths_to = _large_paths(graph, top)
    fan_out = Counter(filter(walks_from.__contains__, chain.from_iterable(graph.sources)))
    hotspots = [
        Hotspot(item, fan_out[item], number * walks_from[item], number, shares)
        for item, (number, shares) in paths_to.items()
    ]
    return total, sorted(hotspots, key=lambda hotspot: (-hotspot.calls, hotspot.item))


def _top(scores: Sequence[float], most: int) -> set[int]:
    """The items with the highest scores, of equal ones the first."""
    least = min(heapq.nlargest(most, scores), default=0)
    top = {item for item, score in enumerate(scores) if score > least}
    equal = (item for item, score in enumerate(scores) if score == least)
    return top.union(islice(equal, most - len(top)))


def _paths_to(graph: Acyclic, item: int, paths: Sequence[int]) -> tuple[int, dict[int, float]]:
    """The paths to an item, and the fraction of them that each of its sources has."""
    logarithm = math.log2(paths[item])
    return paths[item], {source: 2.0 ** (math.log2(paths[source]) - logarithm) for source in graph.sources[item]}


def max_depth(graph: Acyclic) -> int:
    """Number of links on the longest path."""
    depth = [0] * graph.size
    for item, sources in graph.items:
        if len(sources) == 1:
            depth[item] = depth[sources[0]] + 1
        elif sources:
            depth[item] = max(map(depth.__getitem__, sources)) + 1
    return max(depth, default=0)


def _small_paths(graph: Acyclic) -> list[int] | None:
    """The number of paths from a root to each item, `None` where one has more than `SMALL_BITS`."""
    links = sum(map(len, graph.sources))
    if SMALL_BITS * graph.size > MOST_BITS_HELD or SMALL_BITS * links > MOST_BITS_ADDED:
        return None
    large = 1 << SMALL_BITS
    paths = [1] * graph.size
    for item, sources in graph.items:
        if len(sources) == 1:
            paths[item] = paths[sources[0]]
        elif sources:
            total = paths[item] = sum(map(paths.__getitem__, sources))
            if total >= large:
                return None
    return paths


def _small_walks(graph: Acyclic) -> list[int]:
    """The number of calls of a walk that starts at each item."""
    walks = [1] * graph.size
    sources_of = graph.sources
    for item in reversed(graph.order):
        walk = walks[item]
        for source in sources_of[item]:
            walks[source] += walk
    return walks


def _large_walks(graph: Acyclic, wanted: Collection[int]) -> tuple[int, dict[int, int]]:
    """The number of all paths; and of the calls of a walk that starts at each of the items `wanted`."""
    # The order as written is nearly always good enough, and known.
    walks = _walks_in(graph.order[::-1], graph, wanted)
    if walks is None:
        walks = _walks_in(earliest(graph.children, graph.sources)[0], graph, wanted)
    return walks if walks is not None else _refuse()


def _walks_in(order: Sequence[int], graph: Acyclic, wanted: Collection[int]) -> tuple[int, dict[int, int]] | None:
    """The same, children first in this order; `None` where too much would have to be held.

    Each number is the sum of two, so that the calls of an item's own cost no addition of large ones.
    """
    sources_of = graph.sources
    large, small = [0] * graph.size, [1] * graph.size
    walks = {}
    all_large = all_small = spent = 0
    look_at = _room()
    fold = 1 << min(_SMALL_PART, _room())
    for item in order:
        walk, few = large[item], small[item]
        if few >= fold:
            walk, few = walk + few, 0
        if item in wanted:
            walks[item] = walk + few
        sources = sources_of[item]
        if not sources:
            all_large += walk
            all_small += few
            large[item] = 0
        elif not walk:
            for source in sources:
                small[source] += few
        else:
            for source in sources:
                small[source] += few
                before = large[source]
                large[source] = before + walk if before else walk
            large[item] = 0
            spent += walk.bit_length() * len(sources)
            if spent > look_at:
                if _too_much(large, spent):
                    return None
                look_at = spent + _room()
    return all_large + all_small, walks


def _large_paths(graph: Acyclic, wanted: Collection[int]) -> dict[int, tuple[int, dict[int, float]]]:
    """For each of the items `wanted` what `_paths_to` says."""
    paths = _paths_in(graph.order, graph, wanted)
    if paths is None:
        paths = _paths_in(earliest(graph.sources, graph.children)[0], graph, wanted)
    return paths if paths is not None else _refuse()


def _paths_in(
    order: Sequence[int], graph: Acyclic, wanted: Collection[int]
) -> dict[int, tuple[int, dict[int, float]]] | None:
    """The same, sources first in this order; `None` where too much would have to be held."""
    sources_of = graph.sources
    paths = [0] * graph.size
    needed = Counter(chain.from_iterable(graph.sources))
    paths_to: dict[int, tuple[int, dict[int, float]]] = {}
    spent = 0
    look_at = _room()
    for item in order:
        sources = sources_of[item]
        total = paths[sources[0]] if sources else 1
        for source in sources[1:]:
            total += paths[source]
        paths[item] = total
        spent += total.bit_length() * len(sources)
        if item in wanted:
            paths_to[item] = _paths_to(graph, item, paths)
            if len(paths_to) == len(wanted):
                break
        for source in sources:
            needed[source] -= 1
            if not needed[source]:
                paths[source] = 0
        if spent > look_at:
            if _too_much(paths, spent):
                return None
            look_at = spent + _room()
    return paths_to


def _room() -> int:
    """Bits that may be added up before `_too_much` looks again: what is held cannot grow by more."""
    return min(MOST_BITS_HELD, MOST_BITS_ADDED) // 8


def _too_much(held: Sequence[int], spent: int) -> bool:
    """Whether these numbers take too much memory. Raises `CountTooLarge` after too many additions."""
    if spent > MOST_BITS_ADDED:
        _refuse()
    return sum(map(int.bit_length, held)) > MOST_BITS_HELD


def _refuse() -> NoReturn:
    raise CountTooLarge("their exact number would take more than a GiB of memory, or too long")


def logarithms(graph: Acyclic) -> tuple[list[float], list[float]]:
    """For each item the binary logarithms of the paths to it, and of the calls of a walk that starts at it."""
    return _log_paths(graph), _log_walks(graph)


def _log_paths(graph: Acyclic) -> list[float]:
    paths, scales = [1.0] * graph.size, [0] * graph.size
    for item, sources in graph.items:
        if len(sources) == 1:
            source = sources[0]
            paths[item], scales[item] = paths[source], scales[source]
        elif sources:
            scale = max([scales[source] for source in sources])
            total = 0.0
            for source in sources:
                total += paths[source] if scales[source] == scale else _scaled(paths[source], scales[source] - scale)
            if total >= _LARGE_FLOAT:
                total, scale = _scaled(total, -1), scale + 1
            paths[item], scales[item] = total, scale
    return _logarithms(paths, scales)


def _log_walks(graph: Acyclic) -> list[float]:
    sources_of = graph.sources
    walks, scales = [1.0] * graph.size, [0] * graph.size
    for item in reversed(graph.order):
        walk, scale = walks[item], scales[item]
        if walk >= _LARGE_FLOAT:
            walk, scale = walks[item], scales[item] = _scaled(walk, -1), scale + 1
        for source in sources_of[item]:
            there = scales[source]
            if there == scale:
                walks[source] += walk
            elif there < scale:
                walks[source], scales[source] = walk + _scaled(walks[source], there - scale), scale
            else:
                walks[source] += _scaled(walk, scale - there)
    return _logarithms(walks, scales)


def _scaled(number: float, scales: int) -> float:
    return math.ldexp(number, _SCALE * scales)


def _logarithms(numbers: Sequence[float], scales: Sequence[int]) -> list[float]:
    logarithms = list(map(math.log2, numbers))
    return [one + _SCALE * scale for one, scale in zip(logarithms, scales, strict=True)] if any(scales) else logarithms
