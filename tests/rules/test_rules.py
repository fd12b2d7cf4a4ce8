"""Each rule fires when it should, and is silent when it should not."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.buildkit import EVERY, REFUSES_EMPTY_INPUT, Release
from cachedoctor.graph.joining import digest_of_joining
from cachedoctor.rules import Finding, Limits, Measure, Severity
from cachedoctor.sources import CacheDocument, load
from tests.support import FIXTURES, digest, document, layers, record

LIMIT = 1_048_576


def findings(
    *documents: CacheDocument, buildkit: str | None = None, limits: Limits | None = None
) -> dict[str, Finding]:
    release = Release.parse(buildkit) if buildkit else None
    reported = analyze(documents, buildkit=release, limits=limits).findings
    assert len({(finding.rule, finding.source, finding.message) for finding in reported}) == len(reported)
    return {finding.rule: finding for finding in reported}


def fixture(name: str) -> CacheDocument:
    return load(str(FIXTURES / name))[0]


def diamond_chain(count: int) -> CacheDocument:
    """Each diamond doubles the paths: a copy has two inputs, the previous step and a run on top of it."""
    records = [record("root")]
    for index in range(count):
        last = len(records) - 1
        records.append(record(f"run {index}", [last]))
        records.append(record(f"copy {index}", [last], [(last + 1, "/file")]))
    return document(records)


def test_clean_cache_has_no_findings() -> None:
    clean = document([record("root"), record("run", [0], layer=0)], layers(-1), blobs=frozenset({digest("layer 0")}))
    assert findings(clean) == {}


@pytest.mark.parametrize(("size", "fires"), [(LIMIT, False), (LIMIT + 1, True)])
def test_cd101_fires_past_the_limit(size: int, fires: bool) -> None:
    assert ("CD101" in findings(document([record("root")], size=size))) is fires
    assert ("CD101" in findings(document([record("root")], size=9, manifest_size=size))) is fires
    assert "CD101" not in findings(document([record("root")], size=size, kind="inline"))


def test_cd101_names_a_limit_that_is_not_buildkits() -> None:
    small = document([record("root")], size=2_000)
    finding = findings(small, limits=Limits(max_bytes=1_000))["CD101"]
    assert finding.message == (
        "The cache config has 2,000 bytes, 1,000 more than the limit of 1,000. BuildKit imports at most 1,048,576."
    )
    assert finding.measure == Measure("bytes of the cache config", 2_000)
    assert finding.severity is Severity.ERROR
    assert finding.refused_by is None
    large = document([record("root")], size=LIMIT + 1)
    finding = findings(large, limits=Limits(max_bytes=1_000))["CD101"]
    assert finding.message.endswith("BuildKit imports at most 1,048,576, so no build can ever use it.")
    assert finding.refused_by == EVERY
    assert "CD101" not in findings(large, limits=Limits(max_bytes=LIMIT + 1))


def test_cd101_says_what_the_limit_of_buildkit_means() -> None:
    finding = findings(document([record("root")], size=9, manifest_size=LIMIT + 1))["CD101"]
    assert finding.message == (
        "The manifest has 1,048,577 bytes, 1 more than the 1,048,576 that BuildKit imports. The export succeeds, but "
        "no build can ever use it."
    )
    assert finding.refused_by == EVERY


def test_cd101_is_silent_about_backends_without_the_limit() -> None:
    annotated = [{**layer, "annotations": {"size": 1}} for layer in layers(-1)]
    assert "CD101" not in findings(document([record("root", layer=0)], annotated, size=LIMIT + 1))


def test_cd101_obeys_the_limit_given() -> None:
    assert "CD101" in findings(document([record("root")], size=11), limits=Limits(max_bytes=10))


def test_cd102_names_the_records_and_depends_on_the_release() -> None:
    bad = document([record("root"), record("a", [0], []), record("b", [0])])
    assert findings(bad)["CD102"].records == (1,)
    for release in (None, "v0.25.0"):
        finding = findings(bad, buildkit=release)["CD102"]
        assert (finding.severity, finding.refused_by) == (Severity.ERROR, REFUSES_EMPTY_INPUT)
    finding = findings(bad, buildkit="v0.24.9")["CD102"]
    assert (finding.severity, finding.refused_by) == (Severity.WARNING, None)


_BEFORE, _LAST = record("before", [], [0]), record("last", [0], [])
_DROP, _IGNORE = "the record and what is made only from it", "an empty input at the end of a record"


@pytest.mark.parametrize(
    ("records", "release", "expected"),
    [
        (
            [_BEFORE],
            None,
            "Record 1 has an input without alternatives. v0.25 and later refuse the whole cache; older releases drop "
            f"{_DROP}.",
        ),
        (
            [_LAST],
            None,
            "Record 1 has an input without alternatives. v0.25 and later refuse the whole cache; older releases ignore "
            f"{_IGNORE}.",
        ),
        (
            [record("both", [], [0], []), _LAST],
            None,
            "2 records have an input without alternatives; the first is record 1. v0.25 and later refuse the whole "
            f"cache; older releases ignore {_IGNORE}, and otherwise drop {_DROP}.",
        ),
        (
            [_BEFORE, record("root?", [], [])],
            "v0.24.9",
            "2 records have an input without alternatives; the first is record 1. This release ignores "
            f"{_IGNORE}, and otherwise drops {_DROP}.",
        ),
        ([_BEFORE], "v0.24.9", f"Record 1 has an input without alternatives. This release drops {_DROP}."),
        ([_LAST], "v0.24.9", f"Record 1 has an input without alternatives. This release ignores {_IGNORE}."),
    ],
)
def test_cd102_says_what_each_release_does(records: list[dict[str, Any]], release: str | None, expected: str) -> None:
    assert findings(document([record("root"), *records]), buildkit=release)["CD102"].message == expected


def test_cd102_fires_on_links_to_a_record_that_is_left_out() -> None:
    random = {"digest": "random:1"}
    assert "CD102" not in findings(document([random, record("root")]))
    bad = document([record("a", [2]), record("b", [1, 2]), random, record("c", [1])])
    finding = findings(bad)["CD102"]
    assert (finding.records, finding.severity, finding.refused_by) == ((0, 1), Severity.ERROR, REFUSES_EMPTY_INPUT)
    assert finding.message == (
        "2 records link to a record that BuildKit leaves out, because its digest begins with random:; the first is "
        "record 0. v0.25 and later refuse the whole cache; older releases ignore the link."
    )
    older = findings(bad, buildkit="v0.24.9")["CD102"]
    assert (older.severity, older.refused_by) == (Severity.WARNING, None)
    assert older.message.endswith("is record 0. This release ignores the link.")


def test_cd103_fires_on_a_cycle_of_one_document() -> None:
    bad = document([record("root"), record("a", [0, 2]), record("b", [1])])
    finding = findings(bad)["CD103"]
    assert (finding.records, finding.refused_by) == ((1, 2), EVERY)
    assert finding.message == (
        "2 records form a cycle in the document itself, for example 1 → 2 → 1. BuildKit refuses the whole cache."
    )
    assert "CD204" not in findings(bad)
    assert findings(document([record("self", [0])]))["CD103"].message.startswith("1 record forms a cycle in")


def test_cd103_shows_the_beginning_of_a_long_cycle() -> None:
    cycle = [record(f"{index}", [(index + 1) % 10]) for index in range(10)]
    assert "for example 0 → 9 → 8 → 7 → 6 → 5 → 4 → 3 → … → 0." in findings(document(cycle))["CD103"].message


def test_cd103_is_silent_if_only_the_union_loops() -> None:
    union = findings(fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json"))
    assert "CD103" not in union
    assert union["CD204"].count == len(union["CD204"].members or ()) == 7
    assert union["CD204"].message.startswith(
        "7 records form a loop once equal records are merged, for example record 3 of source 1 (5fa2ac1ec099) → "
    )


@pytest.mark.parametrize("link", [-1, 2, 1 << 40])
def test_cd104_fires_on_links_outside(link: int) -> None:
    finding = findings(document([record("root"), record("a", [0, link])]))["CD104"]
    assert (finding.records, finding.refused_by) == ((1,), EVERY)
    assert finding.message == (
        "1 link points outside the document, which has 2 records and 0 layers. BuildKit refuses the whole cache."
    )


def test_cd104_fires_on_layers_outside() -> None:
    assert "CD104" in findings(document([record("root", layer=1)], layers(-1)))
    assert "CD104" in findings(document([record("root", layer=0)], layers(7)))
    assert findings(document([record("root", layer=0)], layers(-2)))["CD104"].severity is Severity.ERROR
    unnoticed = findings(document([record("root", layer=0)], layers(-1, 9)))["CD104"]
    assert (unnoticed.severity, unnoticed.refused_by) == (Severity.WARNING, None)
    assert unnoticed.message == (
        "1 layer parent points outside the document, which has 1 record and 2 layers. No result leads BuildKit "
        "to them, so it does not notice."
    )
    chained = record("root")
    chained["chains"] = [{"layers": [0, 3], "createdAt": "2026-11-24T08:14:45Z"}]
    assert findings(document([chained], layers(-1)))["CD104"].records == (0,)


def test_cd105_fires_on_a_layer_cycle() -> None:
    finding = findings(document([record("root", layer=0)], layers(1, 2, 1, -1)))["CD105"]
    assert (finding.records, finding.severity, finding.refused_by) == ((1, 2), Severity.ERROR, EVERY)
    assert finding.noun == "layer"
    unused = findings(document([record("root", layer=0)], layers(-1, 1)))["CD105"]
    assert (unused.records, unused.severity, unused.refused_by) == ((1,), Severity.WARNING, None)


@pytest.mark.parametrize(
    ("listed", "refused"), [("0123", True), ("012", True), ("013", False), ("123", False), ("", False)]
)
def test_a_layer_whose_blob_is_not_listed_ends_the_way_of_the_importer(listed: str, refused: bool) -> None:
    """A result needs layer 0, whose parents are 1 and 2. Either the parent of 2 is bad, or it is 1 again."""
    blobs = frozenset(digest(f"layer {index}") for index in listed)
    for rule, parent in (("CD104", 9), ("CD105", 1)):
        found = findings(document([record("root", layer=0)], layers(1, 2, parent, -1), blobs=blobs))[rule]
        assert found.refused_by == (EVERY if refused else None)
        assert found.severity is (Severity.ERROR if refused else Severity.WARNING)


def test_a_cycle_that_the_importer_leaves_does_not_hide_another_one() -> None:
    """Layers 0 and 1 form a cycle that ends at a missing blob, layers 2 and 3 one that does not."""
    blobs = frozenset(digest(f"layer {index}") for index in (0, 2, 3))
    both = [record("a", layer=0), record("b", layer=2)]
    assert findings(document(both, layers(1, 0, 3, 2), blobs=blobs))["CD105"].refused_by == EVERY
    assert findings(document(both[:1], layers(1, 0, 3, 2), blobs=blobs))["CD105"].refused_by is None


def test_a_chain_ends_at_a_blob_that_is_not_listed() -> None:
    for chain, refused in (([0, 9], True), ([1, 9], False), ([0, 1, 9], False), ([9, 1], True)):
        chained = {**record("root"), "chains": [{"layers": chain, "createdAt": "2026-11-24T08:14:45Z"}]}
        blobs = frozenset([digest("layer 0")])
        found = findings(document([chained], layers(-1, -1), blobs=blobs))["CD104"]
        assert found.refused_by == (EVERY if refused else None)


def test_cd106_names_both_digests() -> None:
    finding = findings(fixture("layouts/v0.21.1-image-manifest"))["CD106"]
    assert finding.severity is Severity.WARNING
    assert re.findall("sha256:(..)", finding.message) == ["10", "1c"]
    assert "CD106" not in findings(fixture("layouts/v0.32.2-docker-list"))


@pytest.mark.parametrize(
    ("diamonds", "severity"), [(10, None), (22, Severity.WARNING), (28, Severity.ERROR), (3000, Severity.ERROR)]
)
def test_cd201_grows_with_the_paths(diamonds: int, severity: Severity | None) -> None:
    finding = findings(diamond_chain(diamonds)).get("CD201")
    assert (finding and finding.severity) == severity


@pytest.mark.parametrize(
    ("version", "fires"), [("v0.8.3", False), ("0.9.0", True), ("v0.24.5", True), ("v0.25.0", False), ("0.99", False)]
)
def test_cd201_is_about_some_releases(version: str, fires: bool) -> None:
    assert ("CD201" in findings(diamond_chain(40), buildkit=version)) is fires


def test_cd201_says_how_many_checks_and_where() -> None:
    message = findings(fixture("manifests/diamond-28.json"))["CD201"].message
    assert message.startswith("The next export on BuildKit v0.9 to v0.24 makes 1.6")
    assert message.endswith(" 99% of them pass through record 63 (ba0fe48baf39), which has 2 outgoing links.")
    tags = fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json")
    several = findings(*tags, limits=Limits(max_calls=52))["CD201"].message
    assert "makes 53 to 62 checks, depending on the order the exporter uses; usually 53 (" in several
    assert ". The limit is 52 checks. " in several


@pytest.mark.parametrize(("depth", "severity"), [(60, None), (200, Severity.WARNING), (700, Severity.ERROR)])
def test_cd202_grows_with_the_chain(depth: int, severity: Severity | None) -> None:
    records = [record("root", layer=0)]
    records += [record(f"run {index}", [index - 1], layer=index) for index in range(1, depth)]
    finding = findings(document(records, layers(*range(-1, depth - 1)))).get("CD202")
    assert (finding and finding.severity) == severity


@pytest.mark.slow
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


def test_cd201_is_an_error_past_a_limit_of_calls() -> None:
    few = diamond_chain(3)
    assert "CD201" not in findings(few)
    assert "CD201" not in findings(few, limits=Limits(max_calls=22))
    finding = findings(few, limits=Limits(max_calls=21))["CD201"]
    assert finding.severity is Severity.ERROR
    assert finding.measure == Measure("calls", 22)
    assert "The limit is 21 checks." in finding.message
    assert "CD201" in findings(few, buildkit="v0.24.9", limits=Limits(max_calls=21))
    for version in ("v0.8.3", "v0.25.0"):
        assert "CD201" not in findings(few, buildkit=version, limits=Limits(max_calls=21))


def test_cd201_stays_a_warning_if_only_some_orders_are_past_a_limit_of_calls() -> None:
    tags = (fixture("manifests/tag-a.json"), fixture("manifests/tag-b.json"))
    assert findings(*tags, limits=Limits(max_calls=52))["CD201"].severity is Severity.ERROR
    finding = findings(*tags, limits=Limits(max_calls=53))["CD201"]
    assert finding.severity is Severity.WARNING
    assert finding.measure == Measure("calls", 53, exact=False)
    assert "CD201" not in findings(*tags, limits=Limits(max_calls=62))


def two_leaves(*, shared: int = 2) -> CacheDocument:
    """Steps of one root, of which one leaf needs all and another none."""
    steps = [record(f"step {index}", [0]) for index in range(shared)]
    return document(
        [record("root"), *steps, record("one", *([index + 1] for index in range(shared))), record("two", [0])]
    )


@pytest.mark.parametrize(
    ("buildkit", "fires"),
    [("v0.24.0", False), ("v0.25.0", True), (None, True), ("v0.32.2", True), ("v0.33.0", False)],
)
def test_cd107_fires_for_the_releases_that_lose_links(buildkit: str | None, fires: bool) -> None:
    assert ("CD107" in findings(two_leaves(), buildkit=buildkit)) is fires


def test_cd107_says_how_much_is_lost() -> None:
    finding = findings(two_leaves())["CD107"]
    assert finding.message == (
        "The cache has 2 leaves, and importers of BuildKit v0.25 to v0.32 drop 0 to 1 of its 5 links. Of its 5 "
        "records, an import finds 3 to 5, usually 3. Steps that need the others run again, and no log says so."
    )
    assert finding.headline == "BuildKit v0.25 to v0.32 may find only 3 to 5 of the 5 records, at random."
    assert finding.records == (3, 4)
    assert finding.severity is Severity.WARNING
    assert finding.measure == Measure("lost links", 1, exact=False)


def test_cd107_is_an_error_if_fewer_than_half_of_the_records_are_sure_to_be_found() -> None:
    finding = findings(two_leaves(shared=9))["CD107"]
    assert finding.severity is Severity.ERROR
    assert "an import finds 3 to 12" in finding.message


def test_cd107_says_if_no_record_is_lost() -> None:
    other_ways = [record("root"), record("other")]
    steps = [record("a", [0, 1]), record("b", [0, 1])]
    finding = findings(document([*other_ways, *steps, record("one", [2], [3]), record("two", [0])]))["CD107"]
    assert "All of its 6 records are still found" in finding.message
    assert finding.headline == ""


def test_cd107_judges_each_document_by_itself() -> None:
    alone = [dataclasses.replace(two_leaves(), source=name) for name in ("a", "b")]
    reported = analyze(alone).findings
    assert [finding.source for finding in reported if finding.rule == "CD107"] == ["a", "b"]
    one_leaf = [document([record("root"), record(name, [0])], source=name) for name in ("a", "b")]
    assert "CD107" not in findings(*one_leaf)


def test_cd107_is_silent_about_a_cache_with_a_joining_record() -> None:
    joined = two_leaves().config
    digests = [joined.digests[leaf] for leaf in (3, 4)]
    joining = {"digest": digest_of_joining(digests), "inputs": [[{"link": 3}, {"link": 4}]]}
    steps = [record(f"step {index}", [0]) for index in range(2)]
    records = [record("root"), *steps, record("one", [1], [2]), record("two", [0]), joining]
    assert findings(document(records)) == {}
