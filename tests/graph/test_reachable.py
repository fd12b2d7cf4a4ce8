"""The records that can be reached, and their order."""

from __future__ import annotations

from hypothesis import given, settings

from cachedoctor.graph.records import reachable
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, graph_of


@settings(max_examples=1500)
@given(documents(cyclic=True, empty=True))
def test_reachable_records_are_those_that_repeated_sweeps_find(docs: list[Document]) -> None:
    records = reference.join(docs)
    order = reachable(graph_of(docs)).order
    assert len(order) == len(set(order))
    assert set(order) == reference.derivable(records)
    seen: set[int] = set()
    for record in order:
        assert all(any(source in seen for source, _ in links) for links in records[record].inputs)
        seen.add(record)


@settings(max_examples=500)
@given(documents(empty=True))
def test_without_cycles_every_source_comes_first(docs: list[Document]) -> None:
    records = reference.join(docs)
    alive = reference.derivable(records)
    seen: set[int] = set()
    for record in reachable(graph_of(docs)).order:
        assert {source for links in records[record].inputs for source, _ in links} & alive <= seen
        seen.add(record)


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True))
def test_only_acyclic_graphs_are_called_acyclic(docs: list[Document]) -> None:
    records = reference.join(docs)
    if reachable(graph_of(docs)).acyclic:
        assert not reference.has_cycle(records)
        assert reference.derivable(records) == set(range(len(records)))


@settings(max_examples=500)
@given(documents())
def test_valid_documents_are_always_called_acyclic(docs: list[Document]) -> None:
    assert reachable(graph_of(docs)).acyclic


@settings(max_examples=500)
@given(documents(empty=True))
def test_without_cycles_the_exporter_drops_the_same_records(docs: list[Document]) -> None:
    """It works from inputs without alternatives, the package from roots. Both must arrive at the same records."""
    assert set(reachable(graph_of(docs)).order) == set(reference.Export(reference.join(docs)).run().added)


def test_a_cycle_is_dead_unless_there_is_another_way_in() -> None:
    root, entered = {"digest": "root"}, [[{"link": 0}, {"link": 2}]]
    both: Document = {"records": [root, {"digest": "a", "inputs": entered}, {"digest": "b", "inputs": [[{"link": 1}]]}]}
    assert reachable(graph_of([both])).order == [0, 1, 2]
    closed: Document = {
        "records": [root, {"digest": "a", "inputs": [[{"link": 2}]]}, {"digest": "b", "inputs": [[{"link": 1}]]}]
    }
    assert reachable(graph_of([closed])).order == [0]


def test_dead_alternatives_do_not_delay_a_record() -> None:
    """The last record comes before the one docs from it, although one of its alternatives is dead."""
    records = [
        {"digest": "root"},
        {"digest": "dead", "inputs": [[]]},
        {"digest": "x", "inputs": [[{"link": 0}, {"link": 3}]]},
        {"digest": "y", "inputs": [[{"link": 0}, {"link": 1}]]},
    ]
    assert reachable(graph_of([{"records": records}])).order == [0, 3, 2]
