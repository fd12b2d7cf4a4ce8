"""The graph of cache keys: the records of one or several documents as columns of integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, compress, pairwise, repeat
from operator import eq, sub

from cachedoctor.cacheconfig import CacheConfig, all_within
from cachedoctor.graph.joining import leaves_of


@dataclass(frozen=True)
class Graph:
    """Records of all documents, one document after the other, as an importer of several caches would list them.

    Columns are laid out as in `CacheConfig`: the inputs of record `r` are `input_start[r]` to `input_start[r + 1]`,
    the links of input `i` are `link_start[i]` to `link_start[i + 1]`. Links that point outside their document are
    left out, so an input may be empty.
    """

    digests: list[str]
    input_start: list[int]
    link_start: list[int]
    links: list[int]
    selectors: list[str]

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self.digests)

    @cached_property
    def has_empty_input(self) -> bool:
        """Whether any input of any record has no links."""
        return any(map(eq, self.link_start, self.link_start[1:]))

    @cached_property
    def left_out(self) -> frozenset[int]:
        """Records that importers leave out."""
        return left_out(self.digests)

    @cached_property
    def adjacency(self) -> Adjacency:
        """The records, with all alternatives of all inputs as their sources, as written."""
        return Adjacency([self.links[low:high] for low, high in pairwise(self._starts())])

    @cached_property
    def leaves(self) -> list[int]:
        """The records that no other links to, ascending."""
        return leaves_of(self.size, self.links)

    def _starts(self) -> list[int]:
        """Offset of each record's first link; one entry more than there are records."""
        return list(map(self.link_start.__getitem__, self.input_start))

    def arity(self, record: int) -> int:
        """Number of inputs of a record; 0 for a root."""
        return self.input_start[record + 1] - self.input_start[record]

    def span(self, record: int) -> slice:
        """The links of a record, over all its inputs."""
        start, stop = self.input_start[record], self.input_start[record + 1]
        return slice(self.link_start[start], self.link_start[stop])

    def inputs(self, record: int) -> list[list[tuple[int, str]]]:
        """The alternatives of each input of a record, as (source record, selector), each once, in document order."""
        start, stop = self.input_start[record], self.input_start[record + 1]
        bounds = self.link_start[start : stop + 1]
        return [
            list(dict.fromkeys(zip(self.links[low:high], self.selectors[low:high], strict=True)))
            for low, high in pairwise(bounds)
        ]

    def owners(self) -> Iterator[int]:
        """The record that each link belongs to."""
        starts = self._starts()
        counts = map(sub, starts[1:], starts)
        return chain.from_iterable(map(repeat, range(self.size), counts))

    def input_numbers(self) -> Iterator[int]:
        """The number of the input that each link belongs to, counted from 0 in each record."""
        counts = map(sub, self.link_start[1:], self.link_start)
        numbers = chain.from_iterable(map(range, map(self.arity, range(self.size))))
        return chain.from_iterable(map(repeat, numbers, counts))

    def repeated_links(self) -> list[int]:
        """The indices of links that repeat an earlier link of the same input."""
        if len(self.links) == len(self.link_start) - 1 and not self.has_empty_input:
            return []
        sizes = map(sub, self.link_start[1:], self.link_start)
        repeated = []
        for slot, size in enumerate(sizes):
            if size > 1:
                low = self.link_start[slot]
                if len(set(self.links[low : low + size])) < size:
                    seen = set()
                    for index in range(low, low + size):
                        alternative = self.links[index], self.selectors[index]
                        if alternative in seen:
                            repeated.append(index)
                        seen.add(alternative)
        return repeated

    def without(self, gone: Collection[int]) -> Graph:
        """The same records without the links that have these indices."""
        if not gone:
            return self
        kept = bytearray(b"\1") * len(self.links)
        for index in gone:
            kept[index] = 0
        return self._keeping(kept)

    def only(self, records: Sequence[int]) -> Graph:
        """Only these records, given in ascending order, and renumbered. They must include all their sources."""
        number = {record: index for index, record in enumerate(records)}
        slots = [range(self.input_start[record], self.input_start[record + 1]) for record in records]
        spans = [range(self.link_start[slot], self.link_start[slot + 1]) for slot in chain.from_iterable(slots)]
        kept = list(chain.from_iterable(spans))
        return Graph(
            digests=[self.digests[record] for record in records],
            input_start=[0, *accumulate(map(len, slots))],
            link_start=[0, *accumulate(map(len, spans))],
            links=[number[self.links[index]] for index in kept],
            selectors=[self.selectors[index] for index in kept],
        )

    def _keeping(self, kept: bytearray) -> Graph:
        """The same records with only the links whose byte is 1."""
        before = [0, *accumulate(kept)]
        return Graph(
            self.digests,
            self.input_start,
            list(map(before.__getitem__, self.link_start)),
            list(compress(self.links, kept)),
            list(compress(self.selectors, kept)),
        )


