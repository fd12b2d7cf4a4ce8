"""Limits: that they hold together, that refusals are true, and that records are dropped only if nothing else helps."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import encode
from cachedoctor.errors import LimitError
from cachedoctor.graph.survey import Survey
from cachedoctor.repairs import limits, prune
from cachedoctor.repairs.draft import Draft, join
from cachedoctor.repairs.repair import Options, Repaired, repair
from cachedoctor.sources import CacheDocument
from tests import independent
from tests.repairs.test_repair import CASES, again, caches, documents, plain
from tests.support import document, layers, record

LINK = len('{"link":0},')


def sprouting() -> CacheDocument:
    """Only its smallest alternatives make it small; the cheapest ones make leaves, which a joining record links to."""
    long = "b" * 18
    records = [
        record("root", layer=1),
        record("middle", [0, (0, "a")], layer=0),
        record("top", [(1, "a"), (0, long), 1], [1, 0]),
    ]
    return document(records, layers(-1, 0))


def cheapest_is_larger() -> CacheDocument:
    """The cheapest alternative of its last record has a selector, the smallest one costs a call more."""
    return document([record("root"), record("twice", [0], [0]), record("top", [1, (0, "selector")])])


def kept(cache: CacheDocument, options: Options) -> Repaired:
    """Repair twice: the second time changes nothing."""
    repaired = repair([cache], options)
    assert repair([again(repaired.data)], options).data == repaired.data
    return repaired


def links(repaired: Repaired) -> list[list[list[int]]]:
    """The links of each input of each record but the joining record."""
    records = plain(repaired.data)["records"]
    return [[[link["link"] for link in alternatives] for alternatives in one.get("inputs", [])] for one in records]


def test_leaves_made_for_fewer_calls_count_in_the_limit_on_bytes() -> None:
    whole = len(repair([sprouting()], Options()).data)
    for drop_oldest in (False, True):
        options = Options(max_calls=4, max_bytes=whole + 10, headroom=0, drop_oldest=drop_oldest)
        repaired = kept(sprouting(), options)
        assert repaired.after.calls == 4
        assert len(repaired.data) <= whole + 10
        assert repaired.removed.dropped_records == []


def test_limits_that_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    least = len(repair([cheapest_is_larger()], Options(minimal=True, join=False)).data)
    options = Options(max_calls=4, max_bytes=least - 1, headroom=0, join=False)
    problem = f"with at most 4 calls, the smallest cache found that keeps every record has {least} bytes"
    with pytest.raises(LimitError, match=problem):
        repair([cheapest_is_larger()], options)
    dropped = kept(cheapest_is_larger(), replace(options, drop_oldest=True))
    assert len(dropped.removed.dropped_records) == 1
    monkeypatch.setattr(limits, "IMPORT_LIMIT", least - 1)
    automatic = kept(cheapest_is_larger(), replace(options, max_bytes="auto"))
    assert (automatic.after.calls, len(automatic.data)) == (4, least)


def test_alternatives_are_removed_while_that_saves_bytes() -> None:
    """Once `far` is left by one of its two children, the other one has to give up its other alternative."""
    records = [record("a"), record("b"), record("far", [0], [0]), record("c", [0, 2]), record("d", [1, 2])]
    records += [record("e", [0], [1], [3], [4])]
    cache = document(records)
    whole = len(encode(cache.config))
    repaired = kept(cache, Options(max_bytes=whole - 2 * LINK, headroom=0))
    assert [len(alternatives) for inputs in links(repaired)[3:5] for alternatives in inputs] == [1, 1]
    with pytest.raises(LimitError, match=f"with one alternative for each input it has at least {whole - 2 * LINK}"):
        repair([cache], Options(max_bytes=whole - 2 * LINK - 1, headroom=0))


def test_nothing_is_dropped_if_removing_alternatives_is_enough() -> None:
    cheapest = repair([cheapest_is_larger()], Options(minimal=True, join=False))
    options = Options(max_calls=cheapest.after.calls, max_bytes=len(cheapest.data), headroom=0, join=False)
    for drop_oldest in (False, True):
        repaired = kept(cheapest_is_larger(), replace(options, drop_oldest=drop_oldest))
        assert (repaired.data, repaired.removed.dropped_records) == (cheapest.data, [])


@pytest.mark.parametrize("max_bytes", [None, 20_000])
def test_too_few_calls_are_refused_with_the_fewest_of_all_records(max_bytes: int | None) -> None:
    """The alternatives that were kept for fewer bytes take more than those."""
    options = Options(max_calls=100, max_bytes=max_bytes, drop_oldest=True)
    with pytest.raises(
        LimitError, match="the limit of 100 calls is too low: the fewest that keep every record are 464"
    ):
        repair(documents(CASES["diamond-20"]), options)


def test_calls_are_as_few_as_without_cutting_loops_first() -> None:
    """Cutting as few links as possible takes away the cheapest alternative of `q`, which `p` is made from."""
    records = [
        record("root"),
        record("isolated"),
        record("twice", [0], [0]),
        record("p", [(5, "p"), 0, 4]),
        record("x", [(0, "x"), 2, 1]),
        record("q", [0, (4, "q")], [2, 3]),
    ]
    fewest = repair([document(records)], Options(minimal=True)).after.calls
    repaired = kept(document(records), Options(max_calls=fewest))
    assert repaired.after.calls == fewest


def test_a_limit_leaves_the_given_draft_as_it_is() -> None:
    survey = Survey([cheapest_is_larger().config])
    draft = join(survey, [None])
    before = draft.copy()
    reached = limits.reach(draft, draft, limits.Goal(max_calls=4), Options())
    assert draft == before
    assert reached.removed.pruned_links == 1
    with pytest.raises(LimitError):
        limits.reach(draft, draft, limits.Goal(max_bytes=9, target_bytes=9), Options(drop_oldest=True))
    assert draft == before


def test_no_smaller_document_is_ruled_out() -> None:
    """With leaves there is a joining record, whichever alternatives are kept."""
    survey = Survey([document([record("a"), record("b", [0, (0, "s")]), record("c", [0])]).config])
    draft = join(survey, [None])
    bound = prune.least_bytes(draft, len(encode(draft.plain())))
    smallest = Draft(draft.graph.without([1]), draft.results, draft.layers, draft.removed)
    assert bound == len(encode(smallest.config()))
    draft.joins = False
    assert prune.least_bytes(draft, len(encode(draft.plain()))) == len(encode(smallest.plain()))


@settings(max_examples=400)
@given(caches(), st.integers(0, 3), st.floats(0, 1), st.booleans(), st.sampled_from([0.0, 10.0]))
def test_limits_hold_together(
    cache: list[dict[str, Any]], calls: int, share: float, join: bool, headroom: float
) -> None:
    origin = [document(copy.deepcopy(one["records"]), copy.deepcopy(one["layers"])) for one in cache]
    try:
        whole = repair(origin, Options(join=join))
        cheapest = repair(origin, Options(minimal=True, join=join))
    except LimitError:
        return
    assert repair(origin, Options(max_calls=cheapest.after.calls, join=join)).after.calls == cheapest.after.calls
    least, most = sorted((len(cheapest.data), len(whole.data)))
    options = Options(
        max_calls=cheapest.after.calls + calls,
        max_bytes=round(least * 0.9 + (most - least * 0.9) * share),
        headroom=headroom,
        join=join,
    )
    dropped, repaired = _limited(origin, replace(options, drop_oldest=True)), _limited(origin, options)
    if repaired is not None:
        assert dropped is not None
        assert (dropped.data, dropped.removed.dropped_records) == (repaired.data, [])
        assert independent.contents(cache) == independent.contents([plain(repaired.data)])


def _limited(origin: list[CacheDocument], options: Options) -> Repaired | None:
    assert isinstance(options.max_bytes, int)
    assert isinstance(options.max_calls, int)
    try:
        repaired = repair(origin, options)
    except LimitError:
        return None
    assert len(repaired.data) <= options.max_bytes
    assert repaired.after.calls <= options.max_calls
    assert repair([again(repaired.data)], options).data == repaired.data
    return repaired
