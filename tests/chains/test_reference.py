"""The fast code against plain, slow references, on thousands of random graphs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import CacheConfig, decode
from cachedoctor.chains import loops, paths, walk
from cachedoctor.chains.derive import derive, topological_order
from cachedoctor.chains.exporter import Exporter
from cachedoctor.chains.graph import Graph, build
from cachedoctor.chains.merge import fixpoint
from cachedoctor.chains.merged import MergedGraph, quotient
from cachedoctor.chains.survey import survey
from tests import independent
from tests.chains.old_exporter import Inputs, export

Document = dict[str, Any]


@st.composite
def documents(draw: st.DrawFn, *, acyclic: bool = False, most: int = 9) -> list[Document]:
    """One or two documents. Few digests and selectors, so that records merge; cycles and empty inputs unless not."""
    made = []
    for _ in range(draw(st.integers(1, 2))):
        count = draw(st.integers(1, most))
        records = []
        for index in range(count):
            highest = index - 1 if acyclic else count - 1
            links = st.builds(
                lambda link, selector: {"link": link, "selector": selector},
                st.integers(0, max(0, highest)),
                st.sampled_from(["", "s"]),
            )
            least = 1 if acyclic else draw(st.sampled_from([1, 1, 1, 0]))
            inputs = st.lists(st.lists(links, min_size=least, max_size=3), max_size=2)
            digest = draw(st.sampled_from("ABC"))
            records.append({"digest": digest, "inputs": draw(inputs) if highest >= 0 else []})
        made.append({"records": records})
    return made


def configs(made: list[Document]) -> list[CacheConfig]:
    return [decode({"records": [dict(record) for record in one["records"]]}, "test") for one in made]


def joined(made: list[Document]) -> tuple[list[str], list[Inputs]]:
    """Digests and inputs of all records, numbered through."""
    digests: list[str] = []
    inputs: list[Inputs] = []
    for one in made:
        base = len(digests)
        inputs += [
            [
                list(dict.fromkeys((link["link"] + base, link["selector"]) for link in alternatives))
                for alternatives in record["inputs"]
            ]
            for record in one["records"]
        ]
        digests += [record["digest"] for record in one["records"]]
    return digests, inputs


def listed(inputs: list[Inputs], alive: set[int]) -> list[int]:
    """The importer's list: each record before its sources, as it comes to them."""
    order: list[int] = []

    def visit(record: int) -> None:
        if record not in order and record in alive:
            order.append(record)
            for alternatives in inputs[record]:
                for source, _ in alternatives:
                    visit(source)

    for record in range(len(inputs)):
        visit(record)
    return order


def whole(graph: Graph) -> Document:
    return {
        "records": [{"inputs": [[{"link": s} for s, _ in one] for one in graph.inputs(r)]} for r in range(graph.size)]
    }


@settings(max_examples=800, deadline=None)
@given(documents())
def test_derivability(made: list[Document]) -> None:
    graph = build(configs(made))
    order = derive(graph).order
    assert sorted(order) == sorted(independent.derivable(whole(graph)))
    seen: set[int] = set()
    for record in order:
        assert all(any(source in seen for source, _ in one) for one in graph.inputs(record))
        seen.add(record)


@settings(max_examples=800, deadline=None)
@given(documents())
def test_merging_reaches_the_fixpoint(made: list[Document]) -> None:
    graph = build(configs(made))
    found = fixpoint(graph, derive(graph).order)
    _, classes = independent.merged(made)
    assert found.complete
    expected = list(range(graph.size))
    for members in classes:
        for record in members:
            expected[record] = min(members)
    assert found.item == expected


@settings(max_examples=800, deadline=None)
@given(documents(), st.integers(0, 3))
def test_loops(made: list[Document], seed: int) -> None:
    merged = merged_graph(made)
    reach = {item: reachable(merged, item) for item in range(merged.size)}
    expected = {
        tuple(sorted(other for other in reach[item] if item in reach[other]))
        for item in range(merged.size)
        if item in reach[item]
    }
    found = loops.find(merged)
    assert {tuple(loop.items) for loop in found} == expected
    for loop in found:
        inside = set(loop.items)
        assert loop.links == sum(child in inside for item in loop.items for child in merged.children[item])
        assert len(set(loop.example)) == len(loop.example)
        for item, child in zip(loop.example, [*loop.example[1:], loop.example[0]], strict=True):
            assert child in merged.children[item]
    cut = loops.cut(merged, seed)
    assert sorted(cut.order) == list(range(merged.size))
    assert not topological_order(cut.sources)[1]
    assert (cut.removed > 0) == bool(expected)
    assert cut.removed == merged.links - sum(map(len, cut.sources))


