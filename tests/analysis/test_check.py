"""What a check finds in several sources, and which findings a baseline knows."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.analysis import baseline
from cachedoctor.analysis import check as checking
from cachedoctor.analysis.analyze import Analysis, Unread, analyze
from cachedoctor.analysis.check import Checker, Policy, check
from cachedoctor.errors import InputError
from cachedoctor.report.page import Style
from cachedoctor.rules import Limits, Severity, registry
from cachedoctor.sources import CacheDocument, load
from tests.report.rendered import rendered
from tests.support import FIXTURES, document, layers, record

TAGS = [tag for name in ("tag-a", "tag-b") for tag in load(str(FIXTURES / f"manifests/{name}.json"))]


def reported(analysis: Analysis, *rules: str) -> list[tuple[str, str]]:
    return [(finding.rule, finding.source) for finding in analysis.findings if finding.rule in rules]


def diamonds(count: int, prefix: str = "", source: str = "a") -> CacheDocument:
    records = [record(f"{prefix}root")]
    for index in range(count):
        last = len(records) - 1
        records.append(record(f"{prefix}run {index}", [last]))
        records.append(record(f"{prefix}copy {index}", [last], [(last + 1, "/file")]))
    return document(records, source=source)


def test_one_source_is_judged_as_by_analyze() -> None:
    analysis = check(TAGS[:1], Policy())
    assert [finding.source for finding in analysis.findings] == [""] * len(analysis.findings)
    assert analysis.owner(check([diamonds(30)], Policy()).findings[0]) == TAGS[0].source


@pytest.mark.slow
@pytest.mark.parametrize("named", [1, 1_000])
def test_a_loop_across_sources_is_a_finding_but_a_loop_of_one_source_is_not_repeated(
    named: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This does not depend on how many records a finding names."""
    monkeypatch.setattr(registry, "MOST_RECORDS", named)
    assert reported(check(TAGS, Policy()), "CD204") == [("CD204", "")]
    loops = load(str(FIXTURES / "exporter-state/export-loop.json"))
    assert reported(check([*loops, TAGS[0]], Policy()), "CD204") == [("CD204", loops[0].source)]
    assert reported(check([*loops, *TAGS], Policy()), "CD204") == [("CD204", loops[0].source), ("CD204", "")]


def test_costs_of_all_together_are_a_finding_if_they_are_worse() -> None:
    limits = Limits(max_calls=100)
    small = [diamonds(4, "x", "a"), diamonds(4, "y", "b"), diamonds(4, "z", "c")]
    assert reported(check(small[:2], Policy(limits=limits)), "CD201") == []
    assert reported(check(small, Policy(limits=limits)), "CD201") == [("CD201", "")]
    large = [diamonds(8, "p", "d"), diamonds(8, "q", "e")]
    assert reported(check(large, Policy(limits=limits)), "CD201") == [("CD201", "d"), ("CD201", "e")]
    assert reported(check([*large, *small[:1]], Policy(limits=limits)), "CD201") == [("CD201", "d"), ("CD201", "e")]
    assert reported(check([*large, *small], Policy(limits=limits)), "CD201")[2:] == [("CD201", "")]


def test_sources_that_share_records_are_clean_together() -> None:
    """Sharing records is the point of several `--cache-from`."""
    policy = Policy(fail_on=Severity.NOTE)
    same = [replace(diamonds(3), source=name) for name in ("a", "b")]
    assert check(same, policy).findings == []
    double = document([record("root"), record("a", [0]), record("a", [0])], source="c")
    assert reported(check([*same, double], policy), "CD301") == [("CD301", "c")]


def test_findings_of_documents_belong_to_their_sources() -> None:
    bad = [document([record("a", [])], source=name) for name in ("x", "y")]
    assert reported(check(bad, Policy()), "CD102") == [("CD102", "x"), ("CD102", "y")]


def test_a_source_that_is_given_twice_is_judged_once() -> None:
    bad = document([record("a", [])], source="x")
    analysis = check([bad, bad], Policy())
    assert reported(analysis, "CD102", "CD302") == [("CD102", "x"), ("CD302", "")]
    assert len(analysis.documents) == 1


def test_only_selected_rules_are_reported_and_judged() -> None:
    analysis = check([document([record("a", [])])], Policy(rules=("CD302",), fail_on=Severity.NOTE))
    assert [finding.rule for finding in analysis.findings] == ["CD302"]
    assert analysis.failed() == ["CD302"]
    assert analysis.verdict == "ok"


def saved(analysis: Analysis, path: Path) -> baseline.Baseline:
    baseline.save(str(path), analysis)
    return baseline.load(str(path))


def test_estimates_may_grow_a_little(tmp_path: Path) -> None:
    policy = Policy(limits=Limits(max_calls=52))
    kept = saved(check(TAGS, policy), tmp_path / "base.json")
    entry = kept.entries["", "CD201", "calls"][0]
    assert (entry.measure.value, entry.measure.exact) == (53, False)
    for value, failed in ((51, []), (50, ["CD201"])):
        older = replace(entry, measure=replace(entry.measure, value=value))
        known = replace(kept, entries={**kept.entries, ("", "CD201", "calls"): (older,)})
        assert check(TAGS, replace(policy, baseline=known)).failed() == failed


