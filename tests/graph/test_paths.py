"""Paths counted against paths walked."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cachedoctor import errors
from cachedoctor.graph import loops, paths
from cachedoctor.graph.loops import Acyclic
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, merged_of

MOST_PATHS = 1_000


def walked(graph: Acyclic) -> list[tuple[int, ...]]:
    """Every path from a root, each link on its own."""
    links = [(source, item) for item, own in enumerate(graph.sources) for source in own]
    every = list(itertools.islice(reference.every_path(graph.roots, links), MOST_PATHS))
    assume(len(every) < MOST_PATHS)
    return every


def diamonds(count: int) -> Acyclic:
    """Each item is made from the one before in two ways."""
    records: list[Document] = [{"digest": "0"}]
    records += [{"digest": f"{at + 1}", "inputs": [[{"link": at}], [{"link": at}]]} for at in range(count)]
    return loops.cut(merged_of([{"records": records}]))


@settings(max_examples=700, deadline=None)
@given(documents(empty=True), st.integers(0, 3))
def test_calls_are_the_paths_that_there_are(made: list[Document], seed: int) -> None:
    graph = loops.cut(merged_of(made), seed)
    assert paths.calls(graph) == len(walked(graph))


@settings(max_examples=500, deadline=None)
@given(documents(cyclic=True, empty=True), st.integers(0, 3))
def test_calls_of_graphs_whose_loops_were_cut(made: list[Document], seed: int) -> None:
    graph = loops.cut(merged_of(made), seed)
    assert paths.calls(graph) == len(walked(graph))


def hotspots(graph: loops.Acyclic, most: int) -> list[paths.Hotspot]:
    _, log_paths = paths.calls_and_log_paths(graph)
    return paths.hotspots(graph, most, log_paths)


@settings(max_examples=700, deadline=None)
@given(documents(cyclic=True, empty=True), st.integers(1, 12))
def test_hotspots_are_the_items_that_most_paths_pass(made: list[Document], most: int) -> None:
    graph = loops.cut(merged_of(made))
    every = walked(graph)
    passing = Counter(item for path in every for item in path)
    ending = Counter(path[-1] for path in every)
    found = hotspots(graph, most)
    expected = sorted(passing, key=lambda item: (-passing[item], item))[:most]
    assert [spot.item for spot in found] == expected
    for spot in found:
        assert (spot.calls, spot.paths) == (passing[spot.item], ending[spot.item])
        assert spot.fan_out == len(graph.children[spot.item])
        assert set(spot.source_shares) == set(graph.sources[spot.item])
        for source, share in spot.source_shares.items():
            assert math.isclose(share, ending[source] / ending[spot.item])


@settings(max_examples=500, deadline=None)
@given(documents(cyclic=True, empty=True))
def test_logarithms_and_depth(made: list[Document]) -> None:
    graph = loops.cut(merged_of(made))
    every = walked(graph)
    passing = Counter(item for path in every for item in path)
    ending = Counter(path[-1] for path in every)
    log_paths, log_calls = paths.logarithms(graph)
    for item in range(len(graph.order)):
        assert math.isclose(log_paths[item], math.log2(ending[item]), abs_tol=1e-9)
        assert math.isclose(log_paths[item] + log_calls[item], math.log2(passing[item]), abs_tol=1e-9)
    assert paths.max_depth(graph) == max(map(len, every), default=1) - 1


def test_nothing_has_no_paths() -> None:
    graph = loops.cut(merged_of([{}]))
    assert (paths.calls(graph), hotspots(graph, 3), paths.max_depth(graph)) == (0, [], 0)


@pytest.mark.parametrize("count", [1, 64, 1100, 3000])
def test_counts_past_any_float_are_exact(count: int) -> None:
    graph = diamonds(count)
    assert paths.calls(graph) == 2 ** (count + 1) - 1
    # through item k go its 2^k paths, times a walk of 2^(n - k + 1) - 1 calls
    top = hotspots(graph, 3)
    assert [(spot.item, spot.calls, spot.paths) for spot in top] == sorted(
        ((at, 2**at * (2 ** (count - at + 1) - 1), 2**at) for at in range(count + 1)),
        key=lambda spot: (-spot[1], spot[0]),
    )[:3]
    assert all(set(spot.source_shares.values()) <= {0.5} for spot in top)


def test_counts_that_outgrow_the_memory_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comb of diamonds: the count at each is needed once more at the very end, so all are held."""
    count = 200
    records: list[Document] = [{"digest": "0"}]
    records += [{"digest": f"{at + 1}", "inputs": [[{"link": at}], [{"link": at}]]} for at in range(count)]
    records.append({"digest": "end", "inputs": [[{"link": at} for at in range(count)]]})
    graph = loops.cut(merged_of([{"records": records}]))
    # item k has 2^k paths, which are k + 1 bits
    held = count * (count + 1) // 2
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 2 * held)
    assert paths.calls(graph) == 2 ** (count + 1) - 1 + 2**count - 1
    monkeypatch.setattr(paths, "MOST_BITS_HELD", held // 2)
    for count_of in (paths.calls, paths.logarithms, lambda one: hotspots(one, 3)):
        with pytest.raises(errors.CountTooLarge):
            count_of(graph)


def test_what_is_let_go_does_not_count_as_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Along a chain of diamonds no more than two counts are needed at once."""
    count = 500
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 3 * count)
    assert paths.calls(diamonds(count)) == 2 ** (count + 1) - 1


def test_additions_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = diamonds(500)
    monkeypatch.setattr(paths, "MOST_BITS_ADDED", 500 * 500 // 2)
    with pytest.raises(errors.CountTooLarge):
        paths.calls(graph)
