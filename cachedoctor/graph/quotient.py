"""The graph after merging: items instead of records, each link once, and an order in which sources come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat

from cachedoctor.graph.adjacency import Adjacency
from cachedoctor.graph.records import Graph


@dataclass(frozen=True, slots=True)
class MergedGraph:
    """Items and their links, loops still in it. Items are numbered 0 to n - 1.

    A link is one (source, item, input, selector): an item appears in `children[s]` once for each link from `s`.
    """

    records: list[int]
    """A record of each item: the smallest."""
    adjacency: Adjacency
    links: int
    """Number of links."""

    @property
    def sources(self) -> list[list[int]]:
        """The sources of each item, with one entry a link."""
        return self.adjacency.sources

    @property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry a link."""
        return self.adjacency.children

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.records)

    def roots(self) -> list[int]:
        """The items without inputs."""
        return [item for item, sources in enumerate(self.sources) if not sources]


def quotient(graph: Graph, order: Sequence[int], item: Sequence[int]) -> MergedGraph:
    """The graph of the records in `order` under the partition `item` (record to the smallest record of its item).

    Links from records that are not in `order` are left out; these are dead, and BuildKit drops them too.
    """
    if len(order) == graph.size and list(item) == list(range(graph.size)) and _each_link_once(graph):
        return unmerged(graph)
    alive = bytearray(graph.size)
    for record in order:
        alive[record] = 1
    records = [record for record in range(graph.size) if alive[record] and item[record] == record]
    number = [-1] * graph.size
    for index, record in enumerate(records):
        number[record] = index
    links = {
        (number[item[owner]], slot, number[item[source]], selector)
        for owner, slot, source, selector in zip(
            graph.owners(), graph.input_numbers(), graph.links, graph.selectors, strict=True
        )
        if alive[owner] and alive[source]
    }
    sources: list[list[int]] = [[] for _ in records]
    for owner, _, source, _ in sorted(links):
        sources[owner].append(source)
    return MergedGraph(records, Adjacency(sources), len(links))


def unmerged(graph: Graph) -> MergedGraph:
    """Each record an item of its own, and each link as it is written."""
    return MergedGraph(list(range(graph.size)), graph.adjacency, len(graph.links))


def _each_link_once(graph: Graph) -> bool:
    """Whether no input has an alternative twice; selectors are looked at only where sources are the same."""
    sizes = list(map(int.__sub__, graph.link_start[1:], graph.link_start))
    firsts = range(0, graph.size * len(sizes), graph.size or 1)
    keys = list(map(int.__add__, chain.from_iterable(map(repeat, firsts, sizes)), graph.links))
    if len(set(keys)) == len(keys):
        return True
    twice = {key for key, times in Counter(keys).items() if times > 1}
    links = [link for link in zip(keys, graph.selectors, strict=True) if link[0] in twice]
    return len(set(links)) == len(links)
