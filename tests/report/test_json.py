"""The JSON has all promised keys, whatever the cache contains."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.sources import load
from tests.report.rendered import rendered
from tests.support import FIXTURES, document, layers, record


def parsed(analysis: Analysis) -> dict[str, Any]:
    value = json.loads(rendered(analysis, "json"))
    assert isinstance(value, dict)
    return value


CONTRACT = {
    "": ["schema_version", "command", "tool", "inputs", "graph", "loops", "hotspots", "cost", "findings", "verdict"],
    "tool": ["name", "version"],
    "inputs.0": ["source", "kind", "digest", "bytes", "records", "layers"],
    "graph": ["records", "links", "roots", "results", "dead_records", "max_depth"],
    "loops.0": ["records", "links", "example"],
    "hotspots.0": ["digest", "label", "fan_out", "calls", "share"],
    "hotspots.0.calls": ["value", "log10"],
    "cost": ["le_0_24", "ge_0_25", "marshal"],
    "cost.le_0_24": ["exact", "orders", "items", "links", "links_removed", "calls", "seconds"],
    "cost.le_0_24.items": ["min", "max"],
    "cost.le_0_24.links": ["min", "max"],
    "cost.le_0_24.links_removed": ["min", "max"],
    "cost.le_0_24.calls": ["min", "typical", "max"],
    "cost.le_0_24.calls.typical": ["value", "log10"],
    "cost.le_0_24.seconds": ["min", "typical", "max"],
    "cost.ge_0_25": ["records", "walk_steps", "seconds"],
    "cost.ge_0_25.walk_steps": ["value", "log10"],
    "cost.marshal": ["steps", "longest_chain", "seconds"],
    "cost.marshal.steps": ["value", "log10"],
    "findings.0": ["rule", "name", "severity", "message", "help", "records"],
}


@cache
def _of_two_tags() -> dict[str, Any]:
    tags = [*load(str(FIXTURES / "manifests/tag-a.json")), *load(str(FIXTURES / "manifests/tag-b.json"))]
    return parsed(analyze(tags))


@pytest.mark.parametrize("path", CONTRACT)
def test_promised_keys_are_there(path: str) -> None:
    at: Any = _of_two_tags()
    for step in filter(None, path.split(".")):
        at = at[int(step) if step.isdigit() else step]
    assert [key for key in CONTRACT[path] if key not in at] == []


def test_counts_too_large_for_a_float_are_exact() -> None:
    records = [record("root")]
    for index in range(2_000):
        last = len(records) - 1
        records.append(record(f"run {index}", [last]))
        records.append(record(f"copy {index}", [last], [(last + 1, "/file")]))
    cost = parsed(analyze([document(records)]))["cost"]["le_0_24"]
    # P of a copy with k diamonds after it: p(0) = 1, p(k) = 1 + p(k-1) + (1 + p(k-1)) = 2 p(k-1) + 2
    expected = 3 * 2**2_000 - 2
    value = cost["calls"]["typical"]["value"]
    assert value[-40:] == str(expected % 10**40).zfill(40)
    assert len(value) == 603
    assert cost["calls"]["typical"]["log10"] == pytest.approx(602.537, abs=1e-3)
    assert cost["exact"] is True
    assert cost["seconds"] == {"min": None, "typical": None, "max": None}


def test_zero_counts_have_no_logarithm() -> None:
    got = parsed(analyze([document([])]))
    assert got["cost"]["le_0_24"]["calls"]["min"] == {"value": "0", "log10": None}
    assert got["verdict"] == "ok"


def test_foreign_text_survives_as_data() -> None:
    hostile = '\x1b[31m</script>"\u202e'
    bad = record("root", layer=0)
    bad["digest"] = hostile
    got = parsed(analyze([document([bad, record("a", [0])], layers(-1), source="caf\udce9.json")]))
    assert hostile in [hotspot["digest"] for hotspot in got["hotspots"]]
    assert got["inputs"][0]["source"] == "caf\\udce9.json"


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes() -> None:
    source = str(FIXTURES / "exporter-state/export-loop.json")
    first, second = (rendered(analyze(load(source)), "json") for _ in range(2))
    assert first == second
