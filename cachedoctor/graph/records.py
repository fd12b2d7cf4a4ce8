"""The graph of cache keys: the records of one or several documents as columns of integers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, compress, pairwise, repeat
from operator import eq, sub

from cachedoctor.cacheconfig import CacheConfig, all_within
from cachedoctor.graph.adjacency import Adjacency


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
    def adjacency(self) -> Adjacency:
        """The records, with all alternatives of all inputs as their sources, as written."""
        return Adjacency([self.links[low:high] for low, high in pairwise(self._starts())])

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


def _within(config: CacheConfig) -> Graph:
    """The graph of one document, without links that point outside it."""
    count = len(config.digests)
    graph = Graph(config.digests, config.input_start, config.link_start, config.links, config.selectors)
    if all_within(config.links, count):
        return graph
    return graph.without([index for index, link in enumerate(config.links) if not 0 <= link < count])
