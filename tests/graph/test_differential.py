"""The analysis, compared with literal restatements of BuildKit's importers and exporter on thousands of documents.

The documents come from seeds, so a failure repeats: `Maker(seed).documents()`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings

from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.buildkit import Release
from cachedoctor.graph import cost
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import CacheDocument
from tests.conftest import PROFILE
from tests.graph import reference
from tests.graph.buildkit import Counts, Importer, Newer, Older, Refused, exported
from tests.graph.hostile import ODDITIES, Maker
from tests.graph.reference import Document
from tests.graph.strategies import configs, documents, shaped
from tests.support import decoded

COUNT = 5_000 if PROFILE == "long" else 1_000
SEEDS = range(COUNT)
OLDER, NEWER = Release(0, 21, 1), Release(0, 32, 2)
RUNS = 6
MOST_CALLS = 3_000
MOST_ORDERS = 64


@cache
def blobs_of(seed: int) -> frozenset[str] | None:
    """The blobs that the manifests list; `None` without one."""
    choose = random.Random(seed)
    return frozenset(f"blob {index}" for index in range(4) if choose.randrange(3)) if choose.randrange(2) else None


def analyzed(seed: int) -> tuple[list[Document], Analysis]:
    """Documents and their analysis, for every release, with a few replays only."""
    docs = Maker(seed).documents()
    documents = [
        CacheDocument(
            source=f"{index}.json",
            kind="cache-config",
            config=decoded(doc),
            digest="",
            size=0,
            manifest_size=None,
            blobs=blobs_of(seed),
            platform="",
        )
        for index, doc in enumerate(docs)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "MOST_ORDERS", RUNS)
        return docs, analyze(documents)


def refuses(importer: Importer, docs: list[Document]) -> bool:
    """Whether an importer refuses any of the documents."""
    try:
        for doc in docs:
            importer.read(doc)
    except Refused:
        return True
    return False


def test_an_analysis_says_what_each_importer_refuses() -> None:
    refused = {OLDER: 0, NEWER: 0}
    for seed in SEEDS:
        docs, analysis = analyzed(seed)
        for release, importer in ((OLDER, Older(blobs_of(seed))), (NEWER, Newer(blobs_of(seed)))):
            told = any(finding.refused_by and release in finding.refused_by for finding in analysis.findings)
            assert told == refuses(importer, docs), (seed, release)
            refused[release] += told
    assert COUNT / 5 < refused[OLDER] < refused[NEWER] < COUNT * 4 / 5


def graph_surveys(*oddities: str) -> Iterator[tuple[int, list[Document], Survey]]:
    """Documents whose layers do not matter."""
    for seed in SEEDS:
        docs = Maker(seed, oddities).documents()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cost, "MOST_ORDERS", RUNS)
            survey = Survey(configs(docs))
            assert survey.loop_check
        yield seed, docs, survey


def test_exact_counts_are_those_of_every_run_of_the_older_exporter() -> None:
    """Of a refused document none is exact. A count that is not exact is still one that some order gives."""
    exact = by_replay = compared = 0
    for seed, docs, survey in graph_surveys(*(oddity for oddity in ODDITIES if oddity != "layers")):
        loop_check, choose = survey.loop_check, random.Random(seed)
        if refuses(Older(), docs):
            assert loop_check.refused
            assert not loop_check.exact
            continue
        assert not loop_check.refused
        if loop_check.exact:
            exact += 1
            by_replay += survey.merge.every_order is None
            for _ in range(RUNS):
                assert_equal(loop_check.middle, exported(docs, choose, MOST_CALLS), seed)
        else:
            compared += are_given_by_some_order(docs, loop_check, seed)
    assert exact > COUNT / 2
    assert by_replay > COUNT / 30
    assert compared > COUNT / 75


def assert_equal(order: cost.Order, counts: Counts, seed: int) -> None:
    """What the package counts is what a run of the reference counts."""
    assert (order.items, order.links, order.links_removed) == (counts.items, counts.links, counts.links_removed), seed
    assert order.calls == counts.calls if counts.calls is not None else order.calls > MOST_CALLS, seed


def are_given_by_some_order(docs: list[Document], loop_check: cost.LoopCheckCost, seed: int) -> bool:
    """Compare the replays with all orders of the reference. False if there are too many of these."""
    importer = Older()
    for doc in docs:
        importer.read(doc)
    if reference.orders(importer.records) > MOST_ORDERS:
        return False
    runs = [
        reference.Export(importer.records, arrange, listed=importer.listed).run()
        for arrange in reference.every_order(importer.records)
    ]
    every = {(len(run.by_key), run.count_links()) for run in runs}
    assert {(order.items, order.links) for order in loop_check.orders} <= every, seed
    return True


@settings(max_examples=500)
@given(documents(empty=True, most_orders=MOST_ORDERS))
def test_if_counts_are_exact_every_order_of_alternatives_gives_them(docs: list[Document]) -> None:
    loop_check = Survey(configs(docs)).loop_check
    if not loop_check.exact:
        return
    importer = Older()
    for doc in docs:
        importer.read(doc)
    for arrange in reference.every_order(importer.records):
        run = reference.Export(importer.records, arrange, listed=importer.listed).run()
        assert (loop_check.middle.items, loop_check.middle.links) == (len(run.by_key), run.count_links())
        with contextlib.suppress(reference.TooLong):
            assert loop_check.middle.calls == run.check_loops().calls
            assert not run.removed


@pytest.mark.parametrize("empty", [False, True])
def test_exact_counts_of_documents_that_merge_a_lot(empty: bool) -> None:
    """Few of these are exact because nothing could merge in any order, so this is about the other proof."""
    proved = 0
    for seed in SEEDS:
        choose = random.Random(seed)
        docs = shaped(choose.randbytes(1_200), empty=empty, most_records=choose.choice((6, 12, 24)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cost, "MOST_ORDERS", 1)
            survey = Survey(configs(docs))
            loop_check = survey.loop_check
        if loop_check.exact and survey.merge.every_order is None:
            proved += 1
            for _ in range(RUNS):
                assert_equal(loop_check.middle, exported(docs, choose, MOST_CALLS), seed)
    assert proved > COUNT / 50


def test_the_fixpoint_is_what_newer_releases_converge_to() -> None:
    """They merge nothing that the fixpoint keeps apart. What they write and read again has its records, in the end.

    Where links that would close a loop are dropped, there may be more records. Links of records that merge late may be
    lost. Where records of one digest have different numbers of inputs, the order decides; then the fixpoint is marked
    incomplete if that could matter.
    """
    converged = incomplete = 0
    for seed, docs, survey in graph_surveys("repeats", "nulls", "random", "arities"):
        newer = Newer(choose=random.Random(seed))
        if refuses(newer, docs):
            continue
        if not survey.merge.complete:
            incomplete += 1
            continue
        starts = [sum(len(doc["records"]) for doc in docs[:document]) for document in range(len(docs))]
        classes: dict[object, set[int]] = {}
        for (document, record), key in newer.partition().items():
            classes.setdefault(key, set()).add(survey.merge.representative[starts[document] + record])
        assert all(len(names) == 1 for names in classes.values()), seed
        if not survey.loops:
            records, links = rewritten(newer)
            assert records == survey.merged.size, seed
            assert links <= survey.merged.links, seed
            converged += 1
    assert converged > COUNT / 3
    assert incomplete > COUNT / 75


def rewritten(newer: Newer) -> tuple[int, int]:
    """Records and links after writing and reading often enough."""
    document, before = newer.export(), None
    while document != before:
        before = document
        again = Newer(choose=newer.choose)
        again.read(document)
        document = again.export()
    records = document["records"]
    return len(records), sum(len(alternatives) for record in records for alternatives in record["inputs"])


def test_records_that_are_left_out_influence_the_order_of_the_importers_list() -> None:
    """Record 0 leads to record 4, which is left out, and that to record 2 before record 1, which can then join it."""
    records = [
        {"digest": "a", "inputs": [[{"link": 4}, {"link": 3}]]},
        {"digest": "x", "inputs": [[{"link": 3}], [{"link": 3}]]},
        {"digest": "x", "inputs": [[{"link": 3}], [{"link": 3}, {"link": 5}]]},
        {"digest": "p"},
        {"digest": "random:1", "inputs": [[{"link": 2}]]},
        {"digest": "q"},
    ]
    loop_check = Survey(configs([{"records": records}])).loop_check
    assert (loop_check.exact, loop_check.middle.items) == (True, 4)
    assert_equal(loop_check.middle, exported([{"records": records}], random.Random(0)), 0)


def test_records_that_are_alike_only_at_the_fixpoint_may_not_merge() -> None:
    """Records 0 and 1 are equal at the fixpoint only. So 4 can join 5, and 5 cannot join 4."""
    records = [
        {"digest": "s", "inputs": [[{"link": 6}]]},
        {"digest": "s", "inputs": [[{"link": 7}]]},
        {"digest": "s", "inputs": [[{"link": 6}, {"link": 7}]]},
        {"digest": "top", "inputs": [[{"link": 4}, {"link": 5}]]},
        {"digest": "x", "inputs": [[{"link": 8}], [{"link": 0}]]},
        {"digest": "x", "inputs": [[{"link": 8}], [{"link": 0}, {"link": 1}]]},
        *({"digest": name} for name in "pqr"),
    ]
    docs = [{"records": records}]
    survey = Survey(configs(docs))
    assert survey.merge.representative[4] == survey.merge.representative[5]
    assert not survey.loop_check.exact
    assert len({exported(docs, random.Random(seed)).items for seed in range(20)}) == 2
