"""What function names show."""

from __future__ import annotations

import pytest

from cachedoctor.diagnosis.phases import Phase, buildkit_regime, go_version, has_old_maps, phase_of, phase_of_stack
from tests.diagnosis.examples import STACKS, V1


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
def test_phase_of_a_function(function: str, phase: Phase | None) -> None:
    assert phase_of(function) is phase


@pytest.mark.parametrize(("stack", "phase"), STACKS)
def test_moving_bytes_counts_only_if_no_function_has_a_phase(stack: list[str], phase: Phase) -> None:
    assert phase_of_stack(stack) is phase


@pytest.mark.parametrize(
    ("functions", "go", "buildkit", "old"),
    [
        (["runtime.mapiternext", f"{V1}.normalizeItem"], "Go 1.23 or earlier", "v0.9 to v0.24", True),
        (["internal/runtime/maps.(*Iter).Next"], "Go 1.24 or later", None, False),
        (["runtime.scanObjectsSmall", f"{V1}.(*CacheChains).leaves"], "Go 1.25 or later", "v0.25 or later", False),
        (["main.main"], None, None, None),
    ],
)
def test_releases_of_go_and_buildkit(
    functions: list[str], go: str | None, buildkit: str | None, old: bool | None
) -> None:
    assert (go_version(functions), buildkit_regime(functions)) == (go, buildkit)
    assert has_old_maps(functions) is old
