"""What functions, goroutines and shares tell."""

import pytest

from cachedoctor.diagnosis import exports, hints, phases
from cachedoctor.diagnosis.evidence import read
from cachedoctor.diagnosis.load import load
from cachedoctor.diagnosis.phases import Phase, phase_of
from cachedoctor.pprof.goroutines import Goroutine
from tests.pprof.profiles import Builder
from tests.support import FIXTURES

V1 = "github.com/moby/buildkit/cache/remotecache/v1"
LLB = "github.com/moby/buildkit/solver/llbsolver"


@pytest.mark.parametrize(
    ("function", "phase"),
    [
        (f"{V1}.(*normalizeState).checkLoops.func1", Phase.LOOP_CHECK),
        ("github.com/earthly/buildkit/cache/remotecache/v1.(*normalizeState).removeLoops", Phase.LOOP_CHECK),
        (f"{V1}.normalizeItem", Phase.MERGING),
        (f"{V1}.(*CacheChains).normalize", Phase.MERGING),
        (f"{V1}.(*CacheChains).Add", Phase.MERGING),
        (f"{V1}.(*CacheChains).Add.func3", None),
        (f"{V1}.(*item).walkChildren", Phase.RE_ADDING),
        (f"{V1}.(*CacheChains).Marshal", Phase.MARSHALLING),
        (f"{V1}.marshalRemote", Phase.MARSHALLING),
        ("github.com/moby/buildkit/util/contentutil.(*MultiProvider).Info", Phase.MARSHALLING),
        ("compress/flate.(*compressor).deflateLazy", Phase.COMPRESSION),
        ("compress/flate.(*decompressor).huffmanBlock", Phase.UNPACKING),
        ("github.com/klauspost/compress/zstd.(*blockEnc).encode", Phase.COMPRESSION),
        ("github.com/klauspost/compress/zstd.(*blockDec).decodeBuf", Phase.UNPACKING),
        ("github.com/klauspost/pgzip.(*Writer).Write", Phase.COMPRESSION),
        ("github.com/containerd/stargz-snapshotter/estargz.Build", Phase.COMPRESSION),
        ("github.com/containerd/continuity/fs.doubleWalkDiff", Phase.DIFF),
        ("github.com/containerd/containerd/v2/pkg/archive.(*ChangeWriter).HandleChange", Phase.DIFF),
        ("github.com/containerd/containerd/v2/pkg/archive.applyNaive", Phase.UNPACKING),
        ("archive/tar.(*Writer).Write", Phase.DIFF),
        ("archive/tar.(*Reader).Next", Phase.UNPACKING),
        ("crypto/internal/fips140/sha256.blockSHANI", Phase.HASHING),
        ("crypto/sha256.block", Phase.HASHING),
        ("github.com/moby/buildkit/cache/contenthash.(*cacheContext).Checksum", Phase.HASHING),
        ("github.com/containerd/containerd/v2/core/remotes/docker.(*pushWriter).Write", Phase.NETWORK),
        ("github.com/tonistiigi/go-actions-cache.(*Cache).Save", Phase.NETWORK),
        ("github.com/moby/buildkit/session/content.(*callerContentStore).Writer", Phase.NETWORK),
        ("github.com/containerd/containerd/v2/core/diff/proxy.(*diffRemote).Compare", Phase.DIFF),
        ("github.com/containerd/containerd/v2/core/diff/apply.(*fsApplier).Apply", Phase.UNPACKING),
        ("github.com/klauspost/compress/huff0.decompress4x_main_loop_amd64", Phase.UNPACKING),
        ("github.com/klauspost/compress/huff0.(*Decoder).Decompress4X", Phase.UNPACKING),
        ("github.com/klauspost/pgzip.(*Reader).Read", Phase.UNPACKING),
        ("github.com/containerd/containerd/v2/pkg/archive/compression.DecompressStream", Phase.UNPACKING),
        ("compress/gzip.NewReader", Phase.UNPACKING),
        ("github.com/moby/buildkit/cache.lazyRefProvider.Info", Phase.MARSHALLING),
        ("github.com/moby/buildkit/solver.(*exporter).ExportTo", None),
        (f"{V1}.parseRecord", None),
        (f"{V1}.(*cacheResultStorage).LoadRemotes", None),
        ("github.com/opencontainers/go-digest.Digest.String", None),
        ("github.com/opencontainers/go-digest.FromBytes", Phase.HASHING),
        ("golang.org/x/sync/semaphore.(*Weighted).Acquire", Phase.LOCKS),
        ("go.etcd.io/bbolt/internal/freelist.(*shared).free", Phase.DATABASE),
        ("net/http.(*persistConn).roundTrip", None),
        ("google.golang.org/grpc.(*Server).processUnaryRPC", None),
        ("go.etcd.io/bbolt.(*Tx).Commit", Phase.DATABASE),
        ("sync.(*Mutex).lockSlow", Phase.LOCKS),
        ("internal/sync.(*Mutex).lockSlow", Phase.LOCKS),
        ("sync.runtime_SemacquireRWMutexR", Phase.LOCKS),
        ("sync.(*RWMutex).RLock", None),
        ("sync.runtime_Semacquire", None),
        ("sync.runtime_SemacquireWaitGroup", None),
        ("runtime.gcDrain", Phase.GC),
        ("runtime.(*sweepLocked).sweep", Phase.GC),
        ("runtime.gopark", None),
        ("runtime.mapiternext", None),
        ("main.main", None),
    ],
)
def test_functions_stand_for_phases(function: str, phase: Phase | None) -> None:
    assert phase_of(function) is phase


