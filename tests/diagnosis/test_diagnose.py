"""From profiles to a cause."""

from collections.abc import Sequence

import pytest

from cachedoctor.analysis.analyze import analyze
from cachedoctor.diagnosis.causes import KNOWLEDGE, Cause
from cachedoctor.diagnosis.diagnose import Diagnosis, diagnose
from cachedoctor.diagnosis.evidence import Evidence, read
from cachedoctor.diagnosis.load import load
from cachedoctor.graph.survey import Survey
from cachedoctor.pprof.goroutines import Goroutine, profile_of
from cachedoctor.sources import load as load_cache
from tests.diagnosis.test_signs import FINALIZE, LLB, RUN, V1
from tests.pprof.profiles import Builder
from tests.support import FIXTURES

PROFILES = FIXTURES / "profiles"
SHA, FLATE = "crypto/sha256.block", "compress/flate.(*compressor).deflate"
CHECK = f"{V1}.(*normalizeState).checkLoops"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("cpu-stuck.pprof", "loop-check"),
        ("cpu-deep-chain.pprof", "deep-chains"),
        ("cpu-compress.pprof", "compression"),
        ("goroutine-stuck.pprof", "loop-check"),
        ("goroutine-stuck-debug1.txt", "loop-check"),
        ("goroutine-stuck-debug2.txt", "loop-check"),
        ("issue-6008-top50.txt", "loop-check"),
        ("heap.pprof", "other"),
    ],
)
def test_captures_have_their_cause(name: str, cause: str) -> None:
    found = diagnose([load(str(PROFILES / name))])
    assert [finding.cause for finding in found.findings] == [cause]


def cpu(seconds: float | None, **samples: int) -> Evidence:
    """A CPU profile: milliseconds by leaf."""
    builder = Builder(("cpu", "nanoseconds"))
    builder.proto.duration_nanos = int((seconds or 0) * 1e9)
    for name, value in samples.items():
        builder.sample([NAMES[name], "main.main"], value * 1_000_000)
    return Evidence("test.pprof", builder.profile())


NAMES = {
    "check": CHECK,
    "add": f"{V1}.(*item).walkChildren",
    "merge": f"{V1}.normalizeItem",
    "flate": FLATE,
    "sha": SHA,
    "gc": "runtime.gcDrain",
    "walk": "github.com/containerd/continuity/fs.doubleWalkDiff",
    "tls": "crypto/tls.(*Conn).Write",
    "lock": "sync.(*Mutex).lockSlow",
    "bolt": "go.etcd.io/bbolt.(*Tx).Commit",
    "main": "main.work",
}


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
        # A stuck export takes one core, whatever else goes on.
        (10, {"flate": 70_000, "check": 9000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "check": 4000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "check": 3000}, ["compression"]),
        (None, {"flate": 70_000, "check": 9000}, ["loop-check", "compression"]),
        (10, {"flate": 70_000, "add": 9000}, ["re-add", "compression"]),
        (10, {"flate": 70_000, "add": 4500}, ["compression", "re-add"]),
        (10, {"main": 2000, "check": 400}, ["other"]),
        # So little is no cause, whatever its share.
        (10, {"gc": 2000}, ["other"]),
        (10, {"flate": 4000, "check": 4000}, ["loop-check", "compression"]),
        # Nothing is told from next to nothing.
        (10, {"flate": 300}, ["other"]),
        (10, {}, ["other"]),
    ],
)
def test_time_tells_the_causes(seconds: float | None, samples: dict[str, int], causes: list[str]) -> None:
    found = diagnose([cpu(seconds, **samples)])
    assert [finding.cause for finding in found.findings] == causes


def test_an_idle_daemon_is_told() -> None:
    found = diagnose([cpu(10, flate=300)])
    assert "nearly idle" in found.main.explanation
    assert found.cores == pytest.approx(0.03)


def dump(*goroutines: Goroutine) -> Evidence:
    return Evidence("dump.txt", profile_of(goroutines, "dump.txt"), goroutines=goroutines)


LOCK = ("sync.runtime_SemacquireMutex", "sync.(*Mutex).Lock", "github.com/moby/buildkit/cache.(*cacheManager).Get")
PUSH = ("net/http.(*persistConn).roundTrip", "github.com/moby/buildkit/util/push.Push")