def merged_graph(made: list[Document]) -> MergedGraph:
    graph = build(configs(made))
    order = derive(graph).order
    return quotient(graph, order, fixpoint(graph, order).item)


def reachable(merged: MergedGraph, start: int) -> set[int]:
    found: set[int] = set()
    pending = list(merged.children[start])
    while pending:
        item = pending.pop()
        if item not in found:
            found.add(item)
            pending += merged.children[item]
    return found


def all_paths(merged: MergedGraph) -> Iterator[list[int]]:
    """Every path that starts at a root, link by link."""
    pending = [[root] for root in merged.roots()]
    while pending:
        path = pending.pop()
        yield path
        pending += [[*path, child] for child in merged.children[path[-1]]]


@settings(max_examples=800, deadline=None)
@given(documents(acyclic=True, most=7))
def test_paths_are_counted_as_if_walked(made: list[Document]) -> None:
    merged = merged_graph(made)
    assume(not loops.find(merged))
    every = list(itertools.islice(all_paths(merged), 20_000))
    assume(len(every) < 20_000)
    acyclic = loops.cut(merged)
    assert paths.calls(acyclic) == len(every)
    found = paths.hotspots(acyclic, 5)
    through = sorted((sum(item in path for path in every) for item in range(merged.size)), reverse=True)
    assert [spot.calls for spot in found] == through[:5]
    for spot in found:
        assert spot.calls == sum(spot.item in path for path in every)
        assert spot.paths == sum(path[-1] == spot.item for path in every)
        shares = [spot.source_shares[source] for source in merged.sources[spot.item]]
        assert math.isclose(sum(shares), 1.0) or not shares
    assert paths.max_depth(acyclic) == max(map(len, every)) - 1
    steps = walk.walk_steps(acyclic)
    assert steps.exact
    assert steps.steps == sum(len(reachable(merged, item)) for item in range(merged.size))


def orders_of(inputs: list[Inputs], alive: set[int]) -> Iterator[list[Inputs]]:
    """The inputs with their alternatives in every order in which they can be walked."""
    choices = [
        list(itertools.permutations(one)) if record in alive else [tuple(one)]
        for record, own in enumerate(inputs)
        for one in own
    ]
    for chosen in itertools.product(*choices):
        rest = iter(chosen)
        yield [[list(next(rest)) for _ in own] for own in inputs]


@settings(max_examples=600, deadline=None)
@given(documents(acyclic=True, most=6))
def test_the_old_exporter_over_all_its_orders(made: list[Document]) -> None:
    """Replays give what some order gives, with its very calls; what is proved to depend on no order does not."""
    digests, inputs = joined(made)
    graph = build(configs(made))
    order = derive(graph).order
    alive = set(order)
    assert len(alive) == graph.size
    assume(math.prod(math.factorial(len(one)) for own in inputs for one in own) <= 300)
    runs: dict[tuple[int, ...], set[tuple[int, int]]] = {}
    for walked in orders_of(inputs, alive):
        run = export(digests, walked, listed(inputs, alive))
        runs.setdefault(tuple(run.partition()), set()).add((run.calls, run.removed))
    exporter = Exporter(graph, order)
    for seed in range(6):
        item = exporter.replay(seed)
        assert tuple(item) in runs
        merged = quotient(graph, order, item)
        acyclic = loops.cut(merged, seed)
        if not acyclic.removed:
            assert runs[tuple(item)] == {(paths.calls(acyclic), 0)}
        else:
            assert all(removed for _, removed in runs[tuple(item)])
    found = fixpoint(graph, order)
    if found.every_order is not None:
        assert set(runs) == {tuple(found.every_order)}