def test_a_finding_with_a_worse_severity_is_not_known(tmp_path: Path) -> None:
    kept = saved(check([diamonds(22)], Policy()), tmp_path / "base.json")
    assert kept.entries["a", "CD201", "calls"][0].severity is Severity.WARNING
    strict = Policy(limits=Limits(max_calls=1), baseline=kept)
    assert check([diamonds(22)], strict).failed() == ["CD201"]
    assert check([diamonds(22)], replace(strict, limits=Limits(), fail_on=Severity.WARNING)).failed() == []


def test_findings_with_the_same_key_are_compared_one_by_one(tmp_path: Path) -> None:
    def image(*bad: int) -> list[CacheDocument]:
        return [
            replace(document([record(f"{name}", []) for name in range(count)], source="image"), platform=f"p/{index}")
            for index, count in enumerate(bad)
        ]

    kept = saved(check(image(2, 3), Policy()), tmp_path / "base.json")
    policy = Policy(rules=("CD102",), baseline=kept)
    assert check(image(3, 2), policy).failed() == []
    assert [finding.known for finding in check(image(3, 3), policy).findings] == [True, False]
    assert check(image(2, 2, 1), policy).failed() == ["CD102"]


def test_a_pinned_source_is_known_by_its_name(tmp_path: Path) -> None:
    def pinned(name: str) -> list[CacheDocument]:
        return [document([record("a", [])], source=name)]

    kept = saved(check(pinned(f"docker://h/app:x@sha256:{'0' * 64}"), Policy()), tmp_path / "base.json")
    for name, failed in ((f"docker://h/app:x@sha256:{'1' * 64}", []), ("docker://h/app:y", ["CD102"])):
        assert check(pinned(name), Policy(baseline=kept)).failed() == failed


@pytest.mark.slow
def test_numbers_too_large_for_a_float_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    kept = saved(check([diamonds(20_000)], Policy()), path)
    assert kept.entries["a", "CD201", "calls"][0].measure.value == 3 * 2**20_000 - 2
    assert len(json.loads(path.read_text())["findings"][0]["value"]) == 6022


def test_a_limit_below_buildkits_own_does_not_refuse_the_import() -> None:
    analysis = check([document([record("a")], size=10)], Policy(limits=Limits(max_bytes=9)))
    text = rendered(analysis, "text", Style(width=300))
    assert text.splitlines()[0] == "Check failed: CD101 config-too-large."
    assert "refuses" not in text


def test_the_first_line_says_what_was_judged() -> None:
    clean = document([record("root"), record("run", [0], layer=0)], layers(-1))
    first = {
        level: rendered(check([clean], Policy(fail_on=level)), "text", Style(width=300)).splitlines()[0]
        for level in Severity
    }
    assert first == {
        Severity.ERROR: "Check passed: no errors.",
        Severity.WARNING: "Check passed: nothing of severity warning or worse.",
        Severity.NOTE: "Check passed: nothing of severity note or worse.",
    }


@pytest.mark.parametrize("together", [True, False])
def test_sources_are_forgotten_once_they_are_judged(together: bool) -> None:
    """Unless all of them are judged together; the costliest is kept, since reports show it."""
    checker = Checker(Policy(), together=together)
    before = _documents_in_memory()
    for position in range(20):
        checker.add(position, [diamonds(3 + position % 2, source=str(position))])
    assert _documents_in_memory() - before == (20 if together else 1)
    analysis = checker.finish()
    assert analysis.sources == [str(position) for position in range(20)]
    assert analysis.check
    assert analysis.check.costliest == ("" if together else "1")


def _documents_in_memory() -> int:
    return sum(isinstance(value, CacheDocument) for value in gc.get_objects())


def test_the_order_in_which_sources_arrive_makes_no_difference() -> None:
    sources = [[diamonds(count, f"{count}", f"s{count}")] for count in (30, 4, 29, 5)]
    results = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        for together in (True, False):
            checker = Checker(Policy(), together=together)
            for position in order:
                checker.add(position, sources[position])
            results.append(rendered(checker.finish(), "json"))
    assert len(set(results[::2])) == 1
    assert len(set(results[1::2])) == 1


def test_what_cannot_be_judged_together_does_not_hide_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(documents: list[CacheDocument], **options: Any) -> Analysis:
        if len(documents) > 1:
            raise InputError("too many", source="all")
        return analyze(documents, **options)

    monkeypatch.setattr(checking, "analyze", few)
    analysis = check([diamonds(30, "x", "a"), diamonds(2, "y", "b")], Policy())
    assert analysis.check
    assert analysis.check.unread == (Unread("all", "too many"),)
    assert (analysis.scopes, analysis.failed()) == (["a", "b"], ["CD201"])
