"""The cost of an export: from one proved order, or from as many replays as the budget allows."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings

from cachedoctor.buildkit import SECONDS_PER_CALL, SECONDS_PER_MARSHAL_STEP, SECONDS_PER_WALK_STEP
from cachedoctor.graph import certainty, cost, loops, paths
from cachedoctor.graph.cost import LoopCheckCost, Order, seconds
from cachedoctor.graph.layers import marshal_steps
from cachedoctor.graph.quotient import unmerged
from cachedoctor.graph.records import build
from cachedoctor.graph.survey import Survey
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import configs, documents, partition_of
from tests.support import FIXTURES

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())


def cost_of(docs: list[Document]) -> LoopCheckCost:
    return Survey(configs(docs)).loop_check


def of_orders(orders: list[Order], *, proved: bool = False, refused: bool = False) -> LoopCheckCost:
    empty = unmerged(build([]))
    return LoopCheckCost(orders, proved, refused, empty, loops.cut(empty), [])


@settings(max_examples=300)
@given(documents(most_orders=48, most_documents=2))
def test_orders_are_those_of_the_reference_exporter(docs: list[Document]) -> None:
    """They agree on items and links, and on calls if nothing is cut. A proved order is the only one."""
    records = reference.join(docs)
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
    loop_check = cost_of(docs)
    shown = {
        Order(order.items, order.links, 0 if order.links_removed else order.calls, min(order.links_removed, 1))
        for order in loop_check.orders
    }
    assert shown <= every
    if loop_check.proved:
        assert shown == every
        assert len(loop_check.orders) == 1
    assert loop_check.orders == sorted(loop_check.orders, key=lambda order: order.calls)


@settings(max_examples=300)
@given(documents())
def test_the_typical_graph_is_that_of_the_median_order(docs: list[Document]) -> None:
    records = reference.join(docs)
    loop_check = cost_of(docs)
    middle, typical = loop_check.middle, loop_check.typical
    partition = partition_of(loop_check.merged)
    assert partition == reference.named(partition)
    assert loop_check.records == reference.items(records, partition)
    assert len(typical.order) == len(loop_check.records) == middle.items
    assert typical.removed == middle.links_removed
    assert paths.calls(typical) == middle.calls
    kept = sum(map(len, typical.sources))
    assert kept + typical.removed == middle.links == len(reference.edges(records, partition))
    position = loop_check.orders.index(middle)
    assert abs(position - (len(loop_check.orders) - 1 - position)) <= 1 or len(set(loop_check.orders)) < len(
        loop_check.orders
    )


def test_an_item_is_known_by_its_smallest_record_even_if_another_is_derived_first() -> None:
    """The roots are equal, and so are their children. The child of the first root comes last."""
    records: list[Document] = [
        {"digest": "root"},
        {"digest": "root"},
        {"digest": "child", "inputs": [[{"link": 1}]]},
        {"digest": "child", "inputs": [[{"link": 0}]]},
    ]
    loop_check = cost_of([{"records": records}])
    assert (loop_check.records, partition_of(loop_check.merged)) == ([0, 2], [0, 0, 2, 2])


@settings(max_examples=100)
@given(documents(cyclic=True, empty=True))
def test_documents_with_cycles_have_a_cost_too(docs: list[Document]) -> None:
    loop_check = cost_of(docs)
    assert paths.calls(loop_check.typical) == loop_check.middle.calls
    assert not (loop_check.exact and loop_check.orders[-1].links_removed)


TWO_ORDERS: list[Document] = [
    {"digest": "x", "inputs": [[{"link": 3}], [{"link": 3}]]},
    {"digest": "x", "inputs": [[{"link": 3}], [{"link": 3}, {"link": 4}]]},
    {"digest": "top", "inputs": [[{"link": 0}, {"link": 1}]]},
    {"digest": "p"},
    {"digest": "q"},
]
"""Record 0 can join record 1, and record 1 cannot join record 0."""


@pytest.mark.parametrize(("budget", "orders"), [(0, 1), (130, 10), (10**9, 200)])
def test_replays_stay_within_their_budget(budget: int, orders: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five records, seven links, and one for free make thirteen."""
    monkeypatch.setattr(cost, "ORDER_BUDGET", budget)
    loop_check = cost_of([{"records": [TWO_ORDERS[2], *TWO_ORDERS[:2], *TWO_ORDERS[3:]]}])
    assert not loop_check.proved
    assert not loop_check.exact
    assert len(loop_check.orders) == orders


@pytest.mark.parametrize("first", [0, 1])
def test_the_order_of_the_importers_list_can_be_a_proof(first: int) -> None:
    """If another record leads to one of the two before the list does, no order of alternatives makes a difference."""
    leads = {"digest": "leads", "inputs": [[{"link": first}]]}
    records = [*TWO_ORDERS[:2], leads, *TWO_ORDERS[3:]]
    moved = [records[2], *records[:2], *records[3:]]
    place = {0: 1, 1: 2, 2: 0, 3: 3, 4: 4}
    for record in moved:
        for links in record.get("inputs", []):
            links[:] = [{"link": place[link["link"]]} for link in links]
    loop_check = cost_of([{"records": moved}])
    assert loop_check.exact
    assert [order.items for order in loop_check.orders] == [5 - first]


@pytest.mark.parametrize(
    "case", [case for case, want in EXPECTED.items() if len(want["exporter_le_0_24"].get("observed", [])) == 1]
)
def test_the_captures_for_which_buildkit_gave_one_answer_are_proved(case: str) -> None:
    """But for one of them: replays show that it has two answers."""
    docs = [json.loads((FIXTURES / name).read_text()) for name in EXPECTED[case]["inputs"]]
    assert cost_of(docs).exact == (case != "export-13m")


@pytest.mark.parametrize("case", ["shared-copies-t1", "shared-copies t2 + t1"])
def test_without_room_for_its_questions_nothing_is_proved(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one has a tie, so it asks in which order items are created, too."""
    docs = [json.loads((FIXTURES / name).read_text()) for name in EXPECTED[case]["inputs"]]
    survey = Survey(configs(docs))
    work = survey.graph.size + len(survey.graph.links) + 1
    monkeypatch.setattr(cost, "MOST_ORDERS", 1)
    monkeypatch.setattr(certainty, "MOST_BITS", 20 * work)
    assert survey.loop_check.exact == (case == "shared-copies-t1")
    monkeypatch.setattr(certainty, "MOST_BITS", 0)
    assert not cost_of(docs).exact


def test_a_count_is_exact_if_it_is_proved() -> None:
    first = Order(2, 1, 2, 0)
    assert of_orders([first], proved=True).exact
    assert not of_orders([first], proved=True, refused=True).exact
    assert not of_orders([first] * 200).exact


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_the_median_of_several_orders(count: int) -> None:
    orders = [Order(1, 1, calls, 0) for calls in range(count)]
    assert of_orders(orders).middle.calls == (count - 1) // 2


@pytest.mark.parametrize(
    ("count", "each", "expected"),
    [(0, 1e-9, 0.0), (10**9, 1e-9, 1.0), (10**400, 1e-9, None), (10**308, 1e9, None), (2**1024, 0.5, None)],
)
def test_seconds_past_the_range_of_a_float_are_none(count: int, each: float, expected: float | None) -> None:
    loop_check = seconds(count, each)
    assert loop_check == expected if expected is None else loop_check is not None and math.isclose(loop_check, expected)


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
