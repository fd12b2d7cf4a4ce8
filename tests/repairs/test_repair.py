"""Repaired caches can be imported, have no loops, and lost nothing. An importer that shares no code checks that."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import errors
from cachedoctor.cacheconfig import decode, encode
from cachedoctor.errors import InputError, LimitError
from cachedoctor.graph import paths
from cachedoctor.graph.records import Graph, build
from cachedoctor.io import memory
from cachedoctor.repairs import limits, loops, proof, prune
from cachedoctor.repairs.prune import Preference
from cachedoctor.repairs.repair import Options, Repaired, repair
from cachedoctor.report.repair import too_large_problem
from cachedoctor.sources import CacheDocument, load, parse
from tests import independent
from tests.support import FIXTURES, digest, document, layers, record

EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
CASES = {name: case["inputs"] for name, case in EXPECTED.items()} | {
    "export-stuck": ["exporter-state/export-stuck.json"]
}
SMALL = [name for name in CASES if name not in ("accumulated", "too-large")]


def documents(names: list[str]) -> list[CacheDocument]:
    return [document for name in names for document in load(str(FIXTURES / name))]


def raw(names: list[str]) -> list[dict[str, Any]]:
    return [independent.parse((FIXTURES / name).read_bytes()) for name in names]


def again(data: bytes) -> CacheDocument:
    return CacheDocument("again", "cache-config", decode(data), "", len(data), None, None, "")


def plain(data: bytes) -> dict[str, Any]:
    """The document without what joins its leaves."""
    return independent.without_joining(independent.parse(data))


def imports(repaired: Repaired) -> None:
    out = independent.parse(repaired.data)
    assert len(independent.leaves(out)) == (1 if out.get("records") else 0)
    assert not any(independent.lost_on_import(out, Random(seed)) for seed in range(5))
    assert independent.refusals(out) == []
    assert not independent.has_loop(out)
    assert len(independent.derivable(out)) == len(out.get("records", []))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_repaired_captures_can_be_imported_and_keep_as_many_links_as_in_buildkit(case: str) -> None:
    repaired = repair(documents(CASES[case]), Options())
    imports(repaired)
    assert (repaired.lost.records, repaired.lost.results) == (0, 0)
    measured = EXPECTED.get(case, {}).get("importer_ge_0_25", {})
    if "records" in measured:
        assert repaired.after.records in measured["records"]
        assert repaired.after.links >= max(measured["links"])
        assert repaired.after.layers >= max(measured["layers"])


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL)
@pytest.mark.parametrize(
    "options", [Options(), Options(minimal=True), Options(max_calls=2_000)], ids=["", "min", "calls"]
)
def test_captures_lose_nothing(case: str, options: Options) -> None:
    repaired = repair(documents(CASES[case]), options)
    imports(repaired)
    assert independent.contents(raw(CASES[case])) == independent.contents([plain(repaired.data)])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_repairing_twice_changes_nothing(case: str) -> None:
    for options in (Options(), Options(minimal=True)):
        once = repair(documents(CASES[case]), options).data
        assert repair([again(once)], options).data == once


@pytest.mark.parametrize("name", sorted(path.name for path in (FIXTURES / "manifests").glob("*.json")))
def test_files_from_buildkit_are_encoded_byte_for_byte(name: str) -> None:
    data = (FIXTURES / "manifests" / name).read_bytes()
    assert encode(decode(data)) == data


@pytest.mark.parametrize("case", ["chain-16", "diamond-20", "diamond-28", "service", "tag-a", "tag-b", "s3-backend"])
def test_a_clean_cache_stays_the_same_byte_for_byte(case: str) -> None:
    repaired = repair(documents(CASES[case]), Options())
    assert repaired.data == (FIXTURES / CASES[case][0]).read_bytes()


@pytest.mark.parametrize(
    ("case", "calls"), [("diamond-20", 464), ("diamond-28", 872), ("shared-copies-t3", 356), ("export-stuck", 406)]
)
def test_the_cheapest_equal_cache(case: str, calls: int) -> None:
    assert repair(documents(CASES[case]), Options(minimal=True)).after.calls == calls


@pytest.mark.slow
def test_a_limit_on_bytes_removes_hardly_more_links_than_necessary() -> None:
    limit = 1 << 20
    origin = documents(CASES["too-large"])
    whole = independent.parse((FIXTURES / "manifests/too-large.json").read_bytes())
    sizes = sorted(
        (
            size
            for written in whole["records"]
            for alternatives in written.get("inputs", [])
            for size in sorted(len(json.dumps(link, separators=(",", ":"))) + 1 for link in alternatives)[1:]
        ),
        reverse=True,
    )
    excess, fewest = len(repair(origin, Options()).data) - limit, 0
    while excess > 0:
        excess -= sizes[fewest]
        fewest += 1
    for prefer in ("cheapest", "definition", "content"):
        repaired = repair(origin, Options(max_bytes=limit, prefer=prefer, headroom=0))
        imports(repaired)
        assert len(repaired.data) <= limit
        assert (repaired.lost.records, repaired.lost.results) == (0, 0)
        assert repaired.removed.pruned_links <= fewest * 1.02
        records, results = independent.contents([]), repaired.after.results
        assert records == independent.contents([])
        assert results == 87


@pytest.mark.slow
@pytest.mark.parametrize("limit", [10**12, 10**6, 5_000])
def test_a_limit_on_calls_is_kept_and_leaves_alternatives(limit: int) -> None:
    origin = documents(CASES["accumulated"])
    repaired = repair(origin, Options(max_calls=limit))
    imports(repaired)
    assert repaired.after.calls <= limit
    assert repaired.after.links > repair(origin, Options(minimal=True)).after.links


def test_limits_that_cannot_be_reached() -> None:
    origin = documents(CASES["diamond-20"])
    with pytest.raises(LimitError, match="the fewest that keep every record are 464"):
        repair(origin, Options(max_calls=463))
    assert repair(origin, Options(max_calls=464)).after.calls == 464
    with pytest.raises(LimitError, match="with one alternative for each input it has at least 15,684 bytes"):
        repair(origin, Options(max_bytes=10_000))


def test_dropping_the_oldest() -> None:
    origin = documents(CASES["diamond-20"])
    repaired = repair(origin, Options(max_bytes=10_000, drop_oldest=True, headroom=0))
    imports(repaired)
    assert 9_000 < len(repaired.data) <= 10_000
    assert repaired.lost.records == len(repaired.removed.dropped_records) > 0
    before, _ = independent.contents(raw(CASES["diamond-20"]))
    after, _ = independent.contents([plain(repaired.data)])
    assert sorted((before - after).elements()) == sorted(repaired.removed.dropped_records)


def test_the_oldest_leaf_is_dropped_first() -> None:
    records = [record("root"), record("old", [0], layer=0), record("new", [0], layer=0)]
    records[1]["layers"][0]["createdAt"] = "2026-11-24T08:00:00.9Z"
    records[2]["layers"][0]["createdAt"] = "2026-11-24T08:00:00.91Z"
    size = len(repair([document(records, layers(-1))], Options()).data)
    repaired = repair([document(records, layers(-1))], Options(max_bytes=size - 1, drop_oldest=True, headroom=0))
    assert repaired.removed.dropped_records == [digest("old")]


@pytest.mark.parametrize("stay", range(1, 8))
def test_no_more_records_are_dropped_than_necessary(stay: int) -> None:
    records = [record("root"), *(record(f"{age}", [0], layer=0) for age in range(7))]
    for age, aged in enumerate(records[1:]):
        aged["layers"][0]["createdAt"] = f"2026-11-24T08:00:0{7 - age}Z"
    limit = len(repair([document(records[: stay + 1], layers(-1))], Options()).data)
    repaired = repair([document(records, layers(-1))], Options(max_bytes=limit, drop_oldest=True, headroom=0))
    assert repaired.removed.dropped_records == [digest(f"{age}") for age in range(6, stay - 1, -1)]


def test_results_are_sorted_by_date() -> None:
    """Oldest first: BuildKit up to v0.24 keeps the last one, later releases keep the newest."""
    root = record("root", layer=0)
    root["layers"] = [
        {"layer": 0, "createdAt": "2026-11-24T08:00:00.5Z"},
        {"layer": 1, "createdAt": "2026-11-24T08:00:00.49Z"},
        {"layer": 2, "createdAt": "2026-11-24T10:00:00+02:00"},
        {"layer": 0, "createdAt": "2026-11-24T08:00:00.6Z"},
    ]
    out = independent.parse(repair([document([root], layers(-1, -1, -1))], Options()).data)
    assert [result["layer"] for result in out["records"][0]["layers"]] == [2, 1, 0]
    assert out["records"][0]["layers"][2]["createdAt"] == "2026-11-24T08:00:00.6Z"


def test_annotations_and_unknown_fields_of_layers_are_kept() -> None:
    odd = [{**layer, "annotations": {"size": 5, "b": "<&>"}, "more": [1]} for layer in layers(-1)]
    repaired = repair([document([record("root", layer=0), {**record("x", [0]), "note": 1}], odd)], Options())
    assert independent.parse(repaired.data)["layers"] == odd
    assert b"\\u003c\\u0026\\u003e" in repaired.data
    assert "records[].note" in repaired.warnings[0]


def test_everything_that_is_removed_is_counted() -> None:
    records = [
        record("root", layer=0),
        record("twin", [0], layer=1),
        record("twin", [0], layer=1),
        record("empty", []),
        record("dead", [3]),
        record("kept", [0, 4, 99], layer=7),
        record("lost blob", [0], layer=2),
        record("a", [0, 8]),
        record("b", [7]),
    ]
    listed = frozenset({digest("layer 0"), digest("layer 1")})
    repaired = repair([document(records, layers(-1, 0, -1, -1), blobs=listed)], Options())
    imports(repaired)
    removed = repaired.removed
    assert (removed.duplicate_records, removed.dead_records, removed.invalid_records) == (1, 1, 1)
    assert (removed.looping_links, removed.dangling_links) == (1, 2)
    assert (removed.duplicate_results, removed.dangling_results, removed.missing_blob_results) == (1, 1, 1)
    assert removed.unused_layers == 2
    assert (repaired.lost.records, repaired.lost.results) == (0, 0)


def test_the_proof_refuses_a_cache_that_lost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have dropped a result, or an alternative that was needed."""
    from cachedoctor.repairs import repair as module

    origin = documents(CASES["service"])

    def forgetful(change: Any) -> Any:
        def wrong(config: Any) -> bytes:
            parsed = json.loads(encode(config))
            change(parsed)
            return json.dumps(parsed).encode()

        return wrong

    def drop_result(parsed: dict[str, Any]) -> None:
        parsed["records"][0].pop("layers")

    def drop_record(parsed: dict[str, Any]) -> None:
        parsed["records"].pop()

    def empty(parsed: dict[str, Any]) -> None:
        parsed["records"][0]["inputs"] = [[]]

    def loop(parsed: dict[str, Any]) -> None:
        parsed["records"][0]["inputs"] = [[{"link": 0}, *parsed["records"][0]["inputs"][0]]]

    for change in (drop_result, drop_record, empty, loop):
        monkeypatch.setattr(module, "encode", forgetful(change))
        with pytest.raises(errors.ProofError):
            repair(origin, Options())


