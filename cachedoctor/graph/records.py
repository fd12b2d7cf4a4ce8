"""The graph of cache keys: the records of one or several documents as columns of integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise, repeat

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

    @property
    def has_empty_input(self) -> bool:
        """Whether some input of some record has no link."""
        return any(map(int.__eq__, self.link_start, self.link_start[1:]))

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
        counts = map(int.__sub__, starts[1:], starts)
        return chain.from_iterable(map(repeat, range(self.size), counts))

    def input_numbers(self) -> Iterator[int]:
        """The number of the input that each link belongs to, counted from 0 in each record."""
        counts = map(int.__sub__, self.link_start[1:], self.link_start)
        numbers = chain.from_iterable(map(range, map(self.arity, range(self.size))))
        return chain.from_iterable(map(repeat, numbers, counts))


def build(configs: Sequence[CacheConfig]) -> Graph:
    """Join the records of several cache configs, in the order given, into one graph.

    Follows the order in which BuildKit v0.21 reads several `--cache-from` (one `v1.ParseConfig` after the other).
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
    """The graph of one document without the links that point outside it."""
    count = len(config.digests)
    links, selectors, link_start = config.links, config.selectors, config.link_start
    if not all_within(links, count):
        inside = [0 <= link < count for link in links]
        kept = [0]
        for is_inside in inside:
            kept.append(kept[-1] + is_inside)
        link_start = [kept[start] for start in link_start]
        selectors = [selector for selector, keep in zip(selectors, inside, strict=True) if keep]
        links = [link for link, keep in zip(links, inside, strict=True) if keep]
    return Graph(config.digests, config.input_start, link_start, links, selectors)
