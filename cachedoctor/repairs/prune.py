"""Remove alternatives: all but the cheapest, or just enough to meet a limit."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Literal

from cachedoctor.cacheconfig.document import instant
from cachedoctor.graph import logarithms, paths
from cachedoctor.graph.records import Graph
from cachedoctor.repairs.draft import Draft

Preference = Literal["cheapest", "definition", "content"]
"""Which of several alternatives that cost the same are kept: any, those with a selector, or those without one."""

MOST_TRIES = 64
"""How many times it is tried to put back a group of links."""


def minimal(draft: Draft, prefer: Preference) -> None:
    """For each input, keep only the alternative that fewest paths lead to, even if the draft has loops.

    This is Knuth's generalization of Dijkstra's algorithm (1977). B(v), the sum over inputs of the least B of their
    alternatives, is a superior function. Items are settled in the order of B, so alternatives that are settled earlier
    cannot form a loop. It minimizes every B at once, and with them the calls of the loop check, and keeps every item
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
    """For each item, the position in which it was settled, and the least number of paths to it."""
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
    """For each link, the logarithms of the paths to its source and of the calls that go through the link."""
    graph = draft.acyclic()
    log_paths, log_calls = logarithms.of_paths(graph), logarithms.of_walks(graph)
    to_sources = list(map(log_paths.__getitem__, draft.graph.links))
    owners = map(log_calls.__getitem__, draft.graph.owners())
    return to_sources, [paths_to + calls for paths_to, calls in zip(to_sources, owners, strict=True)]


def _removable(graph: Graph, keep: Callable[[int], tuple[object, ...]]) -> list[int]:
    """The indices of all links except one of each input: the one for which `keep` is least."""
    removable: list[int] = []
    for low, high in pairwise(graph.link_start):
        if high - low > 1:
            kept = min(range(low, high), key=keep)
            removable += (index for index in range(low, high) if index != kept)
    return removable


def _bytes(source: int, selector: str) -> int:
    """Bytes of a link in the document, including a comma."""
    return len(f'{{"link":{source}}},') + (len(f'"selector":"{selector}",'.encode()) if selector else 0)


def to_calls(draft: Draft, limit: int, prefer: Preference) -> bool:
    """Remove the alternatives that cost most, just enough for at most `limit` calls. Returns whether that is reached.

    Links are ranked once, by the calls that go through them. Bisection finds how many of them must be removed. Those
    that turn out to be affordable are put back, cheapest first, in groups that are halved. If removing all of them is
    not enough, `minimal` is used instead, which may reach the limit or not.
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
    """The links that must be removed after as many as possible are put back, last ones first."""
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
    """Remove just enough alternatives to make the document `excess` bytes smaller. Returns whether there were enough.

    The largest are removed first, so that they are few; among those of nearly the same size, the ones that cost most.
    """
    if excess <= 0:
        return True
    graph = draft.graph
    to_sources, through = _costs(draft)
    sizes = list(map(_bytes, graph.links, graph.selectors))
    removable = _removable(
        graph,
        lambda index: (sizes[index], _dislike(graph.selectors[index], prefer), round(to_sources[index], 6)),
    )
    by_size = sorted(removable, key=lambda index: (-sizes[index], -round(through[index], 6)))
    by_cost = sorted(removable, key=lambda index: (-((sizes[index] + 8) // 16), -round(through[index], 6)))
    largest, costliest = _until(by_size, sizes, excess), _until(by_cost, sizes, excess)
    gone = costliest if len(costliest) * 100 <= len(largest) * 102 else largest
    draft.prune(gone)
    return sum(sizes[index] for index in gone) >= excess


def _until(ranked: Sequence[int], sizes: Sequence[int], excess: int) -> list[int]:
    """The first of these links that together take `excess` bytes."""
    gone = []
    for index in ranked:
        if excess <= 0:
            break
        gone.append(index)
        excess -= sizes[index]
    return gone


def drop_oldest(draft: Draft, fits: Callable[[], bool]) -> bool:
    """Drop leaf records, those with the oldest results first, until the draft fits. Returns whether it does.

    A record becomes a leaf when everything that is made from it is dropped. Bisection finds how many must be dropped.
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
    """All items, each after its children. Of several leaves, the one with the oldest results comes first."""
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
    """The date of each item's newest result. An item without results is older than any other."""
    results = draft.results
    ages = [max(map(instant, results.created[low:high]), default=("", "")) for low, high in pairwise(results.start)]
    for item, _, created in results.chains:
        ages[item] = max(ages[item], instant(created))
    return ages
