"""The joining record of a repaired cache: when there is one, what it changes, and that importers lose nothing then."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor import errors
from cachedoctor.cacheconfig import encode
from cachedoctor.errors import LimitError
from cachedoctor.graph.joining import digest_of_joining
from cachedoctor.repairs.repair import Options, repair
from cachedoctor.sources import CacheDocument
from tests import independent
from tests.repairs.test_repair import CASES, SMALL, again, caches, documents, plain, raw
from tests.support import FIXTURES, digest, document, layers, record

MEASURED = {"shared-copies-t1": (35, 66), "accumulated": (54, 1_077)}
"""The fewest and the most links that BuildKit's own importer lost in 200 runs (v0.32.2: `v1.NewCacheKeyStorage`)."""
UNIONS = [
    ["manifests/tag-a.json", "manifests/service.json"],
    ["manifests/shared-copies-t1.json", "manifests/shared-copies-t2.json", "manifests/shared-copies-t3.json"],
    ["manifests/diamond-20.json", "manifests/chain-16.json", "manifests/s3-backend.json"],
    ["exporter-state/export-13m.json", "exporter-state/export-loop.json"],
]


def merged(name: str) -> dict[str, Any]:
    """A capture as the importer has it after merging."""
    return independent.parse(repair(documents(CASES[name]), Options(join=False)).data)


@pytest.mark.parametrize("name", MEASURED)
def test_the_replay_of_importers_loses_what_was_measured(name: str) -> None:
    """So it would notice if repaired caches lost anything."""
    cache = merged(name)
    lost = [independent.lost_on_import(cache, Random(seed)) for seed in range(200)]
    fewest, most = MEASURED[name]
    assert fewest <= min(lost) < fewest * 1.2
    assert most * 0.9 < max(lost) <= most


@pytest.mark.parametrize("inputs", [*(CASES[name] for name in CASES), *UNIONS], ids=" + ".join)
@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(minimal=True),
        Options(max_bytes="auto", max_calls="auto"),
        Options(max_bytes=9_000, drop_oldest=True),
    ],
    ids=["", "minimal", "auto", "dropping"],
)
def test_importers_lose_no_link_of_a_repaired_cache(inputs: list[str], options: Options) -> None:
    repaired = repair(documents(inputs), options)
    cache = independent.parse(repaired.data)
    assert len(independent.leaves(cache)) == 1
    assert repaired.after.leaves == 1
    assert not any(independent.lost_on_import(cache, Random(seed)) for seed in range(20))
    if independent.joining(cache) is not None:
        assert cache["records"][-1]["inputs"] == [[{"link": leaf} for leaf in independent.leaves(plain(repaired.data))]]
        assert repaired.after.records == len(cache["records"]) - 1


@pytest.mark.parametrize("name", CASES)
def test_a_joining_record_is_all_that_is_added(name: str) -> None:
    joined, left = (repair(documents(CASES[name]), Options(join=join)) for join in (True, False))
    assert plain(joined.data) == independent.parse(left.data)
    assert joined.data.startswith(left.data.removesuffix(b"]}"))
    assert joined.added_joining is (left.after.leaves > 1) is (joined.data != left.data)
    sizes = [(size.records, size.links, size.results, size.calls) for size in (joined.after, left.after)]
    assert sizes[0] == sizes[1]
    assert left.after.leaves == len(independent.leaves(independent.parse(left.data)))


@pytest.mark.parametrize("name", ["accumulated", "shared-copies-t3", "export-13m"])
def test_joining_again_adds_nothing(name: str) -> None:
    once = repair(documents(CASES[name]), Options())
    twice = repair([again(once.data)], Options())
    assert twice.data == once.data
    assert twice.unchanged
    assert (once.added_joining, twice.added_joining) == (True, False)
    assert twice.before == once.after
    left = repair([again(once.data)], Options(join=False))
    assert left.removed_joining
    assert left.data == repair(documents(CASES[name]), Options(join=False)).data


