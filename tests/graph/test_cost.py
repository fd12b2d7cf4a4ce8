"""What an export costs: from one proved order, or from as many replays as the budget allows."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings

from cachedoctor.buildkit import SECONDS_PER_CALL, SECONDS_PER_MARSHAL_STEP, SECONDS_PER_WALK_STEP
from cachedoctor.graph import cost, loops, paths
from cachedoctor.graph.cost import LoopCheckCost, Order, loop_check_cost, seconds
from cachedoctor.graph.layers import marshal_steps
from cachedoctor.graph.merge import fixpoint
from cachedoctor.graph.quotient import quotient, unmerged
from cachedoctor.graph.records import build, reachable
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, graph_of, partition_of
from tests.support import FIXTURES

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())


def cost_of(made: list[Document]) -> LoopCheckCost:
    graph = graph_of(made)
    order = reachable(graph).order
    merge = fixpoint(graph, order)
    return loop_check_cost(graph, order, merge, quotient(graph, order, merge.representative))


def of_orders(orders: list[Order], *, proved: bool = False) -> LoopCheckCost:
    empty = unmerged(build([]))
    return LoopCheckCost(orders, proved, empty, loops.cut(empty), [])


@settings(max_examples=300)
@given(documents(most_orders=48, most_documents=2))
def test_orders_are_those_of_the_reference_exporter(made: list[Document]) -> None:
    """Items and links of each, and where nothing is cut the calls; where one order is said to be all, it is."""
    records = reference.join(made)
    every = set()
    for arrange in reference.every_order(records):
        run = reference.Export(records, arrange).run()
        partition = run.partition()
        items, links = len(run.by_key), len(reference.edges(records, partition))
        try:
            run.check_loops()
        except reference.TooLong:
            return
        every.add(Order(items, links, 0 if run.removed else run.calls, min(run.removed, 1)))
    found = cost_of(made)
    shown = {
        Order(one.items, one.links, 0 if one.links_removed else one.calls, min(one.links_removed, 1))
        for one in found.orders
    }
    assert shown <= every
    if found.proved:
        assert shown == every
        assert len(found.orders) == 1
    assert found.orders == sorted(found.orders, key=lambda one: one.calls)


@settings(max_examples=300)
@given(documents(empty=True))
def test_the_typical_graph_is_that_of_the_median_order(made: list[Document]) -> None:
    records = reference.join(made)
    found = cost_of(made)
    middle, typical = found.middle, found.typical
    partition = partition_of(found.merged)
    assert partition == reference.named(partition)
    assert found.records == reference.items(records, partition)
    assert len(typical.order) == len(found.records) == middle.items
    assert typical.removed == middle.links_removed
    assert paths.calls(typical) == middle.calls
    kept = sum(map(len, typical.sources))
    assert kept + typical.removed == middle.links == len(reference.edges(records, partition))
    position = found.orders.index(middle)
    assert abs(position - (len(found.orders) - 1 - position)) <= 1 or len(set(found.orders)) < len(found.orders)


def test_an_item_is_known_by_its_smallest_record_even_if_another_is_derived_first() -> None:
    """Both roots are one and so are their children; the child of the first root stands last."""
    records: list[Document] = [
        {"digest": "root"},
        {"digest": "root"},
        {"digest": "child", "inputs": [[{"link": 1}]]},
        {"digest": "child", "inputs": [[{"link": 0}]]},
    ]
    found = cost_of([{"records": records}])
    assert (found.records, partition_of(found.merged)) == ([0, 2], [0, 0, 2, 2])


@settings(max_examples=100)
@given(documents(cyclic=True, empty=True))
def test_documents_with_cycles_have_a_cost_too(made: list[Document]) -> None:
    found = cost_of(made)
    assert paths.calls(found.typical) == found.middle.calls
    assert not (found.exact and found.orders[-1].links_removed)


@pytest.mark.parametrize(("budget", "orders"), [(0, 1), (100, 10), (10**9, 200)])
def test_replays_stay_within_their_budget(budget: int, orders: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records of a digest that may join: a graph of four records and five links, ten with the one that is free."""
    records: list[Document] = [
        {"digest": "p"},
        {"digest": "q"},
        {"digest": "x", "inputs": [[{"link": 0}], [{"link": 0}]]},
        {"digest": "x", "inputs": [[{"link": 0}], [{"link": 0}, {"link": 1}]]},
    ]
    monkeypatch.setattr(cost, "ORDER_BUDGET", budget)
    found = cost_of([{"records": records}])
    assert not found.proved
    assert len(found.orders) == orders
    assert found.exact == (orders >= cost.FEWEST_ORDERS)


def test_a_count_is_exact_if_it_is_proved_or_enough_orders_agree() -> None:
    one, other = Order(2, 1, 2, 0), Order(2, 2, 3, 0)
    cut = Order(2, 1, 2, 1)
    assert of_orders([one], proved=True).exact
    assert not of_orders([one]).exact
    assert not of_orders([one] * (cost.FEWEST_ORDERS - 1)).exact
    assert of_orders([one] * cost.FEWEST_ORDERS).exact
    assert not of_orders([one] * cost.FEWEST_ORDERS + [other]).exact
    assert not of_orders([cut] * cost.FEWEST_ORDERS).exact


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_the_median_of_several_orders(count: int) -> None:
    orders = [Order(1, 1, calls, 0) for calls in range(count)]
    assert of_orders(orders).middle.calls == (count - 1) // 2


@pytest.mark.parametrize(
    ("count", "each", "expected"),
    [(0, 1e-9, 0.0), (10**9, 1e-9, 1.0), (10**400, 1e-9, None), (10**308, 1e9, None), (2**1024, 0.5, None)],
)
def test_seconds_past_the_range_of_a_float_are_none(count: int, each: float, expected: float | None) -> None:
    found = seconds(count, each)
    assert found == expected if expected is None else found is not None and math.isclose(found, expected)


@pytest.mark.parametrize(
    "case",
    [
        case
        for case, want in EXPECTED.items()
        if "seconds" in want["exporter_le_0_24"] and len(want["exporter_le_0_24"]["observed"]) == 1
    ],
)
def test_the_time_of_a_call_matches_the_captures(case: str) -> None:
    measured = EXPECTED[case]["exporter_le_0_24"]
    calls = measured["observed"][0]["calls"]
    fast, usual, slow = (seconds(calls, each) for each in SECONDS_PER_CALL)
    assert fast is not None
    assert usual is not None
    assert slow is not None
    assert fast <= min(measured["seconds"])
    assert slow >= max(measured["seconds"])
    assert 0.8 * usual <= min(measured["seconds"]) <= max(measured["seconds"]) <= 1.2 * usual


@pytest.mark.parametrize(("layers", "measured"), [(50, 0.02), (100, 0.27), (200, 3.0), (400, 44.0)])
def test_the_time_to_marshal_a_chain_is_close_to_measurements(layers: int, measured: float) -> None:
    """One chain, each of whose layers is a result as well, on v0.32.2."""
    found = seconds(sum(map(marshal_steps, range(1, layers + 1))), SECONDS_PER_MARSHAL_STEP)
    assert found is not None
    assert measured / 2 <= found <= measured * 2


def test_the_time_of_a_walk_matches_a_measurement() -> None:
    """Ten thousand records in a chain took 3.2 s instead of 0.24 s to be read into themselves."""
    found = seconds(10_000 * 9_999 // 2, SECONDS_PER_WALK_STEP)
    assert found == pytest.approx(3.2 - 0.24, rel=0.1)
