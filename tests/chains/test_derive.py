"""Which records can be reached, and in what order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.chains.derive import derive, reverse, topological_order
from tests.chains import reference
from tests.chains.reference import Document
from tests.chains.strategies import documents, graph_of

SOURCES = st.integers(1, 9).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


@settings(max_examples=1500, deadline=None)
@given(documents(cyclic=True, empty=True))
def test_derivable_records_are_those_that_sweeps_reach(made: list[Document]) -> None:
    records = reference.join(made)
    order = derive(graph_of(made)).order
    assert len(order) == len(set(order))
    assert set(order) == reference.derivable(records)
    seen: set[int] = set()
    for record in order:
        assert all(any(source in seen for source, _ in links) for links in records[record].inputs)
        seen.add(record)


@settings(max_examples=500, deadline=None)
@given(documents(empty=True))
def test_without_cycles_every_source_comes_first(made: list[Document]) -> None:
    records = reference.join(made)
    alive = reference.derivable(records)
    seen: set[int] = set()
    for record in derive(graph_of(made)).order:
        assert {source for links in records[record].inputs for source, _ in links} & alive <= seen
        seen.add(record)


@settings(max_examples=500, deadline=None)
@given(documents(cyclic=True, empty=True))
def test_acyclic_is_only_said_of_graphs_that_are(made: list[Document]) -> None:
    records = reference.join(made)
    if derive(graph_of(made)).acyclic:
        assert not reference.has_cycle(records)
        assert reference.derivable(records) == set(range(len(records)))


@settings(max_examples=500, deadline=None)
@given(documents())
def test_acyclic_is_always_said_where_nothing_is_wrong(made: list[Document]) -> None:
    assert derive(graph_of(made)).acyclic


@settings(max_examples=500, deadline=None)
@given(documents(empty=True))
def test_without_cycles_the_exporter_drops_the_same_records(made: list[Document]) -> None:
    """Its worklist starts from inputs without alternatives, forward chaining from roots: they meet."""
    assert set(derive(graph_of(made)).order) == set(reference.Export(reference.join(made)).run().added)


@settings(max_examples=500, deadline=None)
@given(SOURCES)
def test_topological_order(sources: list[list[int]]) -> None:
    order, cyclic = topological_order(sources)
    assert sorted([*order, *cyclic]) == list(range(len(sources)))
    assert cyclic == sorted(cyclic)
    pairs = {(source, item) for item, own in enumerate(sources) for source in own}
    below = reference.reach(range(len(sources)), pairs)
    on_cycles = {item for item in below if item in below[item]}
    assert set(cyclic) == on_cycles.union(*(below[item] for item in on_cycles))
    position = {item: index for index, item in enumerate(order)}
    assert all(position[source] < position[item] for item in order for source in sources[item])


@settings(max_examples=200, deadline=None)
@given(SOURCES)
def test_reverse_keeps_each_link(sources: list[list[int]]) -> None:
    children = reverse(sources)
    forward = sorted((source, item) for source, own in enumerate(children) for item in own)
    assert forward == sorted((source, item) for item, own in enumerate(sources) for source in own)


def test_a_cycle_with_another_way_in_can_be_reached_and_one_without_is_dead() -> None:
    root, entered = {"digest": "root"}, [[{"link": 0}, {"link": 2}]]
    both: Document = {"records": [root, {"digest": "a", "inputs": entered}, {"digest": "b", "inputs": [[{"link": 1}]]}]}
    assert derive(graph_of([both])).order == [0, 1, 2]
    closed: Document = {
        "records": [root, {"digest": "a", "inputs": [[{"link": 2}]]}, {"digest": "b", "inputs": [[{"link": 1}]]}]
    }
    assert derive(graph_of([closed])).order == [0]