@pytest.mark.parametrize(
    ("stack", "phase"),
    [
        (["crypto/tls.(*Conn).Write", "net/http.(*persistConn).writeLoop"], Phase.NETWORK),
        (["google.golang.org/grpc.(*ClientConn).Invoke", "x/core/diff/proxy.(*diffRemote).Compare"], Phase.DIFF),
        (["runtime.gopark", "google.golang.org/grpc.(*Server).handleStream", "net/http.(*conn).serve"], Phase.OTHER),
        (["google.golang.org/grpc/internal/transport.(*loopyWriter).run"], Phase.OTHER),
        ([], Phase.OTHER),
    ],
)
def test_moving_bytes_counts_where_nothing_tells_what_for(stack: list[str], phase: Phase) -> None:
    assert phases.phase_of_stack(stack) is phase
    builder = Builder(("cpu", "nanoseconds"))
    builder.sample(stack, 7)
    assert phases.shares(builder.profile()) == {phase: 1.0}


def test_a_sample_counts_in_the_phase_nearest_to_its_leaf() -> None:
    builder = Builder(("cpu", "nanoseconds"))
    builder.sample(["runtime.memmove", "crypto/sha256.block", "archive/tar.(*Writer).Write"], 3)
    builder.sample(["archive/tar.(*Writer).Write", "crypto/sha256.block"], 5)
    builder.sample(["runtime.gcDrain", f"{V1}.(*normalizeState).checkLoops"], 1)
    builder.sample(["main.main"], 1)
    builder.sample([], 0)
    assert phases.shares(builder.profile()) == {
        Phase.DIFF: 0.5,
        Phase.HASHING: 0.3,
        Phase.GC: 0.1,
        Phase.OTHER: 0.1,
    }


def test_a_profile_without_samples_has_no_phases() -> None:
    assert phases.shares(Builder().profile()) == {}


