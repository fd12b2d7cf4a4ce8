"""The graph of several documents, compared with simple numbering."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.graph.records import Graph, as_linked, reachable
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, graph_of

LINKS = st.tuples(st.integers(-2, 4), st.sampled_from(["", "s"]))
INPUTS = st.lists(st.lists(LINKS, max_size=3), max_size=3)


def document(inputs: list[list[list[tuple[int, str]]]]) -> Document:
    return {
        "records": [
            {
                "digest": str(number),
                "inputs": [[{"link": link, "selector": s} for link, s in links] for links in record_inputs],
            }
            for number, record_inputs in enumerate(inputs)
        ]
    }


def read(graph: Graph) -> list[reference.Record]:
    return [reference.Record(graph.digests[record], graph.inputs(record)) for record in range(graph.size)]


@settings(max_examples=300)
@given(documents(cyclic=True, empty=True))
def test_records_of_several_documents_are_numbered_consecutively(docs: list[Document]) -> None:
    assert read(graph_of(docs)) == reference.join(docs)


@settings(max_examples=300)
@given(st.lists(st.lists(INPUTS, max_size=4).map(document), min_size=1, max_size=3))
def test_links_that_leave_their_document_are_dropped_but_their_inputs_stay(docs: list[Document]) -> None:
    """A link to -1 or past the end must not lead to a record of the next document."""
    graph = graph_of(docs)
    expected = reference.join(docs)
    assert read(graph) == expected
    assert graph.has_empty_input == any(not links for key in expected for links in key.inputs)


@settings(max_examples=300)
@given(documents(cyclic=True, empty=True))
def test_columns_match_the_records(docs: list[Document]) -> None:
    graph = graph_of(docs)
    each = list(zip(graph.owners(), graph.input_numbers(), graph.links, graph.selectors, strict=True))
    assert each == [
        (record, number, source, selector)
        for record, key in enumerate(reference.join(docs))
        for number, links in enumerate(key.inputs)
        for source, selector in links
    ]
    for record in range(graph.size):
        assert graph.links[graph.span(record)] == [source for owner, _, source, _ in each if owner == record]
        assert graph.arity(record) == len(graph.inputs(record))


def test_a_repeated_alternative_counts_once() -> None:
    twice = [{"link": 0}, {"link": 0, "selector": "s"}, {"link": 0}]
    graph = graph_of([{"records": [{"digest": "a"}, {"digest": "b", "inputs": [twice]}]}])
    assert graph.inputs(1) == [[(0, ""), (0, "s")]]


@settings(max_examples=300)
@given(documents(cyclic=True, empty=True), st.data())
def test_graphs_without_some_links(docs: list[Document], data: st.DataObject) -> None:
    graph = graph_of(docs)
    gone = data.draw(st.sets(st.integers(0, len(graph.links) - 1))) if graph.links else set()
    index = itertools.count()
    expected = [
        reference.Record(key.digest, [[link for link in links if next(index) not in gone] for links in key.inputs])
        for key in reference.join(docs)
    ]
    assert read(graph.without(gone)) == expected
    assert graph.without(()) is graph


@settings(max_examples=300)
@given(documents(empty=True), st.integers(0, 20))
def test_graphs_of_some_records(docs: list[Document], last: int) -> None:
    """All records that one of them is docs from."""
    graph = graph_of(docs)
    kept, pending = set(), [last % graph.size]
    while pending:
        record = pending.pop()
        kept.add(record)
        pending += graph.links[graph.span(record)]
    order = sorted(kept)
    records = read(graph)
    assert read(graph.only(order)) == [
        reference.Record(
            records[record].digest,
            [[(order.index(source), selector) for source, selector in links] for links in records[record].inputs],
        )
        for record in order
    ]


@settings(max_examples=300)
@given(st.lists(INPUTS, min_size=1, max_size=5).map(document))
def test_repeated_links_are_those_that_an_input_already_has(docs: Document) -> None:
    graph = graph_of([docs])
    seen: set[tuple[int, int, int, str]] = set()
    repeated = []
    for index, link in enumerate(zip(graph.owners(), graph.input_numbers(), graph.links, graph.selectors, strict=True)):
        if link in seen:
            repeated.append(index)
        seen.add(link)
    assert graph.repeated_links() == repeated


@pytest.mark.parametrize(
    ("inputs", "linked"),
    [
        ([[]], []),
        ([[], []], []),
        ([[(0, "")], []], [[(0, "")]]),
        ([[(0, "")], [], [(0, "s")], []], [[(0, "")], [], [(0, "s")]]),
        ([[], [(0, "")]], [[], [(0, "")]]),
        ([[(1, "")], [(0, "")]], [[], [(0, "")]]),
        ([[(0, ""), (1, "")], [(1, "")]], [[(0, "")]]),
        ([[(1, "")]], []),
    ],
)
def test_inputs_reach_as_far_as_links_up_to_v0_24(
    inputs: list[list[tuple[int, str]]], linked: list[list[tuple[int, str]]]
) -> None:
    """Record 0 is a root, and record 1 is left out."""
    doc = document([[], [], inputs, [[(2, "")]]])
    doc["records"][1]["digest"] = "random:1"
    graph = graph_of([doc])
    imported = as_linked(graph)
    assert read(imported)[2:] == [reference.Record("2", linked), reference.Record("3", [[(2, "")]])]
    assert reachable(imported).order == ([0, 2, 3] if all(linked) else [0])
    assert (2 in reachable(graph).order) == all(any(link != 1 for link, _ in links) for links in inputs)


@settings(max_examples=100)
@given(documents(cyclic=True))
def test_documents_without_empty_inputs_are_imported_as_they_are(docs: list[Document]) -> None:
    graph = graph_of(docs)
    assert as_linked(graph) is graph
