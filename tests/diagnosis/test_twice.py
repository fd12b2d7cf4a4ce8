"""Two dumps of one daemon: what moved, what is stuck, and what grows."""

from __future__ import annotations

from cachedoctor.diagnosis.diagnose import diagnose
from cachedoctor.diagnosis.twice import compare
from cachedoctor.pprof.goroutines import Goroutine
from tests.diagnosis.examples import CHECK_LOOPS, FINALIZE, RUN, cpu, dump

GET = "github.com/moby/buildkit/cache.(*cacheManager).Get"
LOCK = ("sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", GET)
MAIN = Goroutine(("main.main",), state="select", minutes=90, id=1)


def locked(id: int, minutes: int | None) -> Goroutine:
    return Goroutine(LOCK, state="sync.Mutex.Lock", minutes=minutes, id=id)


def export(id: int = 5) -> Goroutine:
    return Goroutine((CHECK_LOOPS, FINALIZE, RUN), state="runnable", id=id)


def test_waits_that_only_got_older_are_stuck() -> None:
    other = Goroutine(("x", GET), state="select", minutes=3, id=4)
    before = [locked(2, None), locked(3, 7), other, export(), Goroutine(("x", GET), state="select", id=8)]
    now = [locked(2, 2), locked(3, 9), locked(4, None), export(), locked(9, None)]
    twice = compare(before, now)
    assert [(still.count, still.function, still.minutes) for still in twice.stuck] == [(2, GET, 9)]
    assert [(still.count, still.function) for still in twice.busy] == [(1, CHECK_LOOPS)]
    assert (twice.minutes, twice.moved, twice.begun, twice.ended) == (2, 1, 1, 1)
    assert not twice.is_still


def test_a_wait_that_began_anew_has_moved() -> None:
    assert compare([locked(2, 7)], [locked(2, 1)]).moved == 1
    assert compare([locked(2, 7)], [locked(2, 1)]).stuck == []
    # Under a minute, nobody can tell.
    assert compare([locked(2, None)], [locked(2, None)]).is_still


def test_growth_is_counted_without_ids() -> None:
    grown = compare([Goroutine(LOCK, 30)], [Goroutine(LOCK, 530)]).grown
    assert [(item.function, item.before, item.now) for item in grown] == [(GET, 30, 530)]
    assert compare([Goroutine(LOCK, 30)], [Goroutine(LOCK, 60)]).grown == []


def test_the_later_dump_is_the_one_that_counts() -> None:
    before, now = dump(MAIN, export()), dump(MAIN, locked(2, 1))
    diagnosis = diagnose([before, cpu(10), now])
    assert diagnosis.main.cause == "lock"
    assert diagnosis.exports == []
    assert diagnosis.twice
    assert diagnosis.evidence[-1] is before
    assert diagnose([now]).twice is None


def test_locks_are_lost_if_nothing_moved_for_minutes() -> None:
    def cause(minutes: int, *more: Goroutine) -> tuple[str, str]:
        main = diagnose([dump(MAIN, locked(2, 3), *more), dump(MAIN, locked(2, 3 + minutes), *more)]).main
        return main.cause, main.outcome

    assert cause(6) == ("deadlock", "never")
    assert cause(1) == ("lock", "unknown")
    step = Goroutine(("x", "github.com/moby/buildkit/executor/runcexecutor.(*runcExecutor).Run"), state="select", id=6)
    assert cause(6, step)[1] == "unknown"
    assert cause(6, export())[0] == "loop-check"


def test_the_same_dump_twice() -> None:
    evidence = dump(MAIN, locked(2, 3))
    diagnosis = diagnose([evidence, evidence])
    assert diagnosis.twice
    assert diagnosis.twice.is_still