@pytest.mark.parametrize("name", ["cpu-stuck", "cpu-compress", "cpu-deep-chain"])
def test_phases_of_a_table_are_near_those_of_its_profile(name: str) -> None:
    from cachedoctor.pprof.top import top

    profile = load(str(FIXTURES / "profiles" / f"{name}.pprof")).profile
    assert profile
    exact, estimated = phases.shares(profile), phases.shares_of_table(top(profile))
    assert max(exact, key=exact.__getitem__) is max(estimated, key=estimated.__getitem__)
    assert sum(estimated.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(estimated.get(phase, 0.0) == pytest.approx(share, abs=0.04) for phase, share in exact.items())


def test_shares_of_a_table_that_sum_up_to_more_than_there_is() -> None:
    """Merging and marshalling call each other and the loop check: the outer ones have less, merging first."""
    rows = {f"{V1}.(*normalizeState).checkLoops": 60, f"{V1}.marshalRemote": 50, f"{V1}.normalizeItem": 30}
    text = "Showing nodes accounting for 100, 100% of 100 total\nflat flat% sum% cum cum%\n"
    table = read((text + "".join(f"0 0% 0% {cum} {cum}% {name}\n" for name, cum in rows.items())).encode(), "x").table
    assert table
    shares = phases.shares_of_table(table.top)
    assert shares == pytest.approx({Phase.LOOP_CHECK: 0.6, Phase.MARSHALLING: 0.4})


def goroutine(*stack: str, **more: object) -> Goroutine:
    return Goroutine(stack, **more)  # type: ignore[arg-type]


RUN = f"{LLB}.runCacheExporters.func1"
FINALIZE = "github.com/moby/buildkit/cache/remotecache.(*contentCacheExporter).Finalize"


def test_exports_are_counted_and_timed_by_the_one_who_waits() -> None:
    dump = [
        goroutine("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters", state="sync.WaitGroup.Wait", minutes=40, id=1),
        goroutine(f"{V1}.(*normalizeState).checkLoops", FINALIZE, RUN, state="runnable", id=2, creator=1),
        goroutine(f"{V1}.(*normalizeState).checkLoops.func1", FINALIZE, RUN, state="running", id=3, creator=1),
        goroutine(f"{V1}.marshalRemote", FINALIZE, RUN, state="runnable", id=4, creator=99, minutes=2),
    ]
    found = exports.exports(dump)
    assert [(one.count, one.phase, one.minutes) for one in found] == [
        (1, Phase.LOOP_CHECK, 40),
        (1, Phase.LOOP_CHECK, 40),
        (1, Phase.MARSHALLING, 2),
    ]
    assert exports.phases(found) == {Phase.LOOP_CHECK: 2 / 3, Phase.MARSHALLING: 1 / 3}
    assert exports.waits(dump) == []


def test_a_stack_that_was_cut_off_is_an_export_too() -> None:
    dump = [goroutine(*[f"{V1}.(*normalizeState).checkLoops"] * 128, count=2)]
    assert [(one.count, one.phase) for one in exports.exports(dump)] == [(2, Phase.LOOP_CHECK)]


def test_what_an_export_has_its_helpers_do_is_its_own() -> None:
    push = "net/http.(*persistConn).roundTrip"
    root = goroutine("golang.org/x/sync/errgroup.(*Group).Wait", FINALIZE, RUN, state="sync.WaitGroup.Wait", id=1)
    helpers = [
        goroutine(push, f"{FINALIZE}.func1", state="select", id=2, creator=1),
        goroutine("runtime.gopark", "time.Sleep", state="sleep", id=3, creator=2),
        goroutine(push, "main.other", state="select", id=4, creator=77),
    ]
    assert [(one.count, one.phase, one.state) for one in exports.exports([root, *helpers])] == [
        (1, Phase.NETWORK, "select")
    ]
    without_ids = [goroutine("errgroup.Wait", FINALIZE, RUN), goroutine(push, f"{FINALIZE}.func1", count=3)]
    assert [(one.count, one.phase) for one in exports.exports(without_ids)] == [(1, Phase.NETWORK)]
    alone = [root, goroutine("x", f"{FINALIZE}.func1", id=5, creator=1)]
    assert [one.phase for one in exports.exports(alone)] == [Phase.OTHER]


def test_who_exports_is_asked_what_his_helpers_do() -> None:
    """Compression happens below ExportTo, in goroutines of its own."""
    wait = "golang.org/x/sync/errgroup.(*Group).Wait"
    chain = "github.com/moby/buildkit/cache.computeBlobChain"
    export_to = "github.com/moby/buildkit/solver.(*exporter).ExportTo"
    root = goroutine(wait, chain, export_to, RUN, state="sync.WaitGroup.Wait", id=1)
    helper = goroutine("compress/flate.(*compressor).deflate", f"{chain}.func1", state="runnable", id=2, creator=1)
    assert [one.phase for one in exports.exports([root, helper])] == [Phase.COMPRESSION]
    grouped = [
        goroutine(wait, chain, export_to, RUN),
        goroutine("compress/flate.(*compressor).deflate", f"{chain}.func1"),
    ]
    assert [one.phase for one in exports.exports(grouped)] == [Phase.COMPRESSION]


def test_an_export_has_no_helpers_of_another_one() -> None:
    push = goroutine("net/http.(*persistConn).roundTrip", f"{FINALIZE}.func1", state="select", id=3, creator=2)
    pushing = goroutine("errgroup.Wait", FINALIZE, RUN, state="sync.WaitGroup.Wait", id=2)
    asleep = goroutine("time.Sleep", FINALIZE, RUN, state="sleep", id=4)
    found = exports.exports([push, pushing, asleep])
    assert [(one.count, one.phase) for one in found] == [(1, Phase.NETWORK), (1, Phase.OTHER)]


def test_importers_are_no_exporters() -> None:
    deep = f"{V1}.(*item).walkChildren"
    dump = [
        goroutine(
            "x", f"{V1}.ParseConfig", "github.com/moby/buildkit/cache/remotecache.(*contentCacheImporter).Resolve"
        ),
        goroutine("x", f"{V1}.(*cacheResultStorage).LoadRemotes", "github.com/moby/buildkit/solver.(*x).y"),
        goroutine(deep, deep, f"{V1}.(*CacheChains).Add", f"{V1}.parseRecord"),
    ]
    assert exports.exports(dump) == []


def test_an_export_that_was_running_is_one_without_its_stack() -> None:
    dump = [
        goroutine("sync.(*WaitGroup).Wait", f"{LLB}.runCacheExporters", minutes=55, state="semacquire", id=1),
        goroutine(hidden=True, state="running", id=2, creator=1),
        goroutine(hidden=True, state="running", id=3, creator=9),
    ]
    (found,) = exports.exports(dump)
    assert (found.count, found.phase, found.minutes) == (1, Phase.OTHER, 55)
    assert "not in this dump" in found.function


def test_a_table_of_goroutines_tells_of_exports() -> None:
    from cachedoctor.pprof.top import top

    profile = load(str(FIXTURES / "profiles" / "goroutine-stuck.pprof")).profile
    assert profile
    assert [(one.count, one.phase) for one in exports.exports_of_table(top(profile))] == [(1, Phase.LOOP_CHECK)]


def test_creators_in_a_circle_end() -> None:
    dump = [
        goroutine("x", FINALIZE, RUN, id=1, creator=2),
        goroutine("y", id=2, creator=1),
    ]
    assert [one.count for one in exports.exports(dump)] == [1]


def test_helping_the_garbage_collector_is_no_phase_of_an_export() -> None:
    dump = [goroutine("runtime.gcAssistAlloc", f"{V1}.(*item).walkChildren", FINALIZE, RUN)]
    assert [one.phase for one in exports.exports(dump)] == [Phase.RE_ADDING]


def test_waits_are_those_of_builds() -> None:
    lock = ("sync.runtime_SemacquireMutex", "sync.(*Mutex).Lock", "github.com/moby/buildkit/cache.(*cacheManager).Get")
    dump = [
        goroutine(*lock, state="semacquire", minutes=447, id=1),
        goroutine(*lock, state="semacquire", id=2),
        goroutine("x", "github.com/moby/buildkit/solver.(*scheduler).loop", state="sync.Cond.Wait"),
        goroutine("x", "github.com/moby/buildkit/cache.work", state="running"),
        goroutine("net/http.(*conn).serve", state="IO wait"),
    ]
    assert [(one.count, one.phase, one.minutes, one.function) for one in exports.waits(dump)] == [
        (2, Phase.LOCKS, 447, lock[-1])
    ]


@pytest.mark.parametrize(
    ("functions", "go", "buildkit", "old"),
    [
        (["runtime.mapiternext", f"{V1}.normalizeItem"], "Go 1.23 or earlier", "v0.9 to v0.24", True),
        (["internal/runtime/maps.(*Iter).Next"], "Go 1.24 or later", None, False),
        (["runtime.scanObjectsSmall", f"{V1}.(*CacheChains).leaves"], "Go 1.25 or later", "v0.25 or later", False),
        (["main.main"], None, None, None),
    ],
)
def test_functions_tell_releases(functions: list[str], go: str | None, buildkit: str | None, old: bool | None) -> None:
    assert (hints.go_version(functions), hints.buildkit_regime(functions)) == (go, buildkit)
    assert hints.has_old_maps(functions) is old