@pytest.mark.parametrize(
    ("goroutines", "causes", "said"),
    [
        ([Goroutine((CHECK, FINALIZE, RUN), 2)], ["loop-check"], "2 cache exports are busy with: loop check."),
        (
            [Goroutine((CHECK, FINALIZE, RUN), minutes=61), Goroutine((*LOCK, RUN), 5)],
            ["loop-check", "lock"],
            "1 of 6 cache exports is busy with: loop check, for 1 hour at least.",
        ),
        ([Goroutine(("x", RUN)), Goroutine((*LOCK, RUN), 1)], ["lock"], "1 of 2 cache exports is busy with: locks."),
        ([Goroutine(LOCK, 3, minutes=7)], ["lock"], "3 goroutines of builds wait in github.com/moby/buildkit/cache."),
        ([Goroutine(PUSH)], ["push"], "1 goroutine of builds waits in github.com/moby/buildkit/util/push.Push."),
        ([Goroutine(("x",))], ["other"], "No cache export is under way in this dump."),
    ],
)
def test_dumps_tell_the_causes(goroutines: Sequence[Goroutine], causes: list[str], said: str) -> None:
    found = diagnose([dump(*goroutines)])
    assert [finding.cause for finding in found.findings] == causes
    assert said in found.main.explanation


def test_a_dump_tells_where_a_cpu_profile_is_idle() -> None:
    stuck = dump(Goroutine((*LOCK, FINALIZE, RUN), 2))
    assert diagnose([stuck, cpu(10)]).main.cause is Cause.LOCK
    both = diagnose([stuck, cpu(10, check=9000)])
    assert both.main.cause is Cause.LOOP_CHECK
    assert [one.count for one in both.exports] == [2]
    assert both.top.unit == "nanoseconds"


def test_what_exports_are_at_comes_before_what_others_compute() -> None:
    stuck = dump(Goroutine((*LOCK, FINALIZE, RUN), minutes=55))
    found = diagnose([stuck, cpu(10, flate=9000)])
    assert [finding.cause for finding in found.findings] == ["lock", "compression"]
    assert "for 55 minutes at least" in found.main.explanation


def test_waits_count_where_nothing_runs() -> None:
    waiting = dump(Goroutine(LOCK, 4, minutes=9))
    assert diagnose([waiting, cpu(10)]).main.cause is Cause.LOCK
    assert diagnose([waiting, cpu(10, main=9000)]).main.cause is Cause.LOCK


def test_a_table_that_is_too_short_is_told() -> None:
    rows = b"flat flat% sum% cum cum%\n1s 10% 10% 1s 10% runtime.f\n1s 10% 20% 1s 10% runtime.g\n"
    found = diagnose([read(rows, "x")])
    assert "too short to tell a cause" in found.main.explanation


def test_a_table_without_samples_is_that_of_an_idle_daemon() -> None:
    text = b"Type: cpu\nDuration: 2s, Total samples = 0 \nShowing nodes accounting for 0, 0% of 0 total\n"
    found = diagnose([read(text + b"flat flat% sum% cum cum%\n", "x")])
    assert "nearly idle" in found.main.explanation


def test_work_that_is_no_cause_is_named() -> None:
    found = diagnose([cpu(10, bolt=9000)])
    assert "100.0% of the CPU time goes to: database. That is no known cause" in found.main.explanation


def test_a_table_of_goroutines_is_diagnosed_or_refused() -> None:
    lines = "flat flat% sum% cum cum%\n0 0% 0% 2 50% " + CHECK + "\n4 100% 100% 4 100% runtime.gopark\n"
    text = b"Type: goroutine\nShowing nodes accounting for 4, 100% of 4 total\n" + lines.encode()
    found = diagnose([read(text, "x")])
    assert (found.main.cause, [one.count for one in found.exports]) == (Cause.LOOP_CHECK, [2])
    other = diagnose([read(text.replace(CHECK.encode(), b"main.main"), "x")])
    assert "read the dump itself" in other.main.explanation


@pytest.mark.parametrize(("types", "said"), [(["contentions", "delay"], "mutex or block"), (["x"], "This kind")])
def test_other_profiles_have_no_cause(types: list[str], said: str) -> None:
    evidence = Evidence("x", Builder(*((type, "count") for type in types)).profile())
    found = diagnose([evidence])
    assert (found.main.cause, found.main.share, found.phases) == ("other", None, {})
    assert said in found.main.explanation


@pytest.fixture(scope="module")
def stuck() -> Survey:
    return analyze(load_cache(str(FIXTURES / "exporter-state" / "export-stuck.json"))).survey


