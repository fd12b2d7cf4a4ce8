"""Replays of the exporter of v0.9 to v0.24, compared with the reference exporter in every order of its maps."""

from __future__ import annotations

import itertools
import json
import random
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings

from cachedoctor.graph import loops, paths
from cachedoctor.graph.quotient import quotient
from cachedoctor.graph.records import reachable
from cachedoctor.graph.replay import Exporter
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, graph_of
from tests.support import FIXTURES

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())
WALKED = [
    case
    for case, want in EXPECTED.items()
    if max((run["calls"] for run in want["exporter_le_0_24"].get("observed", [])), default=10**9) < 600_000
]
MOST_ORDERS = 48
SEEDS = range(5)


def partitions(records: list[reference.Record]) -> dict[tuple[int, ...], reference.Export]:
    """The partitions that the orders of the reference exporter give, each with a run that gave it."""
    by_partition: dict[tuple[int, ...], reference.Export] = {}
    for arrange in reference.every_order(records):
        run = reference.Export(records, arrange).run()
        by_partition.setdefault(tuple(run.partition()), run)
    return by_partition


def is_among_all_orders(docs: list[Document]) -> None:
    """Every replay is a partition that some order gives, and the walk of every order makes one call per path."""
    graph = graph_of(docs)
    order = reachable(graph).order
    every = partitions(reference.join(docs))
    exporter = Exporter(graph, order)
    for seed in SEEDS:
        assert tuple(exporter.replay(seed)) in every
    for partition, run in itertools.islice(every.items(), 8):
        acyclic = loops.cut(quotient(graph, order, partition))
        try:
            run.check_loops()
        except reference.TooLong:
            assert acyclic.removed or paths.calls(acyclic) > run.most_calls
            continue
        assert (acyclic.removed > 0) == (run.removed > 0)
        if not acyclic.removed:
            assert paths.calls(acyclic) == run.calls


@settings(max_examples=1200)
@given(documents(most_orders=MOST_ORDERS))
def test_replays_and_their_calls_are_those_of_some_order(docs: list[Document]) -> None:
    is_among_all_orders(docs)


@settings(max_examples=700)
@given(documents(empty=True, most_orders=MOST_ORDERS))
def test_replays_and_their_calls_with_dead_records(docs: list[Document]) -> None:
    is_among_all_orders(docs)


def test_dead_records_influence_the_order_of_the_importers_list() -> None:
    """The document is listed before it is validated: the dead record 0 leads the importer to record 2 before 1.

    Record 1 can join record 2, and record 2 cannot join record 1.
    """
    records: list[Document] = [
        {"digest": "dead", "inputs": [[], [{"link": 2}]]},
        {"digest": "x", "inputs": [[{"link": 3}], [{"link": 4}]]},
        {"digest": "x", "inputs": [[{"link": 3}], [{"link": 4}, {"link": 5}]]},
        {"digest": "p"},
        {"digest": "q"},
        {"digest": "r"},
    ]
    assert partitions(reference.join([{"records": records}])).keys() == {(0, 1, 1, 3, 4, 5)}
    is_among_all_orders([{"records": records}])


def linked(digest: str, *inputs: list[int]) -> Document:
    return {"digest": digest, "inputs": [[{"link": source} for source in sources] for sources in inputs]}


def test_children_that_come_after_an_alternative_was_looked_up_do_not_match() -> None:
    """The last record looks up the children of record 0 first, and then visits record 8, which makes record 7 a child
    of record 0. Record 8 joins record 6, so record 7 is a child at both inputs in the end, but was not at the first."""
    records = [
        *({"digest": name} for name in "abc"),
        *(linked("x", [0], [at]) for at in (0, 1, 2)),
        linked("y", [2]),
        linked("x", [0], [6]),
        linked("y", [2, 7]),
        linked("x", [0], [8]),
    ]
    records = [{"digest": "first", "inputs": [[{"link": at + 1} for at in (3, 4, 5, 9)]]}, *map(moved, records)]
    assert {partition[10] for partition in partitions(reference.join([{"records": records}]))} == {10}
    graph = graph_of([{"records": records}])
    exporter = Exporter(graph, reachable(graph).order)
    assert {exporter.replay(seed)[10] for seed in range(40)} == {10}


