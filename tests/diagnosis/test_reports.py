"""What people hand in when a build hangs: rebuilt inputs with the cause that each has, and what must not be said."""

from __future__ import annotations

import re

import pytest

from cachedoctor.diagnosis.diagnose import Diagnosis, diagnose
from cachedoctor.diagnosis.evidence import load
from cachedoctor.report.page import Style
from tests.report.rendered import rendered
from tests.support import FIXTURES

REPORTS = FIXTURES / "reports"


def diagnosis_of(name: str) -> Diagnosis:
    return diagnose([load(str(REPORTS / name))])


def words(diagnosis: Diagnosis) -> str:
    """All that a reader sees of the main cause."""
    main = diagnosis.main
    return " ".join((main.title, main.explanation, main.ends, *main.help, *main.evidence))


CRASHES = {
    "05-1535-syslog-stack-overflow/plain.txt": "solver.addBacklinks",
    "06-2041-concurrent-map-writes/plain.txt": "v1.normalizeItem",
    "07-earthly712-stack-overflow/plain.txt": "v1.marshalItem",
    "10-2458-log-and-crash/console.txt": "checkLoops",
    "min/crash-addbacklinks.txt": "solver.addBacklinks",
    "min/crash-concurrent-map.txt": "v1.normalizeItem",
    "min/crash-stack-overflow.txt": "v1.marshalItem",
}
"""Crash traces, and the function of BuildKit that crashed."""


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_is_a_crash_and_nothing_else(name: str) -> None:
    diagnosis = diagnosis_of(name)
    assert [finding.cause for finding in diagnosis.findings] == ["crash"]
    assert diagnosis.main.outcome == "dead"
    assert CRASHES[name] in diagnosis.main.title
    assert re.match("fatal error|runtime: goroutine stack exceeds", diagnosis.main.evidence[0])
    assert "get builds through" in words(diagnosis)
    assert not re.search("(?i)let it finish|get the core back|estimate", words(diagnosis))


@pytest.mark.parametrize(
    ("name", "fixed_in"),
    [
        ("05-1535-syslog-stack-overflow/plain.txt", "v0.7.0"),
        ("06-2041-concurrent-map-writes/plain.txt", "v0.12.4, v0.13.0"),
        ("10-2458-log-and-crash/console.txt", "v0.12.4, v0.13.0"),
        ("07-earthly712-stack-overflow/plain.txt", ""),
        ("03-4347-multiwriter-deadlock/snippet.txt", "v0.13.0"),
        ("11-5875-gha-indented/log.txt", "v0.29.0"),
        ("23-dagger4620-recomputedigests/top.txt", "v0.12.0"),
        ("01-2357-push-semaphore/dump.txt", "v0.9.2, v0.10.0"),
    ],
)
def test_what_fixed_it_is_said(name: str, fixed_in: str) -> None:
    diagnosis = diagnosis_of(name)
    assert diagnosis.main.fixed_in == fixed_in
    shown = rendered(diagnosis, "text", Style(width=400))
    assert all(release in shown for release in filter(None, fixed_in.split(", ")))


@pytest.mark.parametrize(
    ("name", "cause", "outcome", "mentions"),
    [
        ("01-2357-push-semaphore/dump.txt", "limit", "never", r"6 goroutines .*limited\.acquire.* transfers anything"),
        ("03-4347-multiwriter-deadlock/snippet.txt", "deadlock", "never", "MultiWriter"),
        ("11-5875-gha-indented/log.txt", "deadlock", "never", "ExecProcess"),
        ("12-earthly2862-jenkins-time/plain.txt", "lock", "unknown", r"held by goroutine 99, .*Prune \(runnable\)"),
        ("14-buildx240-client-dump/quoted.txt", "client", "unknown", "dump of the daemon instead"),
        ("19-991-run-step-with-frontend/dump.txt", "step-running", "unknown", r"1 RUN step .*\(runc\).* 29 min"),
        ("19-991-run-step-with-frontend/without-syntax-line.txt", "step-running", "unknown", "29 min"),
        ("20-6209-provenance-bbolt/stacks.txt", "provenance", "unknown", "recordBuildHistory"),
        ("23-dagger4620-recomputedigests/dump.txt", "solver", "unknown", "recomputeDigests"),
        ("23-dagger4620-recomputedigests/top.txt", "solver", "unknown", r"99\.0% .*recomputeDigests"),
        ("25-4448-heap-top-and-list/issue.md", "memory", "unknown", r"10\.64GB.* cache keys"),
        ("28-6088-compression-variants-oom/cpu-top.txt", "blob-variants", "unknown", "getAvailableBlobs"),
        ("44-airbyte26090-max-parallelism/dump.txt", "limit", "ends", r"max-parallelism.* 1 step running"),
        ("min/export-that-is-denied.txt", "provenance", "unknown", "cache export"),
        ("min/lock-in-progress.txt", "deadlock", "never", "MultiWriter"),
        ("min/lock-in-scheduler.txt", "lock", "unknown", r"scheduler\)\.build"),
    ],
)
def test_cause_of_a_report(name: str, cause: str, outcome: str, mentions: str) -> None:
    diagnosis = diagnosis_of(name)
    assert (diagnosis.main.cause, diagnosis.main.outcome) == (cause, outcome)
    assert re.search(mentions, words(diagnosis))
    assert diagnosis.main.evidence
    assert "No cache export is under way" not in words(diagnosis)


def test_a_step_that_runs_is_said_beside_the_limit() -> None:
    diagnosis = diagnosis_of("44-airbyte26090-max-parallelism/dump.txt")
    assert [finding.cause for finding in diagnosis.findings] == ["limit", "step-running"]


def test_provenance_of_the_history_is_not_blamed_on_the_attestation() -> None:
    assert "--provenance=false does not turn off" in words(diagnosis_of("20-6209-provenance-bbolt/stacks.txt"))
    assert "Build with --provenance=false" in words(diagnosis_of("min/export-that-is-denied.txt"))
