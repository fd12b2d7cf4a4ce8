"""Loops are sets of items that can all reach each other; cutting them leaves an acyclic graph."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from cachedoctor.graph import loops
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.quotient import MergedGraph, unmerged
from cachedoctor.graph.records import Adjacency
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, graph_of, merged_of

SEEDS = range(4)


def links(graph: MergedGraph | Acyclic) -> list[tuple[int, int]]:
    """All links as (source, item), including repeated ones."""
    return sorted((source, item) for item, linked in enumerate(graph.sources) for source in linked)


def is_found(merged: MergedGraph) -> None:
    each = links(merged)
    listed = loops.find(merged)
    assert [loop.items[0] for loop in listed] == sorted(loop.items[0] for loop in listed)
    assert all(loop.items == sorted(loop.items) for loop in listed)
    expected = reference.loops(range(merged.size), each)
    assert {frozenset(loop.items) for loop in listed} == expected
    assert len(listed) == len(expected)
    for loop in listed:
        inside = set(loop.items)
        assert loop.links == sum(source in inside and item in inside for source, item in each)


def is_a_shortest_cycle(merged: MergedGraph, loop: loops.Loop) -> None:
    assert loop.example[0] == loop.items[0]
    assert len(set(loop.example)) == len(loop.example)
    each = set(links(merged))
    assert each >= set(zip(loop.example, [*loop.example[1:], loop.example[0]], strict=True))
    within, length = {loop.items[0]}, 0
    while loop.items[0] not in within or not length:
        within = {item for source, item in each if source in within}
        length += 1
    assert len(loop.example) == length


def is_cut(merged: MergedGraph, acyclic: Acyclic) -> None:
    before, after = links(merged), links(acyclic)
    assert sorted(acyclic.order) == list(range(merged.size))
    position = {item: index for index, item in enumerate(acyclic.order)}
    assert all(position[source] < position[item] for source, item in after)
    assert sorted((source, item) for source, linked in enumerate(acyclic.children) for item in linked) == after
    assert acyclic.removed == len(before) - len(after)
    assert [item for item, sources in enumerate(acyclic.sources) if not sources] == merged.roots()
    gone = set(before) - set(after)
    assert [link for link in before if link not in gone] == after
    below = reference.reach(range(merged.size), before)
    assert all(source in below[item] for source, item in gone)


@settings(max_examples=1500)
@given(documents(cyclic=True, empty=True))
def test_loops_of_merged_items(docs: list[Document]) -> None:
    is_found(merged_of(docs))


@settings(max_examples=500)
@given(documents())
def test_loops_that_only_merging_creates(docs: list[Document]) -> None:
    is_found(merged_of(docs))


@settings(max_examples=1000)
@given(documents(cyclic=True, empty=True, most_documents=1))
def test_loops_of_records_as_written(docs: list[Document]) -> None:
    merged = unmerged(graph_of(docs))
    is_found(merged)
    assert bool(loops.find(merged)) == reference.has_cycle(reference.join(docs))


@settings(max_examples=1000)
@given(documents(cyclic=True, empty=True))
def test_examples_are_shortest_cycles(docs: list[Document]) -> None:
    for merged in (merged_of(docs), unmerged(graph_of(docs))):
        for loop in loops.find(merged):
            is_a_shortest_cycle(merged, loop)


@settings(max_examples=1500)
@given(documents(cyclic=True, empty=True))
def test_cutting_removes_loops_and_nothing_else(docs: list[Document]) -> None:
    merged = merged_of(docs)
    for seed in SEEDS:
        acyclic = loops.cut(merged, seed)
        is_cut(merged, acyclic)
        assert (acyclic.removed > 0) == bool(loops.find(merged))


@settings(max_examples=1000)
@given(documents(cyclic=True, empty=True))
def test_every_item_can_still_be_reached_from_a_root(docs: list[Document]) -> None:
    merged = merged_of(docs)
    for seed in SEEDS:
        acyclic = loops.cut(merged, seed)
        below = reference.reach(range(merged.size), links(acyclic))
        assert set(merged.roots()).union(*(below[root] for root in merged.roots())) == set(range(merged.size))


@settings(max_examples=500)
@given(documents(empty=True, most_documents=1))
def test_cutting_removes_nothing_if_there_are_no_loops(docs: list[Document]) -> None:
    merged = unmerged(graph_of(docs))
    acyclic = loops.cut(merged)
    assert acyclic.removed == 0
    assert links(acyclic) == links(merged)
    assert Adjacency(acyclic.sources).topological == (acyclic.order, [])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_parallel_links_of_a_ring_are_removed_together(count: int) -> None:
    """Two links lead from each item to the next. One pair of items is separated, and both of its links count."""
    ring: list[Document] = [
        {"digest": f"{at}", "inputs": [[{"link": 0}, {"link": at or count}, {"link": at or count, "selector": "s"}]]}
        for at in range(count)
    ]
    merged = merged_of([{"records": [{"digest": "root"}, *ring]}])
    (loop,) = loops.find(merged)
    assert (loop.items, loop.links, loop.example) == (list(range(1, count + 1)), 2 * count, list(range(1, count + 1)))
    for seed in range(20):
        assert loops.cut(merged, seed).removed == 2


def test_different_seeds_cut_different_links() -> None:
    """BuildKit starts its walk anywhere, so the removed links must vary."""
    count = 5
    ring: list[Document] = [
        {"digest": f"{at}", "inputs": [[{"link": 0}, {"link": at or count}]]} for at in range(count)
    ]
    merged = merged_of([{"records": [{"digest": "root"}, *ring]}])
    kept = {tuple(links(loops.cut(merged, seed))) for seed in range(60)}
    assert len(kept) == count