def test_orders_do_matter_where_they_are_said_to() -> None:
    """The captures hold a pair of tags whose cost differs by a factor of ten from run to run."""
    from tests.support import FIXTURES

    tags = [
        decode(independent.parse((FIXTURES / f"manifests/shared-copies-{tag}.json").read_bytes()), tag)
        for tag in ("t1", "t2")
    ]
    found = survey(tags).loop_check
    assert not found.exact
    assert {order.calls for order in found.orders} == {597_478, 8_094_710}


@pytest.mark.parametrize("count", [1, 2, 50, 3_000])
def test_diamonds_have_their_closed_form(count: int) -> None:
    """Six times two to the n, less n and two: BuildKit's own count for 8 and 20 of them."""
    records: list[Document] = [{"digest": "root"}]
    for index in range(count):
        last = len(records) - 1
        records.append({"digest": f"run {index}", "inputs": [[{"link": last}]]})
        records.append({"digest": f"copy {index}", "inputs": [[{"link": last}], [{"link": last + 1, "selector": "s"}]]})
    found = survey([decode({"records": records}, "test")]).loop_check
    # p(0) = 1 and p(k) = 1 + p(k - 1) + 1 + p(k - 1), so p(n) = 3 * 2 ** n - 2
    assert found.middle.calls == 3 * 2**count - 2
    assert found.exact
    assert found.proved


def test_large_graphs_of_every_shape_end() -> None:
    count = 50_000
    links: list[Document] = [{"digest": f"{index}", "inputs": [[{"link": index}]]} for index in range(count)]

    def chain() -> CacheConfig:
        return decode({"records": [{"digest": "root"}, *links]}, "chain")

    found = survey([chain()])
    assert (found.loop_check.middle.calls, found.max_depth) == (count + 1, count)
    found = survey([chain(), chain()])
    assert found.merged.size == count + 1
    assert found.loop_check.proved
    roots: list[Document] = [{"digest": f"{index}"} for index in range(count)]
    last = {"digest": "all", "inputs": [[{"link": index} for index in range(count)]]}
    assert survey([decode({"records": [*roots, last]}, "wide")]).loop_check.middle.calls == 2 * count
    ring: list[Document] = [
        {"digest": f"{index}", "inputs": [[{"link": index or count}, {"link": 0}]]} for index in range(count)
    ]
    found = survey([decode({"records": [{"digest": "root"}, *ring]}, "ring")])
    assert [len(loop.items) for loop in found.loops] == [count]
    assert len(found.record_cycles) == 1


def test_merging_stops_where_a_document_forces_quadratic_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred records over a grid of sources, no two of them one: each pair must be looked at."""
    from cachedoctor.chains import merge

    size = 15
    records: list[Document] = [{"digest": f"{side}{i}"} for side in "ab" for i in range(size)]
    records += [
        {"digest": "x", "inputs": [[{"link": i}], [{"link": size + j}]]} for i in range(size) for j in range(size)
    ]
    graph = build([decode({"records": records}, "grid")])
    order = derive(graph).order
    assert fixpoint(graph, order).complete
    monkeypatch.setattr(merge, "WORK_FLOOR", 0)
    monkeypatch.setattr(merge, "WORK_PER_LINK", 0)
    assert not fixpoint(graph, order).complete


def test_counts_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Document] = [{"digest": "root"}]
    for index in range(100):
        records.append({"digest": f"{index}", "inputs": [[{"link": index, "selector": s} for s in "abc"]]})
    monkeypatch.setattr(paths, "MOST_BITS_ADDED", 1_000)
    with pytest.raises(paths.CountTooLarge):
        survey([decode({"records": records}, "test")])


def test_a_sample_of_descendants_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 5_000
    records = [{"digest": "root"}] + [{"digest": f"{i}", "inputs": [[{"link": i}]]} for i in range(count - 1)]
    exact = survey([decode({"records": [dict(one) for one in records]}, "test")]).walk
    monkeypatch.setattr(walk, "EXACT_ITEMS", 10)
    near = survey([decode({"records": records}, "test")]).walk
    assert exact.exact
    assert not near.exact
    assert exact.steps == count * (count - 1) // 2
    assert abs(near.steps - exact.steps) < 0.1 * exact.steps
