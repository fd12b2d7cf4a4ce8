"""What importers of BuildKit v0.25 to v0.32 lose of a cache: links that they drop, and records that then miss.

They store a cache leaf by leaf (`v1.NewCacheKeyStorage`), in the random order of a Go map. The walk from a leaf goes
depth first to the sources of each item (`v1.addItemToStorage`), and stores what no earlier walk has stored, with its
links. What an earlier walk stored gets one link from each later walk, the first that meets it; the others are lost. A
cache with one leaf loses nothing.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, count, pairwise, repeat
from operator import ne
from typing import NamedTuple

from cachedoctor.graph import leaves
from cachedoctor.graph.records import Adjacency, Graph

MOST_REPLAYS = 32
"""Imports that are replayed at most."""
REPLAY_BUDGET = 300_000
"""Items and links that all replays together may visit, except for the first."""
FEWEST_REPLAYS = 8
"""If not even so many are affordable, one order of leaves is looked at, which tells about how much is lost."""
MOST_COMPARED = 64
"""Leaves up to which more orders are compared than are replayed."""


class Spread(NamedTuple):
    """A number that differs from one import to the next."""

    least: int
    typical: int
    """The median."""
    most: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What importers of BuildKit v0.25 to v0.32 keep of a cache."""

    records: int
    """Merged records that can be derived, found or not."""
    ends: Sequence[int]
    """The leaves: items that no other is made from. Joining records are leaves too, numbered from `records` on."""
    links: int
    """Links between them that close no loop, lost or not."""
    links_lost: Spread
    records_found: Spread
    """Records that can be derived with the links that are left."""
    orders: int
    """How many orders of the leaves were compared; 1 if there is one leaf."""

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return len(self.ends)


