"""From phases, exports and waits to causes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cachedoctor.diagnosis.diagnose import diagnose
from cachedoctor.diagnosis.evidence import Evidence, read
from cachedoctor.pprof.goroutines import Goroutine
from tests.diagnosis.examples import CHECK_LOOPS, FINALIZE, LLB, LOCK, RUN, cpu, dump
from tests.pprof.profiles import Builder

PUSH = ("net/http.(*persistConn).roundTrip", "github.com/moby/buildkit/util/push.Push")


@pytest.mark.parametrize(
    ("seconds", "samples", "causes"),
    [
        (10, {"add": 9000}, ["re-add"]),
        (10, {"merge": 9000}, ["normalize"]),
        (10, {"walk": 9000}, ["diff"]),
        (10, {"sha": 9000}, ["hashing"]),
        (10, {"tls": 9000}, ["push"]),
        (10, {"lock": 9000}, ["lock"]),
        (10, {"gc": 9000}, ["gc"]),
        (10, {"bolt": 9000}, ["other"]),
        (10, {"main": 9000}, ["other"]),
        (10, {"flate": 5000, "sha": 4000}, ["compression", "hashing"]),
        (10, {"flate": 5000, "sha": 2900, "main": 2100}, ["compression"]),
        # A stuck export takes one core, whatever else the daemon does.
        (10, {"flate": 70_000, "check": 9000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "check": 4000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "check": 3000}, ["compression"]),
        (None, {"flate": 70_000, "check": 9000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "add": 9000}, ["re-add", "compression"]),
        (10, {"flate": 70_000, "add": 4500}, ["compression", "re-add"]),
        (10, {"main": 2000, "check": 400}, ["other"]),
        # So little is not a cause, whatever its share.
        (10, {"gc": 2000}, ["other"]),
        (10, {"flate": 4000, "check": 4000}, ["loop-check", "compression"]),
        # An idle daemon has no cause.
        (10, {"flate": 300}, ["other"]),
        (10, {}, ["other"]),
    ],
)
def test_causes_of_a_cpu_profile(seconds: float | None, samples: dict[str, int], causes: list[str]) -> None:
    diagnosis = diagnose([cpu(seconds, **samples)])
    assert [finding.cause for finding in diagnosis.findings] == causes


def explanation(*evidence: Evidence) -> str:
    return diagnose(evidence).main.explanation


def test_share_is_not_rounded_up_to_everything() -> None:
    text = "90.0% of the CPU time, 0.90 of 1.00 cores, goes to: loop check."
    assert text in explanation(cpu(10, check=9000, main=1000))
    assert ">99.9% of the CPU time goes to: loop check." in explanation(cpu(None, check=1_000_000, main=1))


def test_idle_daemon() -> None:
    assert explanation(cpu(10, flate=300)) == "The daemon is nearly idle: it is waiting."


@pytest.mark.parametrize(
    ("goroutines", "causes", "text"),
    [
        ([Goroutine((CHECK_LOOPS, FINALIZE, RUN), 2)], ["loop-check"], "2 cache exports are busy with: loop check."),
        (
            [Goroutine((CHECK_LOOPS, FINALIZE, RUN), minutes=61), Goroutine((*LOCK, RUN), 5)],
            ["loop-check", "lock"],
            "1 of 6 cache exports is busy with: loop check, for at least 1 h.",
        ),
        ([Goroutine(("x", RUN)), Goroutine((*LOCK, RUN), 1)], ["lock"], "1 of 2 cache exports is busy with: locks."),
        (
            [Goroutine(LOCK, 3, minutes=7)],
            ["lock"],
            "3 goroutines of builds wait for a lock in github.com/moby/buildkit/cache.",
        ),
        ([Goroutine(PUSH)], ["push"], "1 goroutine of builds waits in github.com/moby/buildkit/util/push.Push."),
        ([Goroutine(("x", RUN))], ["other"], "1 cache export is under way: the dump does not show what it is doing."),
        ([Goroutine(("x",))], ["other"], "No cache export is under way in this dump."),
    ],
)
def test_causes_of_a_dump(goroutines: Sequence[Goroutine], causes: list[str], text: str) -> None:
    diagnosis = diagnose([dump(*goroutines)])
    assert [finding.cause for finding in diagnosis.findings] == causes
    assert text in diagnosis.main.explanation


def test_dump_shows_the_cause_if_a_cpu_profile_is_idle() -> None:
    stuck = dump(Goroutine((*LOCK, FINALIZE, RUN), 2))
    assert diagnose([stuck, cpu(10)]).main.cause == "lock"
    both = diagnose([stuck, cpu(10, check=9000)])
    assert both.main.cause == "loop-check"
    assert [export.count for export in both.exports] == [2]
    assert both.top.unit == "nanoseconds"


def test_what_exports_do_comes_before_what_others_compute() -> None:
    stuck = dump(Goroutine((*LOCK, FINALIZE, RUN), minutes=55))
    diagnosis = diagnose([stuck, cpu(10, flate=9000)])
    assert [finding.cause for finding in diagnosis.findings] == ["lock", "compression"]
    assert "for at least 55 min" in diagnosis.main.explanation


def test_waits_count_if_nothing_else_is_a_cause() -> None:
    waiting = dump(Goroutine(LOCK, 4, minutes=9))
    assert diagnose([waiting, cpu(10)]).main.cause == "lock"
    assert diagnose([waiting, cpu(10, main=9000)]).main.cause == "lock"


def test_export_that_a_signal_did_not_show() -> None:
    waiting = Goroutine(("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters"), id=1, minutes=30)
    hidden = Goroutine((), hidden=True, state="running", id=2, creator=1)
    assert "1 cache export is under way, for at least 30 min. It was running" in explanation(dump(waiting, hidden))


def test_table_that_is_too_short() -> None:
    rows = b"flat flat% sum% cum cum%\n1s 10% 10% 1s 10% runtime.f\n1s 10% 20% 1s 10% runtime.g\n"
    assert "too short to show a cause" in explanation(read(rows, "x"))


def test_table_without_samples_is_that_of_an_idle_daemon() -> None:
    text = b"Type: cpu\nDuration: 2s, Total samples = 0 \nShowing nodes accounting for 0, 0% of 0 total\n"
    assert "nearly idle" in explanation(read(text + b"flat flat% sum% cum cum%\n", "x"))


def test_work_that_is_not_a_cause_is_named() -> None:
    text = "100% of the CPU time goes to: database. This is not a known cause of a stuck export."
    assert explanation(cpu(10, bolt=9000)) == text


def test_table_of_goroutines() -> None:
    rows = "flat flat% sum% cum cum%\n0 0% 0% 2 50% " + CHECK_LOOPS + "\n4 100% 100% 4 100% runtime.gopark\n"
    text = b"Type: goroutine\nShowing nodes accounting for 4, 100% of 4 total\n" + rows.encode()
    diagnosis = diagnose([read(text, "x")])
    assert (diagnosis.main.cause, [export.count for export in diagnosis.exports]) == ("loop-check", [2])
    assert "pass the dump itself" in explanation(read(text.replace(CHECK_LOOPS.encode(), b"main.main"), "x"))


@pytest.mark.parametrize(
    ("types", "text"),
    [
        (["inuse_objects", "inuse_space"], "A heap profile shows what holds memory"),
        (["contentions", "delay"], "A mutex or block profile shows what has waited"),
        (["x"], "This kind of profile does not show where the time goes."),
    ],
)
def test_other_profiles_have_no_cause(types: list[str], text: str) -> None:
    diagnosis = diagnose([Evidence("x", Builder(*((type, "count") for type in types)).profile())])
    assert (diagnosis.main.cause, diagnosis.main.share, diagnosis.phases) == ("other", None, {})
    assert text in diagnosis.main.explanation
