"""Merging to the fixpoint, and the proof that every order of the older exporter merges the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.graph import merge
from cachedoctor.graph.merge import fixpoint
from cachedoctor.graph.quotient import quotient, unmerged
from cachedoctor.graph.records import reachable
from tests.graph import reference
from tests.graph.reference import Document, Record
from tests.graph.strategies import documents, graph_of

MOST_ORDERS = 100


def some_order(records: Sequence[Record], choose: random.Random) -> list[int]:
    """Any order in which each record comes after an alternative of each input."""
    order: list[int] = []
    while True:
        ready = [
            record
            for record, key in enumerate(records)
            if record not in order and all(any(source in order for source, _ in links) for links in key.inputs)
        ]
        if not ready:
            return order
        order.append(choose.choice(ready))


def shuffled(document: Document, place: Sequence[int]) -> Document:
    """The same document with its records in another order."""
    records: list[Document] = [{} for _ in place]
    for record, written in enumerate(document["records"]):
        inputs = [[link | {"link": place[link["link"]]} for link in links] for links in written.get("inputs", [])]
        records[place[record]] = written | {"inputs": inputs}
    return {"records": records}


@settings(max_examples=2500)
@given(documents(cyclic=True, empty=True))
def test_the_fixpoint_is_the_same_as_by_comparing_all_pairs(docs: list[Document]) -> None:
    graph = graph_of(docs)
    records = reference.join(docs)
    result = fixpoint(graph, reachable(graph).order)
    assert result.representative == reference.fixpoint(records)
    assert result.complete != reference.could_mix(records, result.representative)


@settings(max_examples=1500)
@given(documents(empty=True))
def test_the_fixpoint_of_documents_that_can_be_imported(docs: list[Document]) -> None:
    graph = graph_of(docs)
    assert fixpoint(graph, reachable(graph).order).representative == reference.fixpoint(reference.join(docs))


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True, most_documents=2), st.integers(0, 1000))
def test_no_order_changes_the_fixpoint(docs: list[Document], seed: int) -> None:
    """Neither the order of records, nor that of the pairs that the reference compares."""
    records = reference.join(docs)
    choose = random.Random(seed)
    pairs = list(itertools.combinations(sorted(reference.derivable(records)), 2))
    choose.shuffle(pairs)
    expected = reference.fixpoint(records, pairs)
    graph = graph_of(docs)
    for _ in range(3):
        assert fixpoint(graph, some_order(records, choose)).representative == expected


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True), st.integers(0, 1000))
def test_the_order_of_records_in_the_document_does_not_change_the_fixpoint(docs: list[Document], seed: int) -> None:
    choose = random.Random(seed)
    places: list[int] = []
    moved = []
    for doc in docs:
        place = list(range(len(doc["records"])))
        choose.shuffle(place)
        moved.append(shuffled(doc, place))
        places += [len(places) + to for to in place]
    first, second = graph_of(docs), graph_of(moved)
    one_way = fixpoint(first, reachable(first).order).representative
    other_way = fixpoint(second, reachable(second).order).representative
    assert reference.named(one_way) == reference.named([other_way[place] for place in places])


@settings(max_examples=2500)
@given(documents(empty=True, most_orders=MOST_ORDERS))
def test_if_it_is_proved_every_order_of_the_old_exporter_gives_that_partition(docs: list[Document]) -> None:
    graph = graph_of(docs)
    result = fixpoint(graph, reachable(graph).order)
    if result.every_order is None:
        return
    records = reference.join(docs)
    expected = reference.named(result.every_order)
    for arrange in reference.every_order(records):
        assert reference.Export(records, arrange).run().partition() == expected


@settings(max_examples=1000)
@given(documents(empty=True), st.integers(0, 1000))
def test_if_it_is_proved_random_orders_of_larger_graphs_agree(docs: list[Document], seed: int) -> None:
    graph = graph_of(docs)
    result = fixpoint(graph, reachable(graph).order)
    if result.every_order is None:
        return
    records = reference.join(docs)
    choose = random.Random(seed)
    for _ in range(8):
        run = reference.Export(records, lambda record, number, links: choose.sample(links, len(links))).run()
        assert run.partition() == reference.named(result.every_order)


@settings(max_examples=1000)
@given(documents(empty=True))
def test_the_proved_partition_is_not_coarser_than_the_fixpoint(docs: list[Document]) -> None:
    graph = graph_of(docs)
    result = fixpoint(graph, reachable(graph).order)
    if result.every_order is None:
        return
    assert result.every_order == reference.named(result.every_order)
    assert all(
        result.representative[name] == result.representative[record] for record, name in enumerate(result.every_order)
    )


def test_some_partitions_are_proved_and_some_are_not() -> None:
    """Otherwise the properties above would check nothing."""
    root, child = {"digest": "root"}, {"digest": "a", "inputs": [[{"link": 0}]]}
    same = graph_of([{"records": [root, child]}, {"records": [root, child]}])
    result = fixpoint(same, reachable(same).order)
    assert result.representative == [0, 1, 0, 1]
    assert result.every_order is not None
    assert reference.named(result.every_order) == [0, 1, 0, 1]
    more = {"digest": "a", "inputs": [[{"link": 0}, {"link": 0, "selector": "s"}]]}
    other = graph_of([{"records": [root, child]}, {"records": [root, more]}])
    assert fixpoint(other, reachable(other).order).every_order is None


@pytest.mark.parametrize(
    ("fewer", "more", "complete"),
    [([[0]], [[0], [1]], False), ([[1]], [[0], [1]], True), ([[0], [1]], [[0], [2], [1]], True), ([], [[0]], True)],
)
def test_records_with_different_numbers_of_inputs_stay_apart(
    fewer: list[list[int]], more: list[list[int]], complete: bool
) -> None:
    """BuildKit v0.25 and later merge the first two, if the one with more inputs comes first."""
    records: list[Document] = [{"digest": name} for name in "abc"]
    for inputs in (fewer, more):
        links = [[{"link": source} for source in alternatives] for alternatives in inputs]
        records.append({"digest": "x", "inputs": links})
    graph = graph_of([{"records": records}])
    result = fixpoint(graph, reachable(graph).order)
    assert (result.representative, result.complete) == ([0, 1, 2, 3, 4], complete)


def two_that_differ_at_the_second_input() -> Document:
    roots = [{"digest": name} for name in "abc"]
    records = [{"digest": "x", "inputs": [[{"link": 0}], [{"link": source}]]} for source in (1, 2)]
    return {"records": [*roots, *records]}


def test_a_different_alternative_at_a_later_input_is_enough_for_a_proof() -> None:
    graph = graph_of([two_that_differ_at_the_second_input()])
    result = fixpoint(graph, reachable(graph).order)
    assert result.every_order == result.representative == [0, 1, 2, 3, 4]


def test_without_work_left_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "WORK_FLOOR", 0)
    monkeypatch.setattr(merge, "WORK_PER_LINK", 0)
    graph = graph_of([two_that_differ_at_the_second_input()])
    assert fixpoint(graph, reachable(graph).order).every_order is None


@settings(max_examples=1000)
@given(documents(cyclic=True, empty=True))
def test_items_and_links_of_the_merged_graph(docs: list[Document]) -> None:
    records = reference.join(docs)
    graph = graph_of(docs)
    order = reachable(graph).order
    for item in (fixpoint(graph, order).representative, list(range(graph.size))):
        merged = quotient(graph, order, item)
        expected = reference.edges(records, item)
        assert merged.records == reference.items(records, item)
        assert merged.links == len(expected)
        forward = sorted((source, child) for source, linked in enumerate(merged.children) for child in linked)
        assert forward == sorted((source, child) for child, linked in enumerate(merged.sources) for source in linked)
        shown = [(merged.records[source], merged.records[child]) for source, child in forward]
        assert shown == sorted((source, child) for source, child, _, _ in expected)
        targets = {child for _, child, _, _ in expected}
        assert [merged.records[root] for root in merged.roots()] == [
            name for name in merged.records if name not in targets
        ]


@pytest.mark.parametrize(
    ("inputs", "links"),
    [
        ([[("", 0), ("", 0)]], 1),
        ([[("s", 0), ("", 1), ("s", 0)]], 2),
        ([[("s", 0), ("", 0)]], 2),
        ([[("", 0)], [("", 0)]], 2),
    ],
)
def test_a_repeated_link_counts_once(inputs: list[list[tuple[str, int]]], links: int) -> None:
    docs = [[{"selector": selector, "link": source} for selector, source in links] for links in inputs]
    graph = graph_of([{"records": [{"digest": "a"}, {"digest": "b"}, {"digest": "c", "inputs": docs}]}])
    assert quotient(graph, [0, 1, 2], [0, 1, 2]).links == links


@settings(max_examples=200)
@given(documents(cyclic=True, empty=True))
def test_the_unmerged_graph_keeps_dead_records_and_links_as_written(docs: list[Document]) -> None:
    records = reference.join(docs)
    graph = unmerged(graph_of(docs))
    assert graph.records == list(range(len(records)))
    assert graph.sources == [[source for links in key.inputs for source, _ in links] for key in records]
    assert graph.links == sum(map(len, graph.sources))


@settings(max_examples=500)
@given(documents(empty=True))
def test_merging_that_runs_out_of_work_is_correct_but_incomplete(docs: list[Document]) -> None:
    graph = graph_of(docs)
    order = reachable(graph).order
    expected = reference.fixpoint(reference.join(docs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "WORK_FLOOR", 20)
        patch.setattr(merge, "WORK_PER_LINK", 0)
        result = fixpoint(graph, order)
    assert all(expected[name] == expected[record] for record, name in enumerate(result.representative))
    assert result.representative == expected or not result.complete


def test_a_grid_in_which_nothing_merges_runs_out_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell shares its first source with a row, its second source with a column, and both with no other cell."""
    side = 20
    roots = [{"digest": f"{axis}{index}"} for axis in "ab" for index in range(side)]
    cells = [
        {"digest": "cell", "inputs": [[{"link": row}], [{"link": side + column}]]}
        for row in range(side)
        for column in range(side)
    ]
    graph = graph_of([{"records": [*roots, *cells]}])
    order = reachable(graph).order
    result = fixpoint(graph, order)
    assert result.complete
    assert result.representative == list(range(graph.size))
    monkeypatch.setattr(merge, "WORK_FLOOR", 0)
    monkeypatch.setattr(merge, "WORK_PER_LINK", 1)
    assert not fixpoint(graph, order).complete


