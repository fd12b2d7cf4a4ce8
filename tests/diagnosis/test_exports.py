"""The exports in a goroutine dump, and what other goroutines wait for."""

from __future__ import annotations

from cachedoctor.diagnosis.evidence import load
from cachedoctor.diagnosis.exports import exports, exports_of_table, phases, waits
from cachedoctor.diagnosis.phases import Phase
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.pprof.top import top
from tests.diagnosis.examples import CHECK_LOOPS, FINALIZE, LLB, LOCK, RUN, V1
from tests.support import FIXTURES


def goroutine(*stack: str, **more: object) -> Goroutine:
    return Goroutine(stack, **more)  # type: ignore[arg-type]


def test_exports_are_counted_and_timed_by_the_goroutine_that_waits_for_them() -> None:
    dump = [
        goroutine("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters", state="sync.WaitGroup.Wait", minutes=40, id=1),
        goroutine(CHECK_LOOPS, FINALIZE, RUN, state="runnable", id=2, creator=1),
        goroutine(f"{CHECK_LOOPS}.func1", FINALIZE, RUN, state="running", id=3, creator=1),
        goroutine(f"{V1}.marshalRemote", FINALIZE, RUN, state="runnable", id=4, creator=99, minutes=2),
    ]
    counted = exports(dump)
    assert [(export.count, export.phase, export.minutes) for export in counted] == [
        (1, Phase.LOOP_CHECK, 40),
        (1, Phase.LOOP_CHECK, 40),
        (1, Phase.MARSHALLING, 2),
    ]
    assert phases(counted) == {Phase.LOOP_CHECK: 2 / 3, Phase.MARSHALLING: 1 / 3}
    assert waits(dump) == []


def test_export_whose_stack_was_cut_off() -> None:
    dump = [goroutine(*[CHECK_LOOPS] * 128, count=2)]
    assert [(export.count, export.phase) for export in exports(dump)] == [(2, Phase.LOOP_CHECK)]


def test_what_helpers_of_an_export_do_counts_as_its_own_work() -> None:
    push = "net/http.(*persistConn).roundTrip"
    root = goroutine("golang.org/x/sync/errgroup.(*Group).Wait", FINALIZE, RUN, state="sync.WaitGroup.Wait", id=1)
    helpers = [
        goroutine(push, f"{FINALIZE}.func1", state="select", id=2, creator=1),
        goroutine("runtime.gopark", "time.Sleep", state="sleep", id=3, creator=2),
        goroutine(push, "main.other", state="select", id=4, creator=77),
    ]
    assert [(export.count, export.phase, export.state) for export in exports([root, *helpers])] == [
        (1, Phase.NETWORK, "select")
    ]
    without_ids = [goroutine("errgroup.Wait", FINALIZE, RUN), goroutine(push, f"{FINALIZE}.func1", count=3)]
    assert [(export.count, export.phase) for export in exports(without_ids)] == [(1, Phase.NETWORK)]
    alone = [root, goroutine("x", f"{FINALIZE}.func1", id=5, creator=1)]
    assert [export.phase for export in exports(alone)] == [Phase.OTHER]


def test_compression_below_export_to() -> None:
    """It happens in goroutines of its own."""
    wait = "golang.org/x/sync/errgroup.(*Group).Wait"
    chain = "github.com/moby/buildkit/cache.computeBlobChain"
    export_to = "github.com/moby/buildkit/solver.(*exporter).ExportTo"
    root = goroutine(wait, chain, export_to, RUN, state="sync.WaitGroup.Wait", id=1)
    helper = goroutine("compress/flate.(*compressor).deflate", f"{chain}.func1", state="runnable", id=2, creator=1)
    assert [export.phase for export in exports([root, helper])] == [Phase.COMPRESSION]
    grouped = [
        goroutine(wait, chain, export_to, RUN),
        goroutine("compress/flate.(*compressor).deflate", f"{chain}.func1"),
    ]
    assert [export.phase for export in exports(grouped)] == [Phase.COMPRESSION]


def test_helpers_belong_to_one_export_only() -> None:
    push = goroutine("net/http.(*persistConn).roundTrip", f"{FINALIZE}.func1", state="select", id=3, creator=2)
    pushing = goroutine("errgroup.Wait", FINALIZE, RUN, state="sync.WaitGroup.Wait", id=2)
    asleep = goroutine("time.Sleep", FINALIZE, RUN, state="sleep", id=4)
    counted = exports([push, pushing, asleep])
    assert [(export.count, export.phase) for export in counted] == [(1, Phase.NETWORK), (1, Phase.OTHER)]


def test_importers_are_not_exports() -> None:
    deep = f"{V1}.(*item).walkChildren"
    dump = [
        goroutine(
            "x", f"{V1}.ParseConfig", "github.com/moby/buildkit/cache/remotecache.(*contentCacheImporter).Resolve"
        ),
        goroutine("x", f"{V1}.(*cacheResultStorage).LoadRemotes", "github.com/moby/buildkit/solver.(*x).y"),
        goroutine(deep, deep, f"{V1}.(*CacheChains).Add", f"{V1}.parseRecord"),
    ]
    assert exports(dump) == []


def test_export_that_was_running_has_no_stack() -> None:
    dump = [
        goroutine("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters", minutes=55, state="semacquire", id=1),
        goroutine(hidden=True, state="running", id=2, creator=1),
        goroutine(hidden=True, state="running", id=3, creator=9),
    ]
    (export,) = exports(dump)
    assert (export.count, export.phase, export.minutes) == (1, Phase.OTHER, 55)
    assert "not in this dump" in export.function


def test_exports_in_a_table_of_goroutines() -> None:
    profile = load(str(FIXTURES / "profiles" / "goroutine-stuck.pprof")).profile
    assert profile
    assert [(export.count, export.phase) for export in exports_of_table(top(profile))] == [(1, Phase.LOOP_CHECK)]


def test_goroutines_that_created_each_other() -> None:
    dump = [
        goroutine("x", FINALIZE, RUN, id=1, creator=2),
        goroutine("y", id=2, creator=1),
    ]
    assert [export.count for export in exports(dump)] == [1]


def test_helping_the_garbage_collector_is_not_the_phase_of_an_export() -> None:
    dump = [goroutine("runtime.gcAssistAlloc", f"{V1}.(*item).walkChildren", FINALIZE, RUN)]
    assert [export.phase for export in exports(dump)] == [Phase.RE_ADDING]


def test_waits_are_those_of_builds() -> None:
    dump = [
        goroutine(*LOCK, state="semacquire", minutes=447, id=1),
        goroutine(*LOCK, state="semacquire", id=2),
        goroutine("x", "github.com/moby/buildkit/solver.(*scheduler).loop", state="sync.Cond.Wait"),
        goroutine("x", "github.com/moby/buildkit/cache.work", state="running"),
        goroutine("net/http.(*conn).serve", state="IO wait"),
    ]
    assert [(wait.count, wait.phase, wait.minutes, wait.function) for wait in waits(dump)] == [
        (2, Phase.LOCKS, 447, LOCK[-1])
    ]