def test_the_proof_refuses_a_cache_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is not what was drafted."""
    from cachedoctor.repairs import repair as module

    root, child = record("root"), record("one", [0], [0])
    origin = [document([root, child])]
    looping = [root, child, record("up", [1]), record("one", [0, 2], [0])]
    for written, options, problem in (
        (b"{", Options(), "cannot be read"),
        (b'{"records":[{"inputs":3}]}', Options(), "cannot be read"),
        (json.dumps({"records": [root, child, child]}).encode(), Options(), "dead or duplicate records"),
        (json.dumps({"records": looping}).encode(), Options(), "has a loop"),
        (
            json.dumps({"records": [root, record("one", [0, (0, "s")], [0])]}).encode(),
            Options(max_calls=3),
            "over the limit of 3",
        ),
    ):
        monkeypatch.setattr(module, "encode", lambda config, written=written: written)
        with pytest.raises(errors.ProofError, match=problem):
            repair(origin, options)
    chained = document([{**root, "chains": [{"layers": [0]}]}], layers(-1))
    monkeypatch.setattr(module, "encode", lambda config: json.dumps({"records": [root]}).encode())
    with pytest.raises(errors.ProofError, match="0 records and 1 results would be lost"):
        repair([chained], Options())
    monkeypatch.setattr(module, "encode", lambda config: encode(config) + b" ")
    with pytest.raises(errors.ProofError, match="over the limit of"):
        repair(origin, Options(max_bytes=len(encode(origin[0].config)), headroom=0))


def test_too_many_paths_are_an_error_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_BITS_ADDED", 10)
    with pytest.raises(InputError, match="cannot count its paths"):
        repair(documents(CASES["diamond-20"]), Options())


def test_a_limit_that_is_already_kept_changes_nothing() -> None:
    origin = documents(CASES["service"])
    whole = repair(origin, Options())
    for options in (Options(max_bytes=len(whole.data), headroom=0), Options(max_calls=whole.after.calls)):
        assert repair(origin, options).data == whole.data


@pytest.mark.parametrize(
    ("prefer", "links", "gone"),
    [("definition", [(0, "s"), (0, "t"), (0, "")], (0, "")), ("content", [(0, ""), (0, "s"), (1, "")], (0, "s"))],
)
def test_the_preference_decides_between_links_that_cost_the_same(
    prefer: Preference, links: list[Any], gone: tuple[int, str]
) -> None:
    origin = document([record("a"), record("b"), record("c", links)])
    whole = repair([origin], Options())
    repaired = repair([origin], Options(max_calls=whole.after.calls - 1, prefer=prefer))
    left = independent.parse(repaired.data)["records"][2]["inputs"][0]
    assert [(link["link"], link.get("selector", "")) for link in left] == [link for link in links if link != gone]


def test_cost_decides_between_links_of_nearly_the_same_size() -> None:
    records = [record("a"), record("b", [0], [0]), record("c", [1], [1]), *(record(f"{index}") for index in range(9))]
    records += [record("cheap", [10, 11]), record("costly", [2, 0])]
    origin = document(records)
    size = len(repair([origin], Options(join=False)).data)
    repaired = repair([origin], Options(max_bytes=size - 1, headroom=0, join=False))
    left = independent.parse(repaired.data)["records"]
    assert left[13]["inputs"] == [[{"link": 0}]]
    assert left[12]["inputs"] == [[{"link": 10}, {"link": 11}]]


def test_not_every_record_may_be_dropped() -> None:
    with pytest.raises(LimitError, match="no record at all would be left"):
        repair(documents(CASES["service"]), Options(max_bytes=20, drop_oldest=True))


def test_unusable_chains_are_removed() -> None:
    root, dead = record("root"), record("dead", [])
    root["chains"] = [{"layers": [0]}, {"layers": [9]}, {"layers": [0]}, {"layers": [0, -1]}]
    dead["chains"] = [{"layers": [0]}]
    repaired = repair([document([root, dead], layers(-1))], Options())
    assert independent.parse(repaired.data)["records"] == [{"chains": [{"layers": [0]}], "digest": digest("root")}]
    assert (repaired.removed.dangling_results, repaired.removed.duplicate_results) == (2, 1)


def test_what_is_read_back_must_be_what_was_proved() -> None:
    repaired = repair(documents(CASES["service"]), Options())
    repaired.check(repaired.data)
    with pytest.raises(errors.ProofError, match="not what was written"):
        repaired.check(repaired.data + b" ")


@st.composite
def caches(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One or two small documents, some with cycles, empty inputs, and indices outside the document."""
    repaired = []
    for _ in range(draw(st.integers(1, 2))):
        count = draw(st.integers(0, 7))
        depth = draw(st.integers(0, 3))
        listed = [
            {"blob": draw(st.sampled_from("xyz")), "parent": draw(st.integers(-1, index - 1))} for index in range(depth)
        ]
        link = st.fixed_dictionaries(
            {"selector": st.sampled_from(["", "s"]), "link": st.integers(0, max(0, count))},
        )
        records = []
        for _ in range(count):
            inputs = draw(st.lists(st.lists(link, max_size=3), max_size=2))
            written: dict[str, Any] = {"digest": draw(st.sampled_from("ABC")), "inputs": inputs}
            if depth and draw(st.booleans()):
                written["layers"] = [{"layer": draw(st.integers(0, depth - 1)), "createdAt": "2026-11-24T08:00:00Z"}]
            records.append(written)
        repaired.append({"layers": listed, "records": records})
    return repaired


