"""Loops are cut where every item can still be derived, and few links go."""

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
    """Of all orders in which each item comes after an alternative of each input, the most links that lead forward."""
    most = 0
    for order in permutations(range(len(inputs))):
        place = {item: at for at, item in enumerate(order)}
        each = [
            [source for source in one if place[source] < place[item]] for item, own in enumerate(inputs) for one in own
        ]
        most = max(most, sum(map(len, each)) if all(each) else 0)
    return most


@settings(max_examples=100)
@given(st.lists(st.lists(LINKS, min_size=1, max_size=2), min_size=ITEMS, max_size=ITEMS))
def test_no_more_links_are_removed_than_necessary(made: list[list[list[int]]]) -> None:
    records = [record("root"), *(record(f"{item}", *own) for item, own in enumerate(made))]
    assume(len(independent.derivable({"records": records})) == len(records))
    assert repair([document(records)], Options()).after.links == most_links_forward([[], *made])


def ring(count: int) -> list[dict[str, object]]:
    """Records that can each be made from a root, or from the one before; the first also from the last."""
    records = [record("root"), record("0", [(0, "0"), (count, "")])]
    return [*records, *(record(f"{at}", [(0, f"{at}"), (at, "")]) for at in range(1, count))]


@pytest.mark.parametrize(
    ("bound", "value"), [("MOST_SIFTED", 10), ("MOST_PASSES", 1), ("BUDGET", 1), ("BUDGET", 2_000)]
)
def test_limits_on_the_search_lose_no_records(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = [document(ring(30))]
    assert repair(origin, Options()).removed.looping_links == 1
    monkeypatch.setattr(module, bound, value)
    made = repair(origin, Options())
    out = independent.parse(made.data)
    assert not independent.has_loop(out)
    assert len(independent.derivable(out)) == 31
    assert 1 <= made.removed.looping_links <= 30
