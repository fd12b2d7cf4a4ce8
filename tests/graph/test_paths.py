"""Path counts, compared with walking every path."""

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
    """Every path from a root. Parallel links make different paths."""
    links = [(source, item) for item, linked in enumerate(graph.sources) for source in linked]
    roots = [item for item, sources in enumerate(graph.sources) if not sources]
    every = list(itertools.islice(reference.every_path(roots, links), MOST_PATHS))
    assume(len(every) < MOST_PATHS)
    return every


def diamonds(count: int) -> Acyclic:
    """Each item is docs from the one before through two inputs."""
    return loops.cut(merged_of([{"records": diamond_records(count)}]))


def diamond_records(count: int) -> list[Document]:
    links: list[Document] = [{"digest": f"{at + 1}", "inputs": [[{"link": at}], [{"link": at}]]} for at in range(count)]
    return [{"digest": "0"}, *links]


@settings(max_examples=700)
@given(documents(empty=True), st.integers(0, 3))
def test_there_is_one_call_per_path(docs: list[Document], seed: int) -> None:
    graph = loops.cut(merged_of(docs), seed)
    assert paths.calls(graph) == len(walked(graph))


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True), st.integers(0, 3))
def test_there_is_one_call_per_path_after_loops_are_cut(docs: list[Document], seed: int) -> None:
    graph = loops.cut(merged_of(docs), seed)
    assert paths.calls(graph) == len(walked(graph))


def hotspots(graph: loops.Acyclic, most: int) -> list[paths.Hotspot]:
    total, hotspots = paths.calls_and_hotspots(graph, most)
    assert total == paths.calls(graph)
    return hotspots


@settings(max_examples=700)
@given(documents(cyclic=True, empty=True), st.integers(1, 12))
def test_hotspots_are_the_items_that_most_paths_go_through(docs: list[Document], most: int) -> None:
    graph = loops.cut(merged_of(docs))
    every = walked(graph)
    passing = Counter(item for path in every for item in path)
    ending = Counter(path[-1] for path in every)
    top = hotspots(graph, most)
    expected = sorted(passing, key=lambda item: (-passing[item], item))[:most]
    assert [hotspot.item for hotspot in top] == expected
    for hotspot in top:
        assert (hotspot.calls, hotspot.paths) == (passing[hotspot.item], ending[hotspot.item])
        assert hotspot.fan_out == len(graph.children[hotspot.item])
        assert set(hotspot.source_shares) == set(graph.sources[hotspot.item])
        for source, share in hotspot.source_shares.items():
            assert math.isclose(share, ending[source] / ending[hotspot.item])


@settings(max_examples=700)
@given(documents(cyclic=True, empty=True), st.integers(1, 12))
def test_large_counts_are_those_of_small_ones(docs: list[Document], most: int) -> None:
    """Every count is treated as a large one."""
    graph = loops.cut(merged_of(docs))
    expected = paths.calls_and_hotspots(graph, most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "SMALL_BITS", 0)
        patch.setattr(paths, "_SMALL_PART", 2)
        patch.setattr(paths, "_FAR_LARGER", 1 << 60)
        total, large = paths.calls_and_hotspots(graph, most)
    assert (total, large) == expected


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True))
def test_the_depth_is_the_length_of_the_longest_path(docs: list[Document]) -> None:
    graph = loops.cut(merged_of(docs))
    assert paths.max_depth(graph) == max(map(len, walked(graph)), default=1) - 1


def test_an_empty_graph_has_no_paths() -> None:
    graph = loops.cut(merged_of([{}]))
    assert (paths.calls(graph), hotspots(graph, 3), paths.max_depth(graph)) == (0, [], 0)


