"""Remove alternatives: all but the cheapest, or just enough to meet a limit."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Literal

from cachedoctor.cacheconfig import encoded_length
from cachedoctor.cacheconfig.document import instant
from cachedoctor.errors import CountTooLarge
from cachedoctor.graph import logarithms, paths
from cachedoctor.graph.records import Graph
from cachedoctor.repairs.draft import Draft

Preference = Literal["cheapest", "definition", "content"]
"""Which of several alternatives that cost the same are kept: any, those with a selector, or those without one."""

Rank = tuple[float, float, float]
"""What links are sorted by; ties are broken by their index."""

JOINING_BYTES = len(',{"digest":"","inputs":[[]]}') + len("sha256:") + 64 - 1
"""Bytes of a joining record in the document, but for its links with a comma each."""
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


def fewest_calls(graph: Graph) -> int:
    """The fewest calls of the loop check that keep every item: those after `minimal`, even if there are loops."""
    return sum(_settle(graph)[1])


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
    held = 0
    for moment in range(count):
        least, item = heapq.heappop(heap)
        held += least.bit_length()
        if held > paths.MOST_BITS_HELD:
            raise CountTooLarge("even the fewest that keep every record would take more than a GiB of memory")
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


def _link_bytes(source: int) -> int:
    """Bytes of a link without a selector in the document, including a comma."""
    return len(f'{{"link":{source}}},')


def _sizes(graph: Graph) -> list[int]:
    """Bytes of each link in the document, including a comma."""
    selected = {selector: len('"selector":,') + encoded_length(selector) for selector in set(graph.selectors)}
    selected[""] = 0
    return [
        _link_bytes(source) + selected[selector] for source, selector in zip(graph.links, graph.selectors, strict=True)
    ]


def least_bytes(draft: Draft, size: int) -> int:
    """No document with all items of the draft is smaller, but some have to be larger. `size` is that of `Draft.plain`.

    It is what is left with only the smallest alternative of each input, and a joining record only for what are leaves
    already. Which alternatives are best if their sources become leaves is a hard problem (it has set cover in it).
    """
    leaves = draft.graph.leaves if draft.joins else []
    joining = JOINING_BYTES + sum(map(_link_bytes, leaves)) if len(leaves) > 1 else 0
    return size - _most_saved(draft.graph, _sizes(draft.graph)) + joining


def _most_saved(graph: Graph, sizes: Sequence[int]) -> int:
    """What all links have together, except one of each input, the smallest."""
    spans = [sizes[low:high] for low, high in pairwise(graph.link_start) if high - low > 1]
    return sum(sum(span) - min(span) for span in spans)


def to_bytes(draft: Draft, excess: int, prefer: Preference) -> bool:
    """Remove just enough alternatives to make the document `excess` bytes smaller. Returns whether there were enough.

    Those that save most are removed first, so that they are few; among those that save nearly the same, the ones that
    cost most. If there were not enough, it goes on until no more can be removed that save anything. That takes at most
    three rounds: one without new leaves, one with them, and one that finds nothing.
    """
    while excess > 0:
        gone, saved = _best(draft, excess, prefer)
        if saved <= 0:
            return False
        draft.prune(gone)
        excess -= saved
    return True


def _best(draft: Draft, excess: int, prefer: Preference) -> tuple[Collection[int], int]:
    """Few links that together save `excess` bytes, or those that save most if none save that, and what they save."""
    saving = _Saving(draft)
    if not saving.optional:
        return (), 0
    _, through = _costs(draft)
    selectors = draft.graph.selectors

    def costliest(index: int, net: int) -> Rank:
        return -((net + 8) // 16), -round(through[index], 6), not _dislike(selectors[index], prefer)

    def largest(index: int, net: int) -> Rank:
        return -net, not _dislike(selectors[index], prefer), -round(through[index], 6)

    # A first joining record takes more bytes than most links save, so it is also tried to do without.
    sproutings = (True, False) if draft.joins and saving.leaves == 1 else (True,)
    # If all of them are not enough, there is nothing to choose.
    ranks = (costliest, largest) if _most_saved(draft.graph, saving.net) >= excess else (largest,)
    choices = [saving.until(excess, rank, sprouting=sprouting) for sprouting in sproutings for rank in ranks]
    enough = [choice for choice in choices if choice[1] >= excess]
    if not enough:
        return max(choices, key=lambda choice: choice[1])
    fewest = min(len(gone) for gone, _ in enough)
    return next(choice for choice in enough if len(choice[0]) * 100 <= fewest * 102)


class _Saving:
    """What removing links saves, less what the joining record grows by if their sources become leaves."""

    def __init__(self, draft: Draft) -> None:
        graph = draft.graph
        self._joins = draft.joins
        self._links = graph.links
        self._sizes = _sizes(graph)
        self._fan_out = graph.adjacency.fan_out
        self.leaves = len(graph.leaves)
        self._first = JOINING_BYTES + _link_bytes(graph.leaves[0]) if draft.joins and self.leaves == 1 else 0
        self.net = self._sizes
        """Bytes that removing each link saves if no other is removed, but for the first joining record."""
        if draft.joins:
            self.net = [
                size - _link_bytes(source) if self._fan_out[source] == 1 else size
                for source, size in zip(self._links, self._sizes, strict=True)
            ]
        self.optional: dict[int, int] = {}
        """The input of each link that is not the only one of its input."""
        for slot, (low, high) in enumerate(pairwise(graph.link_start)):
            if high - low > 1:
                self.optional.update((index, slot) for index in range(low, high))

    def until(self, excess: int, rank: Callable[[int, int], Rank], *, sprouting: bool) -> tuple[list[int], int]:
        """The links that together save `excess` bytes or as much as can be, and what they save.

        Those of the lowest rank are taken first, but for the last one of an input. A link saves less once it is the
        last one of its source, so it is ranked again when its turn comes: O(links · log links). `sprouting`: whether
        there may be more leaves.
        """
        fan_out, first = self._fan_out.copy(), self._first
        others = Counter(self.optional.values())
        turns = _Turns((rank(index, self.net[index]), index) for index in self.optional)
        ranked_again: set[int] = set()
        gone: list[int] = []
        saved = 0
        while saved < excess and (index := turns.next()) >= 0:
            source, slot = self._links[index], self.optional[index]
            ends = self._joins and fan_out[source] == 1
            net = self._sizes[index] - (_link_bytes(source) if ends else 0)
            if others[slot] == 1 or net <= 0 or (ends and not sprouting):
                continue
            if net < self.net[index] and index not in ranked_again:
                ranked_again.add(index)
                turns.put((rank(index, net), index))
                continue
            saved += net
            if ends:
                saved, first = saved - first, 0
            fan_out[source] -= 1
            others[slot] -= 1
            gone.append(index)
        return gone, saved


class _Turns:
    """Links in the order of their ranks, sorted once; the few that are ranked again are kept in a heap."""

    def __init__(self, ranked: Iterable[tuple[Rank, int]]) -> None:
        self._sorted = sorted(ranked, reverse=True)
        self._late: list[tuple[Rank, int]] = []

    def put(self, entry: tuple[Rank, int]) -> None:
        """Rank a link again."""
        heapq.heappush(self._late, entry)

    def next(self) -> int:
        """The link of the lowest rank, which is not returned again; -1 if none is left."""
        if self._late and not (self._sorted and self._sorted[-1] < self._late[0]):
            return heapq.heappop(self._late)[1]
        return self._sorted.pop()[1] if self._sorted else -1


def drop_oldest(draft: Draft, fits: Callable[[], bool]) -> bool:
    """Drop leaf records, those with the oldest results first, until the draft fits. Returns whether it does.

    A record becomes a leaf when everything that is made from it is dropped. Bisection finds how many must be dropped.
    """
    graph, results, items = draft.graph, draft.results, draft.items
    order = _leaves_first(draft)

    def fits_without(dropped: int) -> bool:
        kept = sorted(order[dropped:])
        draft.graph, draft.results = graph.only(kept), results.of_items(kept)
        draft.items = kept if items is None else [items[item] for item in kept]
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
