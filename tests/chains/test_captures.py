"""Against what BuildKit's own code measured (`fixtures/expected.json`)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cachedoctor.chains.survey import Survey, survey
from cachedoctor.sources import load
from tests.support import FIXTURES

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())


def surveyed(case: str) -> Survey:
    return survey([one.config for name in EXPECTED[case]["inputs"] for one in load(str(FIXTURES / name))])


@pytest.mark.parametrize("case", [case for case in EXPECTED if "observed" in EXPECTED[case]["exporter_le_0_24"]])
def test_the_old_exporter(case: str) -> None:
    """What was seen in eight runs is among the orders replayed; what is called exact is what was seen each time."""
    found = surveyed(case).loop_check
    seen = {(one["items"], one["links"], one["calls"]) for one in EXPECTED[case]["exporter_le_0_24"]["observed"]}
    cut = max(one["links_removed"] for one in EXPECTED[case]["exporter_le_0_24"]["observed"])
    replayed = {(order.items, order.links, order.calls) for order in found.orders}
    assert any(order.links_removed for order in found.orders) == (cut > 0)
    if found.exact:
        assert replayed == seen
    elif not cut:
        assert seen <= replayed
    else:
        assert {one[:2] for one in seen} <= {one[:2] for one in replayed}
        calls = [one[2] for one in seen]
        assert found.orders[0].calls <= 1.2 * min(calls)
        assert found.orders[-1].calls >= max(calls) / 1.2


@pytest.mark.parametrize("case", [case for case in EXPECTED if "records" in EXPECTED[case]["importer_ge_0_25"]])
def test_the_fixpoint(case: str) -> None:
    found = surveyed(case)
    measured = EXPECTED[case]["importer_ge_0_25"]
    assert found.merged.size in measured["records"]
    assert found.merged.links >= max(measured["links"])
    assert found.dead_records == 0


def test_every_case_is_judged() -> None:
    assert len(EXPECTED) >= 20
    assert sum("records" in case["importer_ge_0_25"] for case in EXPECTED.values()) >= 18
