"""Descendants, counted exactly and estimated."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.graph import cost, loops
from cachedoctor.graph.cost import walk_steps
from cachedoctor.graph.loops import Acyclic
from tests.graph import reference
from tests.graph.reference import Document
from tests.graph.strategies import documents, merged_of


def chain(count: int) -> Acyclic:
    records: list[Document] = [{"digest": "0"}]
    records += [{"digest": f"{at + 1}", "inputs": [[{"link": at}]]} for at in range(count - 1)]
    return loops.cut(merged_of([{"records": records}]))


@settings(max_examples=1000)
@given(documents(cyclic=True, empty=True), st.integers(0, 3))
def test_steps_are_the_descendants_of_all_items(docs: list[Document], seed: int) -> None:
    graph = loops.cut(merged_of(docs), seed)
    pairs = {(source, item) for item, linked in enumerate(graph.sources) for source in linked}
    result = walk_steps(graph)
    assert result.exact
    assert result.steps == sum(len(reference.descendants(item, pairs)) for item in range(len(graph.order)))


@pytest.mark.parametrize("count", [1, 2, 700])
def test_a_chain_matches_its_closed_form(count: int) -> None:
    assert walk_steps(chain(count)).steps == count * (count - 1) // 2


def test_an_estimate_is_close_and_marked_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3_000
    monkeypatch.setattr(cost, "EXACT_ITEMS", 10)
    result = walk_steps(chain(count))
    exact = count * (count - 1) // 2
    assert not result.exact
    assert abs(result.steps - exact) < 0.1 * exact
    assert walk_steps(chain(count)) == result


def test_an_estimate_of_a_wide_graph_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty roots are ancestors of all two thousand records."""
    roots, below = 50, 2_000
    records: list[Document] = [{"digest": f"root {at}"} for at in range(roots)]
    alternatives = [{"link": at} for at in range(roots)]
    records += [{"digest": f"{at}", "inputs": [alternatives]} for at in range(below)]
    graph = loops.cut(merged_of([{"records": records}]))
    assert walk_steps(graph).steps == roots * below
    monkeypatch.setattr(cost, "EXACT_ITEMS", 10)
    result = walk_steps(graph)
    assert not result.exact
    assert abs(result.steps - roots * below) < 0.1 * roots * below
