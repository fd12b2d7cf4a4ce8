"""Each rule fires where it should, and is silent where it should not."""

from __future__ import annotations

import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.buildkit import Version
from cachedoctor.rules import RULES, Finding, Limits, Measure, Severity
from cachedoctor.sources import CacheDocument, load
from tests.support import FIXTURES, digest, document, layers, record

LIMIT = 1_048_576


def findings(
    *documents: CacheDocument, buildkit: str | None = None, limits: Limits | None = None
) -> dict[str, Finding]:
    version = Version.parse(buildkit) if buildkit else None
    found = analyze(documents, buildkit=version, limits=limits).findings
    assert len({(finding.rule, finding.source, finding.message) for finding in found}) == len(found)
    return {finding.rule: finding for finding in found}


def fixture(name: str) -> CacheDocument:
    return load(str(FIXTURES / name))[0]


def diamond_chain(count: int) -> CacheDocument:
    """Each diamond doubles the paths: a copy takes both from the step before and from what a run made of it."""
    records = [record("root")]
    for index in range(count):
        last = len(records) - 1
        records.append(record(f"run {index}", [last]))
        records.append(record(f"copy {index}", [last], [(last + 1, "/file")]))
    return document(records)


def test_rules_have_distinct_ids_and_words() -> None:
    assert [rule.id for rule in RULES] == sorted({rule.id for rule in RULES})
    assert all(rule.help and rule.affects for rule in RULES)


def test_clean_cache_has_no_findings() -> None:
    clean = document([record("root"), record("run", [0], layer=0)], layers(-1), blobs=frozenset({digest("layer 0")}))
    assert findings(clean) == {}


@pytest.mark.parametrize(("size", "fires"), [(LIMIT, False), (LIMIT + 1, True)])
def test_cd101_fires_past_the_limit(size: int, fires: bool) -> None:
    assert ("CD101" in findings(document([record("root")], size=size))) is fires
    assert ("CD101" in findings(document([record("root")], size=9, manifest_size=size))) is fires
    assert "CD101" not in findings(document([record("root")], size=size, kind="inline"))


def test_cd101_tells_a_limit_that_is_not_buildkits() -> None:
    small = document([record("root")], size=2_000)
    got = findings(small, limits=Limits(max_bytes=1_000))["CD101"]
    assert got.message == (
        "The cache config has 2,000 bytes, 1,000 more than the limit of 1,000; BuildKit imports 1,048,576 at most."
    )
    assert got.measure == Measure("bytes of the cache config", 2_000)
    large = document([record("root")], size=LIMIT + 1)
    assert "so that no build ever uses it" in findings(large, limits=Limits(max_bytes=1_000))["CD101"].message
    assert "CD101" not in findings(large, limits=Limits(max_bytes=LIMIT + 1))


def test_cd101_is_silent_about_backends_without_the_limit() -> None:
    annotated = [{**layer, "annotations": {"size": 1}} for layer in layers(-1)]
    assert "CD101" not in findings(document([record("root", layer=0)], annotated, size=LIMIT + 1))


def test_cd101_obeys_the_limit_given() -> None:
    assert "CD101" in findings(document([record("root")], size=11), limits=Limits(max_bytes=10))


def test_cd102_names_the_records_and_depends_on_the_version() -> None:
    bad = document([record("root"), record("a", [0], []), record("b", [0])])
    assert findings(bad)["CD102"].records == (1,)
    assert findings(bad)["CD102"].severity is Severity.ERROR
    assert findings(bad, buildkit="v0.25.0")["CD102"].severity is Severity.ERROR
    assert findings(bad, buildkit="v0.24.9")["CD102"].severity is Severity.WARNING


def test_cd103_fires_on_a_cycle_of_one_document() -> None:
    bad = document([record("root"), record("a", [0, 2]), record("b", [1])])
    assert findings(bad)["CD103"].records == (1, 2)
    assert "CD204" not in findings(bad)
    assert "CD103" in findings(document([record("self", [0])]))