@pytest.mark.parametrize("count", [1, 64, 1100, 3000])
def test_counts_beyond_the_range_of_floats_are_exact(count: int) -> None:
    graph = diamonds(count)
    assert paths.calls(graph) == 2 ** (count + 1) - 1
    # through item k go its 2^k paths, times a walk of 2^(n - k + 1) - 1 calls
    top = hotspots(graph, 3)
    assert [(hotspot.item, hotspot.calls, hotspot.paths) for hotspot in top] == sorted(
        ((at, 2**at * (2 ** (count - at + 1) - 1), 2**at) for at in range(count + 1)),
        key=lambda hotspot: (-hotspot[1], hotspot[0]),
    )[:3]
    assert all(set(hotspot.source_shares.values()) <= {0.5} for hotspot in top)


def comb(count: int, tail: int) -> Acyclic:
    """A chain of diamonds, each item of which leads to the start of another chain of diamonds, the tail.

    The paths to each item of the first chain are needed again at the start of the tail, and the walk from there at each
    item of the first chain: so all of them are held.
    """
    records = diamond_records(count)
    records.append({"digest": "tail 0", "inputs": [[{"link": at} for at in range(count)]]})
    records += [
        {"digest": f"tail {at}", "inputs": [[{"link": count + at}], [{"link": count + at}]]} for at in range(1, tail)
    ]
    return loops.cut(merged_of([{"records": records}]))


def test_counts_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    count, tail = 200, 150
    graph = comb(count, tail)
    total = 2 ** (count + 1) - 1 + (2**count - 1) * (2**tail - 1)
    monkeypatch.setattr(paths, "SMALL_BITS", 64)
    held = count * tail
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 2 * held)
    assert paths.calls(graph) == hotspots(graph, 3)[0].calls == total
    monkeypatch.setattr(paths, "MOST_BITS_HELD", held // 2)
    with pytest.raises(errors.CountTooLarge):
        paths.calls(graph)
    with pytest.raises(errors.CountTooLarge):
        hotspots(graph, 3)


def test_paths_to_hotspots_that_take_too_much_memory_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walks from the items take 90 bits each, the paths to them up to 400."""
    graph = comb(400, 90)
    monkeypatch.setattr(paths, "SMALL_BITS", 64)
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 400 * 150)
    assert paths.calls(graph) == 2**401 - 1 + (2**400 - 1) * (2**90 - 1)
    with pytest.raises(errors.CountTooLarge):
        hotspots(graph, 450)


def test_counts_that_are_released_early_in_another_order_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many diamonds has a branch of two records, the second of which comes at the end of the document."""
    count = 300
    records = diamond_records(count)
    records += [{"digest": f"branch {at}", "inputs": [[{"link": at}]]} for at in range(count)]
    records += [{"digest": f"leaf {at}", "inputs": [[{"link": count + 1 + at}]]} for at in range(count)]
    graph = loops.cut(merged_of([{"records": records}]))
    monkeypatch.setattr(paths, "SMALL_BITS", 64)
    expected = hotspots(graph, len(records))
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 20 * count)
    assert hotspots(graph, len(records)) == expected


def test_many_numbers_that_are_added_to_one_sum_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root has a thousand links to the first of a chain of diamonds, but only one sum."""
    count, links = 200, 1_000
    start: Document = {"digest": "start", "inputs": [[{"link": 0, "selector": str(at)} for at in range(links)]]}
    records = [{"digest": "root"}, start]
    records += [{"digest": f"{at}", "inputs": [[{"link": at}], [{"link": at}]]} for at in range(1, count)]
    graph = loops.cut(merged_of([{"records": records}]))
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 3 * count)
    assert paths.calls(graph) == 1 + links * (2**count - 1)


def test_released_counts_do_not_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a chain of diamonds, at most two counts are needed at the same time."""
    count = 500
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 3 * count)
    assert paths.calls(diamonds(count)) == 2 ** (count + 1) - 1


def test_too_many_additions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = diamonds(500)
    monkeypatch.setattr(paths, "MOST_BITS_ADDED", 500 * 500 // 2)
    with pytest.raises(errors.CountTooLarge):
        paths.calls(graph)