def test_joined_caches_get_one_new_joining_record() -> None:
    """Theirs are neither lost nor dead, and count nowhere."""
    inputs = [name for case in ("shared-copies-t1", "shared-copies-t2") for name in CASES[case]]
    once = [again(repair(documents([name]), Options()).data) for name in inputs]
    assert all(independent.joining(independent.parse(encode(one.config))) for one in once)
    both = repair(once, Options())
    assert both.added_joining
    assert independent.contents([plain(both.data)]) == independent.contents(raw(inputs))
    assert (both.removed.dead_records, both.removed.invalid_records, both.removed.dangling_links) == (0, 0, 0)
    assert (both.lost.records, both.lost.results) == (0, 0)
    assert both.before.records == sum(one.after.records for one in (repair([one], Options()) for one in once))


def test_an_isolated_root_is_a_leaf() -> None:
    out = independent.parse(repair([document([record("a"), record("b")])], Options()).data)
    assert out["records"][-1]["inputs"] == [[{"link": 0}, {"link": 1}]]


def test_leaves_that_a_joining_record_leaves_out_count() -> None:
    joined = independent.parse(repair([document([record("a"), record("b")])], Options()).data)["records"]
    alone = document([*joined[:2], record("c"), joined[2]])
    repaired = repair([alone], Options())
    assert (repaired.before.leaves, repaired.after.leaves) == (2, 1)
    assert repaired.added_joining
    assert (repaired.before.records, repaired.after.records) == (3, 3)


def test_a_link_that_makes_a_leaf_is_not_worth_its_removal() -> None:
    """The joining record would have to link to its source instead."""
    records = [record("a"), record("b"), record("c", [0, 1]), record("d", [0, (0, "s" * 20)])]
    whole = len(repair([document(records)], Options()).data)
    repaired = repair([document(records)], Options(max_bytes=whole - 1, headroom=0))
    cache = independent.parse(repaired.data)["records"]
    assert [len(cache[index]["inputs"][0]) for index in (2, 3)] == [2, 1]


def test_a_first_joining_record_has_to_be_worth_it() -> None:
    """It takes more bytes than the selector that is saved; links that save less are removed instead."""
    records = [record("a"), record("b", [0], [0]), record("c", [1, (0, "s" * 30), (0, "t" * 20), (0, "u" * 20)])]
    whole = len(encode(document(records).config))
    assert repair([document(records)], Options()).data == encode(document(records).config)
    repaired = repair([document(records)], Options(max_bytes=whole - 60, headroom=0))
    assert independent.joining(independent.parse(repaired.data)) is None
    assert repaired.removed.pruned_links == 2


Limited = tuple[list[dict[str, Any]], float, bool]


@settings(max_examples=400)
@given(caches(), st.floats(0.2, 1), st.booleans())
def test_a_limit_on_bytes_holds_with_the_joining_record(cache: list[dict[str, Any]], share: float, join: bool) -> None:
    def origin() -> list[CacheDocument]:
        return [document(copy.deepcopy(one["records"]), copy.deepcopy(one["layers"])) for one in cache]

    try:
        whole = repair(origin(), Options(join=join))
    except LimitError:
        return
    limit = max(1, int(len(whole.data) * share))
    try:
        repaired = repair(origin(), Options(max_bytes=limit, join=join, headroom=0))
    except LimitError:
        smallest = _smallest(independent.parse(whole.data) if not join else plain(whole.data))
        if not join:
            assert smallest > limit
        return
    assert len(repaired.data) <= limit
    out = independent.parse(repaired.data)
    assert not join or len(independent.leaves(out)) <= 1
    assert independent.contents(cache) == independent.contents([plain(repaired.data)])
    assert repair([again(repaired.data)], Options(max_bytes=limit, join=join, headroom=0)).data == repaired.data


def _smallest(cache: dict[str, Any]) -> int:
    """The size with only the smallest alternative of each input."""
    for one in cache.get("records", []):
        one["inputs"] = [[min(links, key=lambda link: len(json.dumps(link)))] for links in one.get("inputs", [])]
        if not one["inputs"]:
            del one["inputs"]
    return len(json.dumps(cache, separators=(",", ":")))


@settings(max_examples=400)
@given(caches())
def test_every_result_is_accounted_for(cache: list[dict[str, Any]]) -> None:
    origin = [document(copy.deepcopy(one["records"]), copy.deepcopy(one["layers"])) for one in cache]
    try:
        repaired = repair(origin, Options())
    except LimitError:
        return
    removed = repaired.removed
    gone = removed.dangling_results + removed.missing_blob_results + removed.dead_results
    assert repaired.before.results == repaired.after.results + removed.duplicate_results + gone


