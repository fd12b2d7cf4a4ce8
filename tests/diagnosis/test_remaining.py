"""How long an export goes on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.diagnosis.diagnose import Remaining, diagnose
from cachedoctor.diagnosis.evidence import Evidence, load, read
from cachedoctor.graph.survey import Survey
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.sources import load as load_cache
from tests.diagnosis.examples import CHECK_LOOPS, FINALIZE, LLB, RUN, cpu, dump
from tests.support import FIXTURES


@pytest.fixture(scope="module")
def stuck() -> Survey:
    return analyze(load_cache(str(FIXTURES / "exporter-state" / "export-stuck.json"))).survey


def remaining(evidence: Sequence[Evidence], caches: Survey, elapsed: float | None = None) -> Remaining:
    left = diagnose(evidence, caches=caches, elapsed=elapsed).remaining
    assert left
    return left


def test_remaining_time_of_a_loop_check(stuck: Survey) -> None:
    left = remaining([cpu(10, check=10_000)], stuck, 1200.0)
    orders = stuck.loop_check.orders
    assert (left.fewest, left.most) == (orders[0].calls, orders[-1].calls)
    assert left.total == pytest.approx((left.fewest * 140e-9, left.most * 400e-9))
    assert left.left == pytest.approx((left.fewest * 140e-9 - 1200, left.most * 400e-9 - 1200))
    assert not left.never
    assert not left.overdue


def test_half_a_core_takes_twice_as_long(stuck: Survey) -> None:
    whole, half = remaining([cpu(10, check=10_000)], stuck), remaining([cpu(10, check=5000)], stuck)
    two = remaining([cpu(10, check=10_000), dump(Goroutine((CHECK_LOOPS, FINALIZE, RUN), 2))], stuck)
    assert half.total == pytest.approx([2 * (seconds or 0) for seconds in whole.total])
    assert two.total == pytest.approx(half.total)


def test_elapsed_time_is_taken_from_a_dump(stuck: Survey) -> None:
    waiting = Goroutine(("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters"), id=1, minutes=30)
    export = Goroutine((CHECK_LOOPS, FINALIZE, RUN), id=2, creator=1, state="running")
    assert remaining([dump(waiting, export)], stuck).elapsed == 1800.0
    assert remaining([dump(waiting, export)], stuck, 60.0).elapsed == 60.0


def test_older_builds_take_longer(stuck: Survey) -> None:
    rows = f"1s 1% 1% 90s 90% {CHECK_LOOPS}\n5s 5% 6% 5s 5% runtime.mapiternext"
    left = remaining([read(f"flat flat% sum% cum cum%\n{rows}".encode(), "x")], stuck)
    assert left.total[0] == pytest.approx(left.fewest * 196e-9)


def test_export_that_should_have_ended(stuck: Survey) -> None:
    left = remaining([cpu(10, check=10_000)], stuck, 1e6)
    assert left.overdue
    assert left.left == (0.0, 0.0)


def test_counts_past_any_float_never_end() -> None:
    caches = analyze(load_cache(str(FIXTURES / "manifests" / "accumulated.json"))).survey
    assert remaining([cpu(10, check=10_000)], caches).never


@pytest.mark.parametrize(("leaf", "work"), [("add", "descendants walked"), ("check", "loop-check calls")])
def test_work_depends_on_the_cause(leaf: str, work: str, stuck: Survey) -> None:
    assert remaining([cpu(10, **{leaf: 9000})], stuck).work == work


def test_marshaling_is_counted_in_steps(stuck: Survey) -> None:
    left = remaining([load(str(FIXTURES / "profiles" / "cpu-deep-chain.pprof"))], stuck)
    assert left.work == "marshalling steps"
    assert left.fewest == stuck.marshal_steps


def test_other_work_does_not_depend_on_a_cache(stuck: Survey) -> None:
    assert diagnose([cpu(10, flate=9000)], caches=stuck).remaining is None