def left(evidence: Sequence[Evidence], caches: Survey, elapsed: float | None = None) -> Diagnosis:
    return diagnose(evidence, caches=caches, elapsed=elapsed)


def test_a_cache_tells_how_long_it_goes_on(stuck: Survey) -> None:
    found = left([cpu(10, check=10_000)], stuck, 1200.0).remaining
    assert found
    calls = stuck.loop_check.orders
    assert (found.fewest, found.most) == (calls[0].calls, calls[-1].calls)
    assert found.total == pytest.approx((found.fewest * 140e-9, found.most * 400e-9))
    assert found.left == pytest.approx((found.fewest * 140e-9 - 1200, found.most * 400e-9 - 1200))
    assert not found.never
    assert not found.overdue


def test_half_a_core_takes_twice_as_long(stuck: Survey) -> None:
    whole, half = left([cpu(10, check=10_000)], stuck).remaining, left([cpu(10, check=5000)], stuck).remaining
    two = left([cpu(10, check=10_000), dump(Goroutine((CHECK, FINALIZE, RUN), 2))], stuck).remaining
    assert whole
    assert half
    assert two
    assert half.total == pytest.approx([2 * (one or 0) for one in whole.total])
    assert two.total == pytest.approx(half.total)


def test_a_dump_tells_how_long_it_has_run(stuck: Survey) -> None:
    waiting = Goroutine(("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters"), id=1, minutes=30)
    export = Goroutine((CHECK, FINALIZE, RUN), id=2, creator=1, state="running")
    found = left([dump(waiting, export)], stuck).remaining
    assert found
    assert found.elapsed == 1800.0


def test_older_builds_take_longer(stuck: Survey) -> None:
    table = read(
        b"flat flat% sum% cum cum%\n1s 1% 1% 90s 90% " + CHECK.encode() + b"\n5s 5% 6% 5s 5% runtime.mapiternext", "x"
    )
    found = left([table], stuck).remaining
    assert found
    assert found.total[0] == pytest.approx(found.fewest * 196e-9)


def test_what_should_have_ended_is_told(stuck: Survey) -> None:
    found = left([cpu(10, check=10_000)], stuck, 1e6).remaining
    assert found
    assert found.overdue
    assert found.left == (0.0, 0.0)


def test_counts_past_any_float_never_end() -> None:
    caches = analyze(load_cache(str(FIXTURES / "manifests" / "accumulated.json"))).survey
    found = left([cpu(10, check=10_000)], caches).remaining
    assert found
    assert found.never


@pytest.mark.parametrize(("leaf", "work"), [("add", "descendants walked"), ("check", "loop-check calls")])
def test_what_is_counted_depends_on_the_cause(leaf: str, work: str, stuck: Survey) -> None:
    found = left([cpu(10, **{leaf: 9000})], stuck).remaining
    assert found
    assert found.work == work


def test_marshalling_is_counted_in_steps(stuck: Survey) -> None:
    found = left([load(str(PROFILES / "cpu-deep-chain.pprof"))], stuck).remaining
    assert found
    assert found.work == "marshalling steps"
    assert found.fewest == stuck.marshal_steps


def test_other_work_does_not_depend_on_a_cache(stuck: Survey) -> None:
    assert left([cpu(10, flate=9000)], stuck).remaining is None


def test_tables_can_be_sorted_and_cut_but_not_focused() -> None:
    evidence = load(str(PROFILES / "issue-6008-top50.txt"))
    rows = diagnose([evidence], sort="flat", count=2).top.rows
    assert [row.function for row in rows] == ["runtime.mapiternext", "aeshashbody"]
    with pytest.raises(ValueError, match="needs the profile itself"):
        diagnose([evidence], focus="x")


def test_everything_is_known_of_every_cause() -> None:
    assert set(KNOWLEDGE) == set(Cause)
    for known in KNOWLEDGE.values():
        assert all((known.title, known.affects, known.what, known.ends, known.now, known.for_good))
    found = diagnose([cpu(10, check=9000)]).main
    assert found.help == KNOWLEDGE[Cause.LOOP_CHECK].now + KNOWLEDGE[Cause.LOOP_CHECK].for_good


def test_an_export_that_a_signal_did_not_show_is_told() -> None:
    waiting = Goroutine(("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters"), id=1, minutes=30)
    found = diagnose([dump(waiting, Goroutine((), hidden=True, state="running", id=2, creator=1))])
    assert "1 cache export is under way, for 30 minutes at least. It was running" in found.main.explanation
