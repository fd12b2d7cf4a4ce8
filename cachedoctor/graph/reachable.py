"""The records that a cache lookup can reach, in an order in which sources come first."""

from __future__ import annotations

from dataclasses import dataclass

from cachedoctor.graph.adjacency import Adjacency
from cachedoctor.graph.records import Graph


@dataclass(frozen=True, slots=True)
class Reachable:
    """The records that are not dead."""

    order: list[int]
    """Each after at least one alternative of each of its inputs, and after all of them unless a cycle forbids it."""
    acyclic: bool
    """Whether it is known that there are no cycles, not even among dead records. If false, there may be some."""


def reachable(graph: Graph) -> Reachable:
    """Find the records that can be reached from roots.

    A record is reached once every input has a reached alternative (forward chaining over an AND-OR graph). All other
    records are dead: no lookup can hit them. If there are no cycles, these are the records that BuildKit v0.9 to v0.24
    drop in `v1.(*item).validate`. O(records + links).
    """
    if not graph.has_empty_input:
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
