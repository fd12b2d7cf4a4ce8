"""Orders of a graph, and the reversed graph."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.graph.records import Adjacency
from tests.graph import reference

SOURCES = st.integers(1, 9).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


@settings(max_examples=500)
@given(SOURCES)
def test_sources_come_first_and_cycles_are_listed_separately(sources: list[list[int]]) -> None:
    adjacency = Adjacency(sources)
    is_topological(sources, *adjacency.topological)
    is_topological(sources, *adjacency.earliest)


def is_topological(sources: list[list[int]], order: list[int], cyclic: list[int]) -> None:
    assert sorted([*order, *cyclic]) == list(range(len(sources)))
    assert cyclic == sorted(cyclic)
    pairs = {(source, item) for item, linked in enumerate(sources) for source in linked}
    below = reference.reach(range(len(sources)), pairs)
    on_cycles = {item for item in below if item in below[item]}
    assert set(cyclic) == on_cycles.union(*(below[item] for item in on_cycles))
    position = {item: index for index, item in enumerate(order)}
    assert all(position[source] < position[item] for item in order for source in sources[item])


@settings(max_examples=200)
@given(SOURCES)
def test_reversing_keeps_every_link(sources: list[list[int]]) -> None:
    children = Adjacency(sources).children
    forward = sorted((source, item) for source, linked in enumerate(children) for item in linked)
    assert forward == sorted((source, item) for item, linked in enumerate(sources) for source in linked)


def test_the_order_is_that_of_the_numbers_if_possible() -> None:
    """The other order takes each item as soon as its sources allow."""
    adjacency = Adjacency([[], [0], [1], []])
    assert adjacency.topological == ([0, 1, 2, 3], [])
    assert adjacency.earliest == ([0, 3, 1, 2], [])
    assert Adjacency([[1], []]).topological == ([1, 0], [])
