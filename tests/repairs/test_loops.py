"""Cutting loops removes few links, and every item can still be derived."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cachedoctor.repairs import loops as module
from cachedoctor.repairs.repair import Options, repair
from tests import independent
from tests.support import document, record

ITEMS = 5
LINKS = st.lists(st.integers(0, ITEMS), min_size=1, max_size=3, unique=True)


def most_links_forward(inputs: list[list[list[int]]]) -> int:
    """The most links that lead forward in any order in which each item comes after an alternative of each input."""
    most = 0
    for order in permutations(range(len(inputs))):
        place = {item: at for at, item in enumerate(order)}
        each = [
            [source for source in links if place[source] < place[item]]
            for item, item_inputs in enumerate(inputs)
            for links in item_inputs
        ]
        most = max(most, sum(map(len, each)) if all(each) else 0)
    return most


@settings(max_examples=100)
@given(st.lists(st.lists(LINKS, min_size=1, max_size=2), min_size=ITEMS, max_size=ITEMS))
def test_no_more_links_are_removed_than_necessary(inputs: list[list[list[int]]]) -> None:
    records = [record("root"), *(record(f"{item}", *item_inputs) for item, item_inputs in enumerate(inputs))]
    assume(len(independent.derivable({"records": records})) == len(records))
    assert repair([document(records)], Options()).after.links == most_links_forward([[], *inputs])


def ring(count: int) -> list[dict[str, object]]:
    """Records that can be repaired from a root or from the one before, the first one also from the last."""
    records = [record("root"), record("0", [(0, "0"), (count, "")])]
    return [*records, *(record(f"{at}", [(0, f"{at}"), (at, "")]) for at in range(1, count))]


@pytest.mark.parametrize(
    ("bound", "value"), [("MOST_SIFTED", 10), ("MOST_PASSES", 1), ("BUDGET", 1), ("BUDGET", 2_000)]
)
def test_limits_on_the_search_lose_no_records(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = [document(ring(30))]
    assert repair(origin, Options()).removed.looping_links == 1
    monkeypatch.setattr(module, bound, value)
    repaired = repair(origin, Options())
    out = independent.parse(repaired.data)
    assert not independent.has_loop(out)
    assert len(independent.derivable(out)) == 31
    assert 1 <= repaired.removed.looping_links <= 30