def build(configs: Sequence[CacheConfig]) -> Graph:
    """Join the records of several cache configs, in the given order, into one graph.

    BuildKit v0.21 reads several `--cache-from` in this order, one `v1.ParseConfig` after the other.
    """
    parts = [_within(config) for config in configs]
    if len(parts) == 1:
        return parts[0]
    joined = Graph([], [0], [0], [], [])
    for part in parts:
        records, inputs, links = joined.size, len(joined.link_start) - 1, len(joined.links)
        joined.digests.extend(part.digests)
        joined.input_start.extend(start + inputs for start in part.input_start[1:])
        joined.link_start.extend(start + links for start in part.link_start[1:])
        joined.links.extend(link + records for link in part.links)
        joined.selectors.extend(part.selectors)
    return joined


def left_out(digests: Sequence[str]) -> frozenset[int]:
    """The records that importers leave out, since no build ever has their digest again (`v1.(*CacheChains).Add`)."""
    # Nearly all digests begin with `sha256:`, and one comparison is faster than looking at the beginning of each.
    if min(digests, default="sha256:") >= "random;":
        return frozenset()
    return frozenset([record for record, digest in enumerate(digests) if digest.startswith("random:")])


def as_linked(graph: Graph) -> Graph:
    """The records as BuildKit up to v0.24 imports them: link by link, so inputs reach only as far as links do.

    Empty inputs at the end of a record do not exist there, and `[[]]` makes a root (`v1.(*item).LinkFrom`). A link to a
    record that is left out is no link. Returns the same graph if that changes nothing, as for all documents that
    BuildKit writes. The others may have dead records that are not dead here.
    """
    if graph.left_out:
        graph = graph.without([index for index, link in enumerate(graph.links) if link in graph.left_out])
    if not graph.has_empty_input:
        return graph
    input_start, link_start = [0], [0]
    for start, stop in pairwise(graph.input_start):
        while stop > start and graph.link_start[stop - 1] == graph.link_start[stop]:
            stop -= 1
        link_start += graph.link_start[start + 1 : stop + 1]
        input_start.append(len(link_start) - 1)
    return Graph(graph.digests, input_start, link_start, graph.links, graph.selectors)


def _within(config: CacheConfig) -> Graph:
    """The graph of one document, without links that point outside it."""
    count = len(config.digests)
    graph = Graph(config.digests, config.input_start, config.link_start, config.links, config.selectors)
    if all_within(config.links, count):
        return graph
    return graph.without([index for index, link in enumerate(config.links) if not 0 <= link < count])


