"""Logarithms of path counts, compared with walking every path, and beyond the range of floats."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings

from cachedoctor.graph import logarithms, loops
from tests.graph.reference import Document
from tests.graph.strategies import documents, merged_of
from tests.graph.test_paths import diamonds, walked


@settings(max_examples=500)
@given(documents(cyclic=True, empty=True))
def test_logarithms_of_paths_and_walks(docs: list[Document]) -> None:
    graph = loops.cut(merged_of(docs))
    every = walked(graph)
    passing = Counter(item for path in every for item in path)
    ending = Counter(path[-1] for path in every)
    of_paths, of_walks = logarithms.of_paths(graph), logarithms.of_walks(graph)
    for item in range(graph.size):
        assert math.isclose(of_paths[item], math.log2(ending[item]), abs_tol=1e-9)
        assert math.isclose(of_paths[item] + of_walks[item], math.log2(passing[item]), abs_tol=1e-9)


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1100, 5000])
def test_logarithms_beyond_the_range_of_floats(count: int) -> None:
    graph = diamonds(count)
    assert logarithms.of_paths(graph) == list(range(count + 1))
    walks = [math.log2(2 ** (count - at + 1) - 1) for at in range(count + 1)]
    assert logarithms.of_walks(graph) == pytest.approx(walks, rel=1e-12)


def test_small_counts_are_added_to_large_ones() -> None:
    """Long chains of diamonds of different lengths meet, and start at the same root."""
    records: list[Document] = [{"digest": "root"}]
    ends = []
    for chain, length in enumerate((1200, 3, 600, 1190)):
        last = 0
        for at in range(length):
            records.append({"digest": f"{chain} {at}", "inputs": [[{"link": last}], [{"link": last}]]})
            last = len(records) - 1
        ends.append(last)
    records.append({"digest": "end", "inputs": [[{"link": end} for end in ends]]})
    graph = loops.cut(merged_of([{"records": records}]))
    total = 2**1200 + 2**3 + 2**600 + 2**1190
    assert logarithms.of_paths(graph)[-1] == pytest.approx(math.log2(total), rel=1e-14)
    walks = 1 + sum(2 * (2**length - 1) + 2**length for length in (1200, 3, 600, 1190))
    assert logarithms.of_walks(graph)[0] == pytest.approx(math.log2(walks), rel=1e-14)
