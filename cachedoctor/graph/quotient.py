"""The graph after merging: items instead of records, and each link once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.graph.records import Adjacency, Graph


@dataclass(frozen=True, slots=True)
class MergedGraph:
    """Items and their links, loops still in it. Items are numbered 0 to n - 1."""

    records: list[int]
    """The smallest record of each item, by which the item is known."""
    item_of: list[int]
    """The item of each record, -1 for those that are dead."""
    graph: Graph
    """The items as if they were records, each with the combined inputs of its records.

    A link is a distinct (source, item, input, selector): an item is in `children[s]` once for each link from `s`.
    """

    @property
    def adjacency(self) -> Adjacency:
        """Which items are made from which."""
        return self.graph.adjacency

    @property
    def sources(self) -> list[list[int]]:
        """The sources of each item, with one entry per link."""
        return self.adjacency.sources

    @property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry per link."""
        return self.adjacency.children

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.records)

    @property
    def links(self) -> int:
        """Number of links."""
        return len(self.graph.links)

    def roots(self) -> list[int]:
        """The items without inputs."""
        return [item for item, sources in enumerate(self.sources) if not sources]


def quotient(graph: Graph, order: Sequence[int], representative: Sequence[int]) -> MergedGraph:
    """Merge the records in `order` into items. `representative` is the smallest record of each record's item.

    Records that are not in `order` are dead. They and the links from them are left out, as BuildKit does. The
    alternatives of an input keep the order of the documents.
    """
    everything = list(range(graph.size))
    if len(order) == graph.size and representative == everything:
        return MergedGraph(everything, everything, graph.without(graph.repeated_links()))
    item_of = _items(order, representative)
    records = [record for record, item in enumerate(item_of) if item >= 0 and representative[record] == record]
    members: list[list[int]] = [[] for _ in records]
    for record, item in enumerate(item_of):
        if item >= 0:
            members[item].append(record)
    return MergedGraph(records, item_of, _joined(graph, item_of, members))


def unmerged(graph: Graph) -> MergedGraph:
    """Every record as its own item, with the links as they are written."""
    everything = list(range(graph.size))
    return MergedGraph(everything, everything, graph)


def _items(order: Sequence[int], representative: Sequence[int]) -> list[int]:
    """The number of each record's item, -1 for records that are not in `order`."""
    named = [-1] * len(representative)
    for record in order:
        named[record] = representative[record]
    number = [0] * len(representative)
    for index, record in enumerate(record for record, name in enumerate(named) if name == record):
        number[record] = index
    return [number[name] if name >= 0 else -1 for name in named]


def _joined(graph: Graph, item_of: Sequence[int], members: Sequence[Sequence[int]]) -> Graph:
    """The items that consist of these records, as records."""
    joined = Graph([graph.digests[records[0]] for records in members], [0], [0], [], [])
    for records in members:
        inputs: list[dict[tuple[int, str], None]] = []
        for record in records:
            for number, slot in enumerate(range(graph.input_start[record], graph.input_start[record + 1])):
                span = slice(graph.link_start[slot], graph.link_start[slot + 1])
                sources = map(item_of.__getitem__, graph.links[span])
                alternatives = dict.fromkeys(zip(sources, graph.selectors[span], strict=True))
                if number == len(inputs):
                    inputs.append(alternatives)
                else:
                    inputs[number] |= alternatives
        for alternatives in inputs:
            for source, selector in alternatives:
                if source >= 0:
                    joined.links.append(source)
                    joined.selectors.append(selector)
            joined.link_start.append(len(joined.links))
        joined.input_start.append(len(joined.link_start) - 1)
    return joined