@dataclass(frozen=True)
class Adjacency:
    """The links between items that are numbered 0 to n - 1. Each property is computed on first use, and kept."""

    sources: list[list[int]]
    """The sources of each item, with one entry per link."""

    @cached_property
    def links(self) -> int:
        """Number of links."""
        return sum(map(len, self.sources))

    @cached_property
    def fan_out(self) -> Counter[int]:
        """The number of links from each item to its children; items without children are left out."""
        return Counter(chain.from_iterable(self.sources))

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry per link."""
        return reverse(self.sources)

    @cached_property
    def ordered(self) -> bool:
        """Whether every item has a higher number than its sources, as in all documents that BuildKit writes."""
        for item, sources in enumerate(self.sources):
            for source in sources:
                if source >= item:
                    return False
        return True

    @cached_property
    def topological(self) -> tuple[list[int], list[int]]:
        """An order in which each item comes after all its sources, and the items that have no place in it.

        The second list has, in ascending order, the items that are in a cycle or below one. The order is that of the
        numbers if possible. Links may be repeated. O(n + links).
        """
        return (list(range(len(self.sources))), []) if self.ordered else self.earliest

    @cached_property
    def earliest(self) -> tuple[list[int], list[int]]:
        """The same, but each item comes as soon as its sources allow (Kahn 1962)."""
        return earliest(self.sources, self.children)


def reverse(sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """Turn the sources of each item into the children of each item, one entry per link."""
    children: list[list[int]] = [[] for _ in sources]
    for item, item_sources in enumerate(sources):
        for source in item_sources:
            children[source].append(item)
    return children


def earliest(sources: Sequence[Sequence[int]], children: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """See `Adjacency.earliest`. `children` is the same graph reversed."""
    waiting = list(map(len, sources))
    order = [item for item, number in enumerate(waiting) if not number]
    for item in order:
        for child in children[item]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    return order, [item for item, number in enumerate(waiting) if number] if len(order) < len(waiting) else []


@dataclass(frozen=True, slots=True)
class Reachable:
    """The records that are not dead."""

    order: list[int]
    """Each after at least one alternative of each of its inputs, and after all of them unless a cycle forbids it."""
    acyclic: bool
    """Whether it is known that there are no cycles, not even among dead records. If false, there may be some."""


def reachable(graph: Graph) -> Reachable:
    """Find the records that can be reached from roots.

    A record is reached once every input has a reached alternative (forward chaining over an AND-OR graph), unless
    importers leave it out. All other records are dead: no lookup can hit them. If there are no cycles, these are the
    records that BuildKit v0.9 to v0.24 drop in `v1.(*item).validate` from what they import (see `as_linked`).
    O(records + links).
    """
    if not graph.has_empty_input and not graph.left_out:
        order, cyclic = graph.adjacency.topological
        if not cyclic:
            return Reachable(order, acyclic=True)
    reached = _chain_forward(graph)
    number = [-1] * graph.size
    for index, record in enumerate(reached):
        number[record] = index
    sources = [[number[link] for link in graph.links[graph.span(record)] if number[link] >= 0] for record in reached]
    order, cyclic = Adjacency(sources).earliest
    return Reachable([reached[index] for index in (*order, *cyclic)], acyclic=False)


def _chain_forward(graph: Graph) -> list[int]:
    """The records that can be reached, in the order in which their first alternatives reach them."""
    waiting = [graph.arity(record) for record in range(graph.size)]
    for record in graph.left_out:
        waiting[record] = -1
    order = [record for record, count in enumerate(waiting) if not count]
    dependents = _dependents(graph)
    filled = bytearray(len(graph.link_start))
    for record in order:
        for slot, child in dependents[record]:
            if not filled[slot]:
                filled[slot] = 1
                waiting[child] -= 1
                if not waiting[child]:
                    order.append(child)
    return order


def _dependents(graph: Graph) -> list[list[tuple[int, int]]]:
    """For each record, the inputs that have it as an alternative, each as (input, record). Inputs are numbered across
    the whole graph."""
    dependents: list[list[tuple[int, int]]] = [[] for _ in range(graph.size)]
    for child in range(graph.size):
        for slot in range(graph.input_start[child], graph.input_start[child + 1]):
            entry = (slot, child)
            for source in graph.links[graph.link_start[slot] : graph.link_start[slot + 1]]:
                dependents[source].append(entry)
    return dependents