def test_the_proof_refuses_leaves_that_are_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    from cachedoctor.repairs import repair as module

    records = [record("a"), record("b"), record("c", [0])]
    origin = [document(records, layers())]
    joined = independent.parse(repair(origin, Options()).data)["records"]

    def writes(*written: dict[str, Any]) -> None:
        monkeypatch.setattr(module, "encode", lambda config: json.dumps({"records": written}).encode())

    writes(*records)
    with pytest.raises(errors.ProofError, match="has 2 leaves"):
        repair(origin, Options())
    writes(*joined[:3], {**joined[3], "digest": joined[0]["digest"]})
    with pytest.raises(errors.ProofError, match="records that its sources do not have"):
        repair(origin, Options())
    writes(*joined)
    with pytest.raises(errors.ProofError, match="has a joining record"):
        repair(origin, Options(join=False))
    writes(*joined[:2], record("c", [(0, "s")]), joined[3])
    with pytest.raises(errors.ProofError, match="the joining record changed something else"):
        repair(origin, Options())


_A, _B = record("a", layer=0), record("b")
_JOIN: dict[str, Any] = {
    "digest": digest_of_joining([_A["digest"], _B["digest"]]),
    "inputs": [[{"link": 0}, {"link": 1}]],
}
_DEAD: dict[str, Any] = {"digest": digest("dead"), "inputs": [[{"link": 2}], []]}
_OUTER = {"digest": digest_of_joining([_JOIN["digest"], _A["digest"]]), "inputs": [[{"link": 2}, {"link": 0}]]}


@pytest.mark.parametrize("join", [True, False])
@pytest.mark.parametrize("after", [[_JOIN], [_DEAD], [_OUTER], [_OUTER, _JOIN], [_DEAD, _JOIN]])
def test_records_that_imitate_joining_records_are_removed(after: list[dict[str, Any]], join: bool) -> None:
    """Where the repaired cache would end with them, since its readers take them for joining records."""
    repaired = repair([document([_A, _B, _JOIN, *after], layers(-1))], Options(join=join))
    assert independent.parse(repaired.data)["records"] == [_A, _B, *([_JOIN] if join else [])]
    assert (repaired.lost.records, repaired.lost.results) == (0, 0)
    assert repair([again(repaired.data)], Options(join=join)).data == repaired.data


def test_an_imitation_may_come_last_once_records_are_dropped() -> None:
    cache = document([_A, _B, _JOIN, record("last", [2], layer=0)], layers(-1))
    options = Options(max_bytes=len(encode(cache.config)) - 1, headroom=0, drop_oldest=True)
    repaired = repair([cache], options)
    assert repaired.removed.dropped_records == [digest("last")]
    assert independent.parse(repaired.data)["records"] == [_A, _B, _JOIN]
    assert repair([again(repaired.data)], options).data == repaired.data


@settings(max_examples=200)
@given(
    caches(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), max_size=3), st.booleans()
)
def test_imitations_anywhere_can_be_repaired(
    cache: list[dict[str, Any]], imitations: list[tuple[int, int, int]], join: bool
) -> None:
    records = cache[0]["records"]
    for first, second, position in imitations:
        if records:
            joined = [first % len(records), second % len(records)]
            name = digest_of_joining(records[link]["digest"] for link in joined)
            records.insert(
                max(position, *joined) + 1, {"digest": name, "inputs": [[{"link": link} for link in joined]]}
            )
    origin = [document(one["records"], one["layers"]) for one in cache]
    try:
        repaired = repair(origin, Options(join=join))
    except LimitError:
        return
    assert (repaired.lost.records, repaired.lost.results) == (0, 0)
    assert repair([again(repaired.data)], Options(join=join)).data == repaired.data


def test_fixtures_have_caches_with_several_leaves() -> None:
    several = [name for name in SMALL if any(len(independent.leaves(one)) > 1 for one in raw(CASES[name]))]
    assert len(several) >= 3
    assert (FIXTURES / "manifests/too-large.json").exists()