@settings(max_examples=600)
@given(caches(), st.sampled_from([Options(), Options(minimal=True), Options(max_calls=30)]))
def test_nothing_is_lost_on_any_graph(repaired: list[dict[str, Any]], options: Options) -> None:
    origin = [document(copy.deepcopy(parsed["records"]), copy.deepcopy(parsed["layers"])) for parsed in repaired]
    try:
        out = repair(origin, options)
    except LimitError:
        if independent.merged(repaired)[1]:
            assert repair(origin, Options(minimal=True)).after.calls > 30
        return
    imports(out)
    assert independent.contents(repaired) == independent.contents([plain(out.data)])
    assert repair([again(out.data)], options).data == out.data
    assert independent.parse(out.data).get("records", []) or out.after.records == 0


@pytest.mark.slow
def test_a_cache_that_takes_too_much_memory_is_refused_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(str(FIXTURES / "manifests/too-large.json"))
    need = 6 * loaded[0].size
    monkeypatch.setattr(memory, "FREE_BYTES", need - 1)
    for left in (None, need):
        monkeypatch.setattr(memory, "available", lambda left=left: left)
        assert repair(loaded, Options()).lost == proof.Lost(0, 0)
    monkeypatch.setattr(memory, "available", lambda: need - 1)
    with pytest.raises(InputError, match=r"repairing it takes about 6 MiB of memory more, and 6 MiB are left"):
        repair(loaded, Options())
    monkeypatch.setattr(memory, "FREE_BYTES", need)
    assert repair(loaded, Options()).lost == proof.Lost(0, 0)


