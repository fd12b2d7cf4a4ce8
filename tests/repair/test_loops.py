"""Loops are cut where every item can still be derived, and few links go."""

from __future__ import annotations

import pytest

from cachedoctor.repair import loops as module
from cachedoctor.repair.repair import Options, repair
from tests import independent
from tests.support import document, record


def ring(count: int) -> list[dict[str, object]]:
    """Records that can each be made from a root, or from the one before; the first also from the last."""
    records = [record("root"), record("0", [(0, "0"), (count, "")])]
    return [*records, *(record(f"{at}", [(0, f"{at}"), (at, "")]) for at in range(1, count))]


@pytest.mark.parametrize(
    ("bound", "value"), [("MOST_SIFTED", 10), ("MOST_PASSES", 1), ("BUDGET", 1), ("BUDGET", 2_000)]
)
def test_bounds_on_the_work_lose_no_record(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = [document(ring(30))]
    assert repair(origin, Options()).removed.looping_links == 1
    monkeypatch.setattr(module, bound, value)
    made = repair(origin, Options())
    out = independent.parse(made.data)
    assert not independent.has_loop(out)
    assert len(independent.derivable(out)) == 31
    assert 1 <= made.removed.looping_links <= 30