def test_records_that_share_only_a_dead_alternative_do_not_merge() -> None:
    dead = {"digest": "dead", "inputs": [[]]}
    records = [
        {"digest": "one"},
        {"digest": "two"},
        dead,
        {"digest": "x", "inputs": [[{"link": 0}, {"link": 2}]]},
        {"digest": "x", "inputs": [[{"link": 1}, {"link": 2}]]},
    ]
    graph = graph_of([{"records": records}])
    result = fixpoint(graph, reachable(graph).order)
    assert result.representative == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 30])
def test_merging_continues_upwards_after_sources_merge_late(count: int) -> None:
    """Two towers are built on records that merge only because of a third one, so merging starts late, at the bottom."""
    records: list[Document] = [{"digest": "p"}, {"digest": "q"}]
    records += [{"digest": "base", "inputs": [[{"link": 0}]]}, {"digest": "base", "inputs": [[{"link": 1}]]}]
    for level in range(count):
        at = len(records)
        records += [{"digest": f"{level}", "inputs": [[{"link": at - 2 + side}]]} for side in (0, 1)]
    graph = graph_of([{"records": records}])
    assert fixpoint(graph, reachable(graph).order).representative == list(range(len(records)))
    records.append({"digest": "base", "inputs": [[{"link": 0}, {"link": 1}]]})
    graph = graph_of([{"records": records}])
    merged = [0, 1, *(2 + 2 * (level // 2) for level in range(2 * count + 2)), 2]
    assert fixpoint(graph, reachable(graph).order).representative == merged
