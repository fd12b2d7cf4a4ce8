"""Loops of the merged graph: where they are, and the graph without them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachedoctor.graph.quotient import MergedGraph
from cachedoctor.graph.records import Adjacency, Graph

if TYPE_CHECKING:
    from random import Random

MOST_WORK = 2_000_000
"""Items and links that may be looked at to find out which links are left out when records are added."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A strongly connected component with at least one cycle in it."""

    items: list[int]
    """All its items, ascending."""
    links: int
    """Number of links between them."""
    example: list[int]
    """A shortest cycle through the smallest item: each is a source of the next, and the last is one of the first."""


@dataclass(frozen=True, slots=True)
class Acyclic:
    """A merged graph without loops."""

    adjacency: Adjacency
    removed: int
    """Number of links that were removed to cut its loops."""

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.sources)

    @property
    def links(self) -> int:
        """Number of links."""
        return self.adjacency.links

    @property
    def sources(self) -> list[list[int]]:
        """The sources of each item, with one entry per link; only roots have none."""
        return self.adjacency.sources

    @property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry per link."""
        return self.adjacency.children

    @property
    def order(self) -> list[int]:
        """All items, each after its sources."""
        return self.adjacency.topological[0]

    @property
    def forwards(self) -> Iterator[tuple[int, list[int]]]:
        """All items with their sources, each after its sources."""
        if self.adjacency.ordered:
            return enumerate(self.sources)
        return zip(self.order, map(self.sources.__getitem__, self.order), strict=True)

    @property
    def backwards(self) -> Iterator[tuple[int, list[int]]]:
        """All items with their sources, each before its sources."""
        order = self.order[::-1]
        return zip(order, map(self.sources.__getitem__, order), strict=True)


def cut(merged: MergedGraph, seed: int = 0) -> Acyclic:
    """Remove the links that close loops, in one depth-first pass from the roots whose order depends on the seed.

    BuildKit v0.9 to v0.24 remove all links between two items when the walk of `(*normalizeState).checkLoops` finds
    the second on its own path. They walk every path, while this pass walks each link once, so they may remove other
    links. O(items + links).
    """
    _, cyclic = merged.adjacency.topological
    if not cyclic:
        return Acyclic(merged.adjacency, removed=0)
    gone = _back_links(merged, seed)
    cut_at = {item for _, item in gone}
    kept = [
        [source for source in sources if (source, item) not in gone] if item in cut_at else sources
        for item, sources in enumerate(merged.sources)
    ]
    acyclic = Adjacency(kept)
    return Acyclic(acyclic, merged.links - acyclic.links)


def _back_links(merged: MergedGraph, seed: int) -> set[tuple[int, int]]:
    """The (source, item) pairs whose item is on the path when a depth-first walk follows the link."""
    from random import Random

    random_order = Random(seed)
    starts = merged.roots()
    random_order.shuffle(starts)
    unseen, on_path, done = 0, 1, 2
    state = bytearray(merged.size)
    gone = set()
    for start in [*starts, *range(merged.size)]:
        if state[start] != unseen:
            continue
        state[start] = on_path
        stack = [(start, iter(_shuffled(merged.children[start], random_order)))]
        while stack:
            item, children = stack[-1]
            for child in children:
                if state[child] == unseen:
                    state[child] = on_path
                    stack.append((child, iter(_shuffled(merged.children[child], random_order))))
                    break
                if state[child] == on_path:
                    gone.add((item, child))
            else:
                state[item] = done
                stack.pop()
    return gone


def _shuffled(items: Sequence[int], random_order: Random) -> list[int]:
    shuffled = list(items)
    if len(shuffled) > 1:
        random_order.shuffle(shuffled)
    return shuffled


def find(merged: MergedGraph) -> list[Loop]:
    """All loops, by their smallest item. O(items + links)."""
    _, cyclic = merged.adjacency.topological
    if not cyclic:
        return []
    return sorted(
        (_loop(merged, component) for component in _components(merged, cyclic)), key=lambda loop: loop.items[0]
    )


def _loop(merged: MergedGraph, component: list[int]) -> Loop:
    inside = set(component)
    links = sum(child in inside for item in component for child in merged.children[item])
    return Loop(sorted(component), links, _shortest_cycle(merged, min(component), inside))


def _shortest_cycle(merged: MergedGraph, start: int, inside: set[int]) -> list[int]:
    """Breadth-first from `start` back to itself, inside the component."""
    came_from = {start: start}
    queue = [start]
    for item in queue:
        for child in merged.children[item]:
            if child == start:
                cycle = [item]
                while cycle[-1] != start:
                    cycle.append(came_from[cycle[-1]])
                return cycle[::-1]
            if child in inside and child not in came_from:
                came_from[child] = item
                queue.append(child)
    raise AssertionError("a strongly connected component has a cycle through each of its items")


def _components(merged: MergedGraph, items: Sequence[int]) -> list[list[int]]:
    """Strongly connected components with a cycle (Tarjan 1972, without recursion)."""
    children = merged.children
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    on_stack: set[int] = set()
    stack: list[int] = []
    components = []
    for start in items:
        if start in index:
            continue
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        work = [(start, iter(children[start]))]
        while work:
            item, rest = work[-1]
            for child in rest:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    on_stack.add(child)
                    work.append((child, iter(children[child])))
                    break
                if child in on_stack:
                    low[item] = min(low[item], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[item])
                if low[item] == index[item]:
                    position = len(stack) - 1
                    while stack[position] != item:
                        position -= 1
                    component = stack[position:]
                    del stack[position:]
                    on_stack.difference_update(component)
                    if len(component) > 1 or item in children[item]:
                        components.append(component)
    return components


def closed_when_added(graph: Graph, merged: MergedGraph, found: Sequence[Loop]) -> list[int] | None:
    """The indices of the links of `merged` that BuildKit v0.25 to v0.32 leave out, because they would close a loop.

    `graph` has the records that `merged` was made from. They are added in their order, each after its sources
    (`v1.parseRecord`). A link from a descendant of its item is left out (`v1.(*CacheChains).Add`). `None` if finding
    out would take more than `MOST_WORK` steps.
    """
    loop_of = {item: number for number, loop in enumerate(found) for item in loop.items}
    children: dict[int, set[int]] = {item: set() for item in loop_of}
    added: set[tuple[int, int, int, str]] = set()
    work = MOST_WORK
    for record in _sources_first(graph):
        item = merged.item_of[record]
        if item not in loop_of:
            continue
        below, work = _descendants(children, item, work)
        if work < 0:
            return None
        for number, alternatives in enumerate(graph.inputs(record)):
            for source, selector in alternatives:
                other = merged.item_of[source]
                if loop_of.get(other) == loop_of[item] and other not in below:
                    children[other].add(item)
                    added.add((item, number, other, selector))
    return [
        index
        for item in sorted(loop_of)
        for number, slot in enumerate(range(merged.graph.input_start[item], merged.graph.input_start[item + 1]))
        for index in range(merged.graph.link_start[slot], merged.graph.link_start[slot + 1])
        if loop_of.get(source := merged.graph.links[index]) == loop_of[item]
        and (item, number, source, merged.graph.selectors[index]) not in added
    ]


def _sources_first(graph: Graph) -> Iterator[int]:
    """All records in their order, but each after its sources where no cycle forbids it."""
    seen = bytearray(graph.size)
    for first in range(graph.size):
        stack = [] if seen[first] else [(first, iter(graph.links[graph.span(first)]))]
        seen[first] = 1
        while stack:
            record, sources = stack[-1]
            for source in sources:
                if not seen[source]:
                    seen[source] = 1
                    stack.append((source, iter(graph.links[graph.span(source)])))
                    break
            else:
                yield record
                stack.pop()


def _descendants(children: Mapping[int, Collection[int]], item: int, work: int) -> tuple[set[int], int]:
    """The item with everything that is made from it, and how much work is left; below 0 if it was not enough."""
    below = {item}
    pending = [item]
    while pending and work >= 0:
        made = children[pending.pop()]
        work -= 1 + len(made)
        for child in made:
            if child not in below:
                below.add(child)
                pending.append(child)
    return below, work