@pytest.mark.parametrize("options", [Options(max_bytes=5_000), Options(max_calls=99)])
def test_an_unreachable_limit_is_refused_before_the_search(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*given: object) -> None:
        raise AssertionError

    monkeypatch.setattr(loops, "closing", searched)
    monkeypatch.setattr(prune, "to_bytes", searched)
    monkeypatch.setattr(prune, "to_calls", searched)
    with pytest.raises(LimitError, match="is too low"):
        repair(documents(["exporter-state/export-loop.json"]), options)


def test_counting_the_fewest_calls_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_BITS_HELD", 50)
    with pytest.raises(errors.CountTooLarge, match="even the fewest"):
        prune.fewest_calls(_doubling(40))


def _doubling(steps: int) -> Graph:
    """A chain in which every step has twice the paths of the one before."""
    records = [record("root"), *(record(f"{step}", [step], [step]) for step in range(steps))]
    return build([document(records).config])


def test_a_limit_on_both_takes_what_reaches_both() -> None:
    """Fewer calls may take the smallest alternatives away, and fewer bytes the cheapest."""
    origin = documents(CASES["accumulated"])
    whole = repair(origin, Options())
    both = repair(origin, Options(max_bytes=len(whole.data) // 2, max_calls=10_000))
    assert len(both.data) <= len(whole.data) * 0.45
    assert both.after.calls <= 10_000


def test_records_are_dropped_only_if_the_limit_itself_needs_it() -> None:
    origin = documents(CASES["diamond-20"])
    least = len(repair(origin, Options(minimal=True)).data)
    kept = repair(origin, Options(max_bytes=least, drop_oldest=True))
    assert kept.removed.dropped_records == []
    assert kept.goal.target_bytes is not None
    assert kept.goal.target_bytes < len(kept.data) <= least
    dropped = repair(origin, Options(max_bytes=least // 2, drop_oldest=True))
    assert dropped.removed.dropped_records
    assert len(dropped.data) <= least // 2 * 0.9


def test_a_manifest_can_be_too_large_too() -> None:
    root = record("root")
    root["layers"] = [{"layer": index} for index in range(3_000)]
    origin = document([root], layers(*[-1] * 3_000), kind="image-manifest")
    described = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": 1, "annotations": {"a": "b" * 200}}
    listed = {blob: {**described, "digest": blob} for blob in origin.config.blobs}
    repaired = repair([replace(origin, descriptors=listed)], Options())
    assert len(repaired.data) < 1 << 20 < (repaired.manifest_bytes or 0)
    assert repaired.too_large() == ("manifest", repaired.manifest_bytes)
    problem = too_large_problem(repaired, ("manifest", repaired.manifest_bytes or 0))
    assert "It lists 3,000 layers." in problem.text
    assert not problem.has_remedy
    assert repair([origin], Options()).too_large() is None


def test_in_a_registry_every_cache_is_limited() -> None:
    annotated = [{**layer, "annotations": {}} for layer in layers(-1)]
    records = [record(f"{index}", layer=0) for index in range(9_000)]
    for origin in (document(records, annotated), document(records, layers(-1), kind="inline")):
        repaired = repair([origin], Options())
        assert repaired.too_large() is None
        assert repaired.too_large(parse("out.json")) is None
        assert repaired.too_large(parse("docker://localhost/app:cache")) == ("cache config", len(repaired.data))


def test_bytes_of_auto_are_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is then too large to be imported is not written, but that is for the caller to say."""
    monkeypatch.setattr(limits, "IMPORT_LIMIT", 9_000)
    origin = documents(CASES["diamond-20"])
    for options in (Options(max_bytes="auto"), Options(max_bytes="auto", max_calls="auto")):
        repaired = repair(origin, options)
        assert repaired.removed.pruned_links == 20
        assert repaired.goal.max_bytes == 9_000 < len(repaired.data)
    assert len(repair(origin, Options(max_bytes="auto", drop_oldest=True)).data) <= 9_000
