"""Fewer alternatives: the cheapest equal cache, or just enough less to meet a limit."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Literal

from cachedoctor.cacheconfig.document import instant
from cachedoctor.graph import paths
from cachedoctor.graph.logarithms import logarithms
from cachedoctor.graph.records import Graph
from cachedoctor.repairs.draft import Draft

Preference = Literal["cheapest", "definition", "content"]
"""What may decide between alternatives that cost the same: nothing, those with a selector, or those without one."""

MOST_TRIES = 64
"""How often a group of links is put back on trial."""


def minimal(draft: Draft, prefer: Preference) -> None:
    """Keep for each input only the alternative that fewest paths lead to, loops in the draft or not.

    This is Knuth's generalization of Dijkstra's algorithm (1977): with B(v) the sum over inputs of the least B of
    their alternatives, a superior function, items are settled in the order of B, and a choice among settled items
    cannot contain a loop. It minimizes every B at once, and so the calls of the loop check, and keeps every item
    derivable. O(links · log items).
    """
    graph = draft.graph
    settled, paths_to = _settle(graph)
    gone: list[int] = []
    for item, slots in enumerate(pairwise(graph.input_start)):
        for low, high in pairwise(graph.link_start[slots[0] : slots[1] + 1]):
            before = [index for index in range(low, high) if settled[graph.links[index]] < settled[item]]
            kept = min(
                before, key=lambda index: (paths_to[graph.links[index]], _dislike(graph.selectors[index], prefer))
            )
            gone += (index for index in range(low, high) if index != kept)
    draft.prune(gone)


def _settle(graph: Graph) -> tuple[list[int], list[int]]:
    """For each item when it was settled, and the least number of paths to it."""
    count = graph.size
    waiting = list(map(graph.arity, range(count)))
    total = [0] * count
    dependents: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for item, slots in enumerate(pairwise(graph.input_start)):
        for slot in range(*slots):
            for source in graph.links[graph.link_start[slot] : graph.link_start[slot + 1]]:
                dependents[source].append((item, slot))
    filled = bytearray(len(graph.link_start))
    settled = [-1] * count
    heap = [(1, item) for item, inputs in enumerate(waiting) if not inputs]
    heapq.heapify(heap)
    paths_to = [0] * count
    for moment in range(count):
        least, item = heapq.heappop(heap)
        settled[item], paths_to[item] = moment, least
        for child, slot in dependents[item]:
            if not filled[slot]:
                filled[slot] = 1
                total[child] += least
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(heap, (total[child], child))
    return settled, paths_to


def _dislike(selector: str, prefer: Preference) -> bool:
    return {"definition": not selector, "content": bool(selector)}.get(prefer, False)


def _costs(draft: Draft) -> tuple[list[float], list[float]]:
    """For each link the logarithm of the paths to its source, and of the calls that go through it."""
    log_paths, log_calls = logarithms(draft.acyclic())
    to_sources = list(map(log_paths.__getitem__, draft.graph.links))
    owners = map(log_calls.__getitem__, draft.graph.owners())
    return to_sources, [paths_to + calls for paths_to, calls in zip(to_sources, owners, strict=True)]


def _removable(graph: Graph, keep: Callable[[int], tuple[object, ...]]) -> list[int]:
    """The indices of all links but for one of each input, that for which `keep` is least."""
    removable: list[int] = []
    for low, high in pairwise(graph.link_start):
        if high - low > 1:
            kept = min(range(low, high), key=keep)
            removable += (index for index in range(low, high) if index != kept)
    return removable


def _bytes(source: int, selector: str) -> int:
    """Bytes of a link in the document, with the comma that goes with it."""
    return len(f'{{"link":{source}}},') + (len(f'"selector":"{selector}",'.encode()) if selector else 0)


def to_calls(draft: Draft, limit: int, prefer: Preference) -> bool:
    """Remove alternatives that cost most, only until the loop check makes at most `limit` calls; whether it does.

    Links are ranked once by the calls through them; how many of them have to go is found by bisection, and those that
    turn out to be affordable after all are put back, cheapest first, in halving groups. Where no part of them is
    enough, the cheapest equal cache of `minimal` is taken, which may be enough or not.
    """
    graph = draft.graph

    def fits(gone: Collection[int]) -> bool:
        draft.graph = graph.without(gone)
        affordable = paths.calls(draft.acyclic()) <= limit
        draft.graph = graph
        return affordable

    if fits(()):
        return True
    to_sources, through = _costs(draft)

    def dislike(index: int) -> bool:
        return _dislike(graph.selectors[index], prefer)

    ranked = _removable(graph, lambda index: (round(to_sources[index], 6), dislike(index)))
    ranked.sort(key=lambda index: (-round(through[index], 6), not dislike(index)))
    if not fits(ranked):
        minimal(draft, prefer)
        return paths.calls(draft.acyclic()) <= limit
    fewest, enough = 0, len(ranked)
    while fewest + 1 < enough:
        middle = (fewest + enough) // 2
        fewest, enough = (fewest, middle) if fits(ranked[:middle]) else (middle, enough)
    draft.prune(_put_back(ranked[:enough], fits))
    return True


def _put_back(gone: Sequence[int], fits: Callable[[Collection[int]], bool]) -> set[int]:
    """The links that must still be removed; the last ones are put back first."""
    pending = [gone[::-1]]
    out = set(gone)
    for _ in range(MOST_TRIES):
        if not pending:
            break
        group = pending.pop()
        rest = out.difference(group)
        if fits(rest):
            out = rest
        elif len(group) > 1:
            half = len(group) // 2
            pending += [group[half:], group[:half]]
    return out


def to_bytes(draft: Draft, excess: int, prefer: Preference) -> bool:
    """Remove as few alternatives as make the document `excess` bytes smaller; whether there were enough.

    The largest go first, since fewest are wanted; among those of nearly one size, the ones that cost most calls.
    """
    if excess <= 0:
        return True
    graph = draft.graph
    to_sources, through = _costs(draft)
    sizes = list(map(_bytes, graph.links, graph.selectors))
    found = _removable(
        graph,
        lambda index: (sizes[index], _dislike(graph.selectors[index], prefer), round(to_sources[index], 6)),
    )
    by_size = sorted(found, key=lambda index: (-sizes[index], -round(through[index], 6)))
    by_cost = sorted(found, key=lambda index: (-((sizes[index] + 8) // 16), -round(through[index], 6)))
    largest, costliest = _until(by_size, sizes, excess), _until(by_cost, sizes, excess)
    gone = costliest if len(costliest) * 100 <= len(largest) * 102 else largest
    draft.prune(gone)
    return sum(sizes[index] for index in gone) >= excess


def _until(ranked: Sequence[int], sizes: Sequence[int], excess: int) -> list[int]:
    """The first of these links that take so many bytes together."""
    gone = []
    for index in ranked:
        if excess <= 0:
            break
        gone.append(index)
        excess -= sizes[index]
    return gone


def drop_oldest(draft: Draft, fits: Callable[[], bool]) -> bool:
    """Give up leaf records, those with the oldest results first, until the draft fits; whether it does.

    A record becomes a leaf once all that is made from it went. How many have to go is found by bisection.
    """
    graph, results = draft.graph, draft.results
    order = _leaves_first(draft)

    def fits_without(dropped: int) -> bool:
        kept = sorted(order[dropped:])
        draft.graph, draft.results = graph.only(kept), results.of_items(kept)
        return fits()

    few, enough = 0, len(order)
    while few < enough:
        middle = (few + enough) // 2
        few, enough = (few, middle) if fits_without(middle) else (middle + 1, enough)
    draft.removed.dropped_records = [graph.digests[item] for item in order[:enough]]
    return fits_without(enough) and enough < len(order)


def _leaves_first(draft: Draft) -> list[int]:
    """All items, each after its children, of those that can go the one with the oldest results first."""
    graph = draft.acyclic()
    ages = _ages(draft)
    waiting = list(map(len, graph.children))
    heap = [(ages[item], item) for item, count in enumerate(waiting) if not count]
    heapq.heapify(heap)
    order = []
    while heap:
        _, item = heapq.heappop(heap)
        order.append(item)
        for source in graph.sources[item]:
            waiting[source] -= 1
            if not waiting[source]:
                heapq.heappush(heap, (ages[source], source))
    return order


def _ages(draft: Draft) -> list[tuple[str, str]]:
    """The newest date of each item's results; an item without any is as old as can be."""
    results = draft.results
    ages = [max(map(instant, results.created[low:high]), default=("", "")) for low, high in pairwise(results.start)]
    for item, _, created in results.chains:
        ages[item] = max(ages[item], instant(created))
    return ages
