"""The whole survey, compared with captures of BuildKit, and with the reference on small documents."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import decode
from cachedoctor.graph.cost import MOST_HOTSPOTS
from cachedoctor.graph.survey import Survey, survey
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import configs, documents, partition_of
from tests.support import FIXTURES, digest

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())
OBSERVED = {
    case: want["exporter_le_0_24"]["observed"]
    for case, want in EXPECTED.items()
    if "observed" in want["exporter_le_0_24"]
}
REFUSED = [case for case, want in EXPECTED.items() if "error" in want["importer_ge_0_25"]]


@functools.cache
def capture(case: str) -> Survey:
    names: Sequence[str] = EXPECTED[case]["inputs"]
    return survey([decode((FIXTURES / name).read_bytes()) for name in names])


def covers(values: Sequence[int], low: int, high: int) -> bool:
    """Whether a range contains what was observed, with a fifth of slack, and is at most eight times as wide."""
    near = low <= min(values) * 1.2 and high >= max(values) / 1.2
    return near and high <= max(values) * 8 and low * 8 >= min(values)


@pytest.mark.slow
@pytest.mark.parametrize("case", OBSERVED)
def test_items_links_and_calls_match_those_of_buildkit(case: str) -> None:
    """They are equal if BuildKit gave one result and no other is possible, else within the range of orders."""
    result = capture(case).loop_check
    observed = OBSERVED[case]
    for name in ("calls", "items", "links"):
        seen = [run[name] for run in observed]
        replayed = [getattr(order, name) for order in result.orders]
        if result.exact:
            assert set(replayed) == set(seen)
        assert covers(seen, min(replayed), max(replayed))


@pytest.mark.slow
@pytest.mark.parametrize("case", OBSERVED)
def test_links_are_removed_if_buildkit_removed_some(case: str) -> None:
    result = capture(case).loop_check
    removed = max(run["links_removed"] for run in OBSERVED[case])
    assert (max(order.links_removed for order in result.orders) > 0) == (removed > 0)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in OBSERVED if not max(o["links_removed"] for o in OBSERVED[case])])
def test_every_result_of_buildkit_without_loops_is_among_the_orders(case: str) -> None:
    result = {(order.items, order.links, order.calls) for order in capture(case).loop_check.orders}
    assert {(run["items"], run["links"], run["calls"]) for run in OBSERVED[case]} <= result


@pytest.mark.parametrize("case", [case for case in EXPECTED if case not in OBSERVED])
def test_exports_that_buildkit_did_not_finish_take_too_many_calls(case: str) -> None:
    """They were stopped after two hundred million calls."""
    assert capture(case).loop_check.orders[0].calls > 200_000_000


@pytest.mark.parametrize("case", [case for case in EXPECTED if case not in REFUSED])
def test_the_fixpoint_has_the_records_of_the_newer_importer(case: str) -> None:
    """The newer importer drops links that close a loop, so it can only have fewer links."""
    result = capture(case)
    after = EXPECTED[case]["importer_ge_0_25"]
    assert result.merged.size in after["records"]
    assert result.merged.links >= max(after["links"])
    if not result.loops:
        assert result.merged.links in after["links"]


@pytest.mark.parametrize("case", REFUSED)
def test_refused_captures_have_the_empty_input_that_buildkit_reported(case: str) -> None:
    result = capture(case)
    record = int(EXPECTED[case]["importer_ge_0_25"]["error"].rpartition(" ")[2])
    assert not all(result.graph.inputs(record))
    assert result.dead_records > 0


def test_two_clean_tags_form_a_loop_of_seven_together() -> None:
    assert [capture(tag).loops for tag in ("tag-a", "tag-b")] == [[], []]
    both = capture("tag-a + tag-b")
    assert [len(loop.items) for loop in both.loops] == [7]
    assert both.record_cycles == []


def with_results(docs: list[Document], data: bytes) -> list[Document]:
    """The same documents with layers, and with up to two results per record that all have different times."""
    numbers = iter(data)
    second = 0
    for doc in docs:
        count = 1 + next(numbers, 0) % 5
        doc["layers"] = [
            {"blob": "xyz"[next(numbers, 0) % 3], "parent": next(numbers, 0) % (at + 1) - 1} for at in range(count)
        ]
        for record in doc["records"]:
            record["layers"] = []
            for _ in range(next(numbers, 0) % 3):
                second = (second * 7 + 3) % 997
                time = f"2026-11-24T08:{second // 60:02}:{second % 60:02}Z"
                record["layers"].append({"layer": next(numbers, 0) % count, "createdAt": time})
    return docs


def blobs(document: Document, layer: int) -> tuple[str, ...]:
    """The blobs of a layer and all its ancestors."""
    blob, parent = document["layers"][layer]["blob"], document["layers"][layer]["parent"]
    return (blob, *(blobs(document, parent) if parent >= 0 else ()))


@settings(max_examples=300)
@given(
    documents(empty=True).flatmap(
        lambda docs: st.binary(min_size=150, max_size=150).map(lambda data: with_results(docs, data))
    )
)
def test_results_and_the_cost_of_marshalling_them(docs: list[Document]) -> None:
    records = reference.join(docs)
    group = reference.fixpoint(records)
    alive = reference.derivable(records)
    where = [(doc, record) for doc in docs for record in doc["records"]]
    chains: set[tuple[int, tuple[str, ...]]] = set()
    longest: dict[int, int] = {}
    for record in alive:
        document, written = where[record]
        chains.update((group[record], blobs(document, result["layer"])) for result in written["layers"])
        if written["layers"]:
            newest = max(written["layers"], key=lambda result: str(result["createdAt"]))
            length = len(blobs(document, newest["layer"]))
            longest[group[record]] = max(longest.get(group[record], 0), length)
    result = survey(configs(docs))
    assert result.results == len(chains)
    assert result.longest_chain == max(longest.values(), default=0)
    assert result.marshal_steps == sum(length**3 // 4 for length in longest.values())


@settings(max_examples=300)
@given(documents(cyclic=True, empty=True))
def test_counts_of_the_graph(docs: list[Document]) -> None:
    records = reference.join(docs)
    alive = reference.derivable(records)
    group = reference.fixpoint(records)
    names, edges = reference.items(records, group), reference.edges(records, group)
    result = survey(configs(docs))
    assert result.dead_records == len(records) - len(alive)
    assert (result.merged.records, result.merged.links) == (names, len(edges))
    looped = reference.loops(names, {(source, item) for source, item, _, _ in edges})
    assert {frozenset(result.merged.records[item] for item in loop.items) for loop in result.loops} == looped
    assert bool(result.record_cycles) == reference.has_cycle(records)
    if not looped:
        each = [(source, item) for source, item, _, _ in edges]
        ends = {item for _, item in each}
        roots = [name for name in names if name not in ends]
        lengths = [len(path) - 1 for path in reference.every_path(roots, list(set(each)))]
        assert result.max_depth == max(lengths, default=0)
        assert result.walk.steps == sum(len(reference.descendants(name, each)) for name in names)


@settings(max_examples=300)
@given(documents())
def test_the_paths_of_a_hotspot_are_divided_among_its_inputs(docs: list[Document]) -> None:
    """Each input has the alternatives of all records of the item, and the share of paths that arrive there."""
    records = reference.join(docs)
    result = survey(configs(docs))
    check = result.loop_check
    if check.typical.removed:
        return
    edges = reference.edges(records, partition_of(check.merged))
    ways: dict[int, int] = {}

    def ways_to(name: int) -> int:
        if name not in ways:
            ways[name] = sum(ways_to(source) for source, item, _, _ in edges if item == name) or 1
        return ways[name]

    assert len(result.hotspots) == min(MOST_HOTSPOTS, len(check.records))
    for hotspot, inputs in zip(result.hotspots, result.hotspot_inputs, strict=True):
        name = check.records[hotspot.item]
        by_input = [
            [source for source, item, at, _ in edges if (item, at) == (name, number)] for number in range(len(inputs))
        ]
        assert {at for _, item, at, _ in edges if item == name} == set(range(len(inputs)))
        assert [arrival.alternatives for arrival in inputs] == [len(sources) for sources in by_input]
        for arrival, sources in zip(inputs, by_input, strict=True):
            expected = Fraction(sum(map(ways_to, sources)), ways_to(name))
            assert arrival.share == pytest.approx(float(expected))


def test_names_of_records_have_their_document_and_index() -> None:
    first: Document = {"records": [{"digest": digest("a")}, {"digest": digest("b")}]}
    empty: Document = {"records": []}
    last: Document = {"records": [{"digest": digest("c")}, {"digest": digest("d")}]}
    result = survey(configs([first, empty, last]))
    assert [result.place(record) for record in range(4)] == [(0, 0), (0, 1), (2, 0), (2, 1)]
    twelve = digest("c").removeprefix("sha256:")[:12]
    assert result.name(2) == f"record 0 of source 3 ({twelve})"
    assert survey(configs([last])).name(0) == f"record 0 ({twelve})"


@pytest.mark.parametrize(("first", "second", "results"), [([0, 1], [2, 1], 1), ([0, 1], [1], 2), ([0, 1], [1, 0], 2)])
def test_chains_with_equal_layers_are_the_same_result(first: list[int], second: list[int], results: int) -> None:
    listed = [{"blob": "a", "parent": -1}, {"blob": "b", "parent": 0}, {"blob": "a", "parent": -1}]
    chains = [{"layers": first}, {"layers": second}]
    assert survey(configs([{"layers": listed, "records": [{"digest": "x", "chains": chains}]}])).results == results


def test_each_step_is_reported_before_it_starts() -> None:
    told: list[str] = []
    survey(configs([{"records": [{"digest": "a"}]}]), told.append)
    assert len(told) == len(set(told)) >= 5
    assert "counting loop-check calls" in told


@pytest.mark.parametrize("docs", [[{}], [{"records": None}, {"layers": []}], [{"records": [{"digest": "random:1"}]}]])
def test_nothing_to_export_costs_nothing(docs: list[Document]) -> None:
    result = survey(configs(docs))
    assert (result.merged.size, result.loop_check.middle.calls, result.walk.steps, result.max_depth) == (0, 0, 0, 0)
    assert (result.results, result.marshal_steps, result.longest_chain, result.hotspots) == (0, 0, 0, [])
    assert result.loop_check.exact