def imported(graph: Graph, joining: Sequence[Sequence[int]] = ()) -> Imported:
    """Compare what the importer loses in several orders of leaves and alternatives, the same ones each time.

    `graph` is merged and has no loops. `joining` are the items that each joining record links to; it is a leaf, but
    neither it nor its links are counted. Few orders are replayed if there is much to walk: each is O(items + links).
    """
    ends = _leaves(graph, joining)
    size, links = graph.size, len(graph.links)
    if len(ends) <= 1:
        return Imported(size, ends, links, Spread(0, 0, 0), Spread(size, size, size), orders=1)
    importer = _Importer(graph, joining)
    replays = min(MOST_REPLAYS, REPLAY_BUDGET // (size + links))
    if joining or (replays >= FEWEST_REPLAYS and len(ends) > MOST_COMPARED):
        # The link that a walk keeps may be that of a joining record, which only a walk can tell.
        orders = leaves.seeded(ends, max(1, replays))
        gone = [importer.replay(order, random.Random(seed)) for seed, order in enumerate(orders)]
        lost = list(map(len, gone))
    elif replays < FEWEST_REPLAYS:
        gone = [importer.roughly(order) for order in leaves.seeded(ends, 1)]
        lost = [len(gone[0])]
    else:
        orders, lost = leaves.by_loss(importer.adjacency, ends)
        gone = [importer.replay(order, random.Random(seed)) for seed, order in enumerate(_spaced(orders, replays))]
    found = [size - importer.missed(links_gone) for links_gone in gone]
    return Imported(size, ends, links, _spread(lost), _spread(found), len(lost))


def losable(graph: Graph, joining: Sequence[Sequence[int]] = ()) -> frozenset[int]:
    """The indices of links that can be lost in some order of leaves; a few of them may be safe.

    A link is lost if its source was stored by the walk from a leaf that its item is not part of, and if a later walk
    meets the source more than once. `graph` and `joining` are as for `imported`. O(links * leaves / 64).
    """
    ends = _leaves(graph, joining)
    if len(ends) <= 1:
        return frozenset()
    leaves_above = leaves.needed_by(_adjacency(graph, joining), ends)
    late: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for link, (source, item) in enumerate(zip(graph.links, graph.owners(), strict=True)):
        if leaves_above[source] & ~leaves_above[item]:
            late[source][leaves_above[item]].append(link)
    return frozenset(
        link
        for source, links_to in late.items()
        for above, links in links_to.items()
        if len(links) > 1 or _met_again(leaves_above[source], above, links_to)
        for link in links
    )


def _met_again(of_source: int, above: int, others: Collection[int]) -> bool:
    """Whether a walk that stores items under these leaves may meet their source for other items that it stores.

    `others` are the leaves of those, and another leaf's walk has stored the source. If there are many, it may.
    """
    return len(others) > MOST_COMPARED or any(
        other != above and other & above and of_source & ~above & ~other for other in others
    )


def _leaves(graph: Graph, joining: Sequence[Sequence[int]]) -> list[int]:
    """The items that no other is made from; joining records are items too, and come last."""
    joined = set().union(*joining)
    ends = [item for item in graph.leaves if item not in joined]
    return [*ends, *range(graph.size, graph.size + len(joining))]


def _adjacency(graph: Graph, joining: Sequence[Sequence[int]]) -> Adjacency:
    """The sources of each item, and of each joining record after them."""
    return Adjacency([*graph.adjacency.sources, *map(list, joining)]) if joining else graph.adjacency


def _spaced(orders: Sequence[list[int]], number: int) -> list[list[int]]:
    """So many of the orders, from the first to the last, and some twice if there are fewer."""
    return [orders[(len(orders) - 1) * step // (number - 1)] for step in range(number)]


def _spread(values: Sequence[int]) -> Spread:
    ascending = sorted(values)
    return Spread(ascending[0], ascending[(len(ascending) - 1) // 2], ascending[-1])


class _Importer:
    """Replays `v1.NewCacheKeyStorage` (BuildKit v0.25 to v0.32) over merged records, one order at a time."""

    def __init__(self, graph: Graph, joining: Sequence[Sequence[int]]) -> None:
        self._graph = graph
        self._links = [*graph.links, *chain.from_iterable(joining)] if joining else graph.links
        self._starts = [graph.link_start[slot] for slot in graph.input_start]
        for sources in joining:
            self._starts.append(self._starts[-1] + len(sources))
        self.adjacency = _adjacency(graph, joining)

    def roughly(self, order: Sequence[int]) -> list[int]:
        """The indices of the links that are lost: as many as in any replay, if there is no joining record.

        Of the links of an item to what one later walk stores, the first one written is kept: it takes no walk to find.
        """
        walks, links = self._walks(order), self._graph.links
        of_items = list(chain.from_iterable(map(repeat, walks, map(len, self._graph.adjacency.sources))))
        kept: set[tuple[int, int]] = set()
        lost = []
        for link in compress(count(), map(ne, map(walks.__getitem__, links), of_items)):
            walked = links[link], of_items[link]
            if walked in kept:
                lost.append(link)
            kept.add(walked)
        return lost

    def _walks(self, order: Sequence[int]) -> list[int]:
        """The number of the walk that stores each item: that from the first leaf which is made from it."""
        walks = [len(order)] * len(self.adjacency.sources)
        for walk, leaf in enumerate(order):
            walks[leaf] = walk
        for item in reversed(self.adjacency.topological[0]):
            walk = walks[item]
            for source in self.adjacency.sources[item]:
                if walk < walks[source]:
                    walks[source] = walk
        return walks

    def replay(self, order: Iterable[int], choose: random.Random) -> list[int]:
        """The indices of the links that are lost if alternatives are walked in an order that is chosen."""
        links, stored, met = self._links, [0] * len(self._starts), [0] * len(self._starts)
        steps = self._turned(choose)
        lost = []
        for walk, leaf in enumerate(order, 1):
            stored[leaf] = walk
            stack = [iter(steps(leaf))]
            while stack:
                for link in stack[-1]:
                    source = links[link]
                    by = stored[source]
                    if not by:
                        stored[source] = walk
                        stack.append(iter(steps(source)))
                        break
                    if by != walk:
                        if met[source] == walk:
                            lost.append(link)
                        met[source] = walk
                else:
                    stack.pop()
        return [link for link in lost if link < len(self._graph.links)]

    def _turned(self, choose: random.Random) -> Callable[[int], Sequence[int]]:
        """The links of an item, those of each input from a random one on, as Go walks its small maps."""
        graph, chance = self._graph, choose.random

        def steps(item: int) -> Sequence[int]:
            if item >= graph.size:
                return range(self._starts[item], self._starts[item + 1])
            turned: list[int] = []
            for low, high in pairwise(graph.link_start[graph.input_start[item] : graph.input_start[item + 1] + 1]):
                middle = low + int(chance() * (high - low))
                turned += range(middle, high)
                turned += range(low, middle)
            return turned

        return steps

    def missed(self, lost: Collection[int]) -> int:
        """How many items cannot be derived without these links."""
        gone = set(lost)
        touched = {bisect_right(self._starts, link) - 1 for link in gone}
        missing: set[int] = set()
        sources = self._graph.adjacency.sources
        for item in self._graph.adjacency.topological[0]:
            if (item in touched or not missing.isdisjoint(sources[item])) and self._misses(item, gone, missing):
                missing.add(item)
        return len(missing)

    def _misses(self, item: int, gone: Collection[int], missing: Collection[int]) -> bool:
        """Whether an input of an item has no alternative left."""
        graph = self._graph
        return any(
            all(link in gone or graph.links[link] in missing for link in range(low, high))
            for low, high in pairwise(graph.link_start[graph.input_start[item] : graph.input_start[item + 1] + 1])
        )