def moved(record: Document) -> Document:
    """The same record, one place further down."""
    inputs = [[{"link": link["link"] + 1} for link in links] for links in record.get("inputs", [])]
    return {**record, "inputs": inputs} if inputs else record


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True))
def test_documents_with_cycles_give_consistent_partitions(docs: list[Document]) -> None:
    """BuildKit refuses them. Here, merged records have the same digest, and dead records stay alone."""
    records = reference.join(docs)
    graph = graph_of(docs)
    order = reachable(graph).order
    alive = set(order)
    for seed in SEEDS:
        item = Exporter(graph, order).replay(seed)
        assert item == reference.named(item)
        assert all(records[name].digest == records[record].digest for record, name in enumerate(item))
        assert all(name == record for record, name in enumerate(item) if record not in alive)
        acyclic = loops.cut(quotient(graph, order, item), seed)
        assert len(acyclic.order) == len({item[record] for record in alive})


@settings(max_examples=200)
@given(documents(empty=True))
def test_a_seed_gives_the_same_replay_each_time(docs: list[Document]) -> None:
    graph = graph_of(docs)
    order = reachable(graph).order
    exporter = Exporter(graph, order)
    first = [exporter.replay(seed) for seed in SEEDS]
    assert [exporter.replay(seed) for seed in reversed(SEEDS)] == first[::-1]
    assert [Exporter(graph, sorted(order)).replay(seed) for seed in SEEDS] == first


def test_of_several_candidates_the_one_whose_number_has_the_smallest_hash_is_joined() -> None:
    count = 12
    roots: list[Document] = [{"digest": f"root {index}"} for index in range(count)]
    each: list[Document] = [{"digest": "x", "inputs": [[{"link": index}]]} for index in range(count)]
    joins = {"digest": "x", "inputs": [[{"link": index} for index in range(count)]]}
    graph = graph_of([{"records": [*roots, *each, joins]}])
    smallest = min(range(count), key=lambda index: sha256(str(index + 1).encode()).digest())
    assert smallest not in (0, count - 1)
    exporter = Exporter(graph, reachable(graph).order)
    for seed in SEEDS:
        assert exporter.replay(seed) == [*range(2 * count), count + smallest]


@pytest.mark.parametrize("case", WALKED)
def test_the_reference_exporter_does_what_buildkit_did(case: str) -> None:
    """The reference is compared with the captures. It walks every path, as BuildKit does."""
    want = EXPECTED[case]
    docs = [json.loads((FIXTURES / name).read_text()) for name in want["inputs"]]
    records = reference.join(docs)
    observed = want["exporter_le_0_24"]["observed"]
    choose = random.Random(0)
    for _ in range(2):
        run = reference.Export(
            records, lambda record, number, links: choose.sample(links, len(links)), most_calls=2_000_000
        ).run()
        partition = run.partition()
        items, links = len(run.by_key), len(reference.edges(records, partition))
        assert items == len(set(map(partition.__getitem__, run.added)))
        run.check_loops()
        seen = [other for other in observed if (other["items"], other["links"]) == (items, links)]
        assert seen
        if max(other["links_removed"] for other in observed):
            assert run.removed
            assert (
                min(other["calls"] for other in seen) / 1.2 <= run.calls <= max(other["calls"] for other in seen) * 1.2
            )
        else:
            assert (run.calls, run.removed) in [(other["calls"], 0) for other in seen]


@pytest.mark.parametrize("seed", range(4))
def test_a_source_that_is_still_being_visited_is_ignored(seed: int) -> None:
    """The fourth record is visited during the visit of the third, which is docs from it, and still joins the second."""
    records: list[Document] = [
        {"digest": "root"},
        {"digest": "x", "inputs": [[{"link": 0}], [{"link": 0}]]},
        {"digest": "z", "inputs": [[{"link": 3}, {"link": 0}]]},
        {"digest": "x", "inputs": [[{"link": 0}], [{"link": 0}, {"link": 2}]]},
    ]
    graph = graph_of([{"records": records}])
    assert Exporter(graph, reachable(graph).order).replay(seed) == [0, 1, 2, 1]