def test_cd103_is_silent_where_only_the_union_loops() -> None:
    union = findings(fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json"))
    assert "CD103" not in union
    assert union["CD204"].count == 7


@pytest.mark.parametrize("link", [-1, 2, 1 << 40])
def test_cd104_fires_on_links_outside(link: int) -> None:
    assert findings(document([record("root"), record("a", [0, link])]))["CD104"].records == (1,)


def test_cd104_fires_on_layers_outside() -> None:
    assert "CD104" in findings(document([record("root", layer=1)], layers(-1)))
    assert "CD104" in findings(document([record("root", layer=0)], layers(7)))
    assert findings(document([record("root", layer=0)], layers(-2)))["CD104"].severity is Severity.ERROR
    assert findings(document([record("root", layer=0)], layers(-1, 9)))["CD104"].severity is Severity.WARNING
    chained = record("root")
    chained["chains"] = [{"layers": [0, 3], "createdAt": "2026-11-24T08:14:45Z"}]
    assert findings(document([chained], layers(-1)))["CD104"].records == (0,)


def test_cd105_fires_on_a_layer_cycle() -> None:
    found = findings(document([record("root", layer=0)], layers(1, 2, 1, -1)))["CD105"]
    assert (found.records, found.severity) == ((1, 2), Severity.ERROR)
    unused = findings(document([record("root", layer=0)], layers(-1, 1)))["CD105"]
    assert (unused.records, unused.severity) == ((1,), Severity.WARNING)


@pytest.mark.parametrize(
    ("diamonds", "severity"), [(10, None), (22, Severity.WARNING), (28, Severity.ERROR), (3000, Severity.ERROR)]
)
def test_cd201_grows_with_the_paths(diamonds: int, severity: Severity | None) -> None:
    found = findings(diamond_chain(diamonds)).get("CD201")
    assert (found and found.severity) == severity


@pytest.mark.parametrize(
    ("version", "fires"), [("v0.8.3", False), ("0.9.0", True), ("v0.24.5", True), ("v0.25.0", False), ("1.0", False)]
)
def test_cd201_is_about_some_versions(version: str, fires: bool) -> None:
    assert ("CD201" in findings(diamond_chain(40), buildkit=version)) is fires


@pytest.mark.parametrize(("depth", "severity"), [(60, None), (200, Severity.WARNING), (700, Severity.ERROR)])
def test_cd202_grows_with_the_chain(depth: int, severity: Severity | None) -> None:
    records = [record("root", layer=0)]
    records += [record(f"run {index}", [index - 1], layer=index) for index in range(1, depth)]
    found = findings(document(records, layers(*range(-1, depth - 1)))).get("CD202")
    assert (found and found.severity) == severity


def test_cd203_is_about_the_rewrite() -> None:
    records = [record("root"), *(record(f"run {index}", [index]) for index in range(9_000))]
    assert findings(document(records))["CD203"].severity is Severity.WARNING
    assert findings(document(records), limits=Limits(max_seconds=1.5))["CD203"].severity is Severity.ERROR
    assert "CD203" not in findings(document(records), buildkit="v0.21.1")
    assert "CD203" not in findings(document(records[:3000]))


def test_cd301_counts_what_merging_joins() -> None:
    a, b = fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json")
    assert findings(a, b)["CD301"].count == 26 - 15
    assert "CD301" not in findings(a)
    assert "CD301" not in findings(b)


def test_cd302_names_records_behind_an_empty_input() -> None:
    bad = document([record("root"), record("a", []), record("b", [1]), record("c", [1, 0])])
    assert findings(bad)["CD302"].records == (1, 2)


def test_cd303_needs_a_manifest() -> None:
    records = [record("root"), record("a", [0], layer=0), record("b", [1], layer=1), record("c", [1], layer=2)]
    listed = frozenset({digest("layer 1"), digest("layer 2")})
    assert findings(document(records, layers(-1, 0, -1), blobs=listed))["CD303"].records == (1, 2)
    assert "CD303" not in findings(document(records, layers(-1, 0, -1)))
    assert "CD303" not in findings(document(records, layers(-1, 0, -1), blobs=listed | {digest("layer 0")}))


def test_cd304_names_layers_that_nothing_needs() -> None:
    records = [record("root", layer=1)]
    assert findings(document(records, layers(-1, 0, 1, -1)))["CD304"].records == (2, 3)
    assert "CD304" not in findings(document(records, layers(-1, 0)))
    assert "CD304" not in findings(document(records, layers(-1, 0, 1), kind="inline"))


@pytest.mark.parametrize("text", ["", "v", "21", "v0.21.x", "latest", "0.21.1.2", "v0.21.1 oops"])
def test_version_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no BuildKit version"):
        Version.parse(text)


@pytest.mark.parametrize("text", ["v0.21.1", "0.21.1", "v0.21.1-rc1", "v0.21.1+dirty"])
def test_version_reads_releases(text: str) -> None:
    assert str(Version.parse(text)) == "v0.21.1"


def test_cd201_is_an_error_past_a_limit_of_calls() -> None:
    few = diamond_chain(3)
    assert "CD201" not in findings(few)
    assert "CD201" not in findings(few, limits=Limits(max_calls=22))
    got = findings(few, limits=Limits(max_calls=21))["CD201"]
    assert got.severity is Severity.ERROR
    assert got.measure == Measure("calls", 22)
    assert "The limit is 21 calls." in got.message
    assert "CD201" in findings(few, buildkit="v0.24.9", limits=Limits(max_calls=21))
    for version in ("v0.8.3", "v0.25.0"):
        assert "CD201" not in findings(few, buildkit=version, limits=Limits(max_calls=21))


def test_cd201_stays_a_warning_where_only_some_orders_are_past_a_limit_of_calls() -> None:
    tags = (fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json"))
    assert findings(*tags, limits=Limits(max_calls=52))["CD201"].severity is Severity.ERROR
    got = findings(*tags, limits=Limits(max_calls=53))["CD201"]
    assert got.severity is Severity.WARNING
    assert got.measure == Measure("calls", 53, exact=False)
    assert "CD201" not in findings(*tags, limits=Limits(max_calls=62))
