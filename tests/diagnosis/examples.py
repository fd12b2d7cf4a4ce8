"""Functions of buildkitd, and small profiles and dumps with them."""

from __future__ import annotations

from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.phases import Phase
from cachedoctor.pprof.goroutines import Goroutine, profile_of
from tests.pprof.profiles import Builder

V1 = "github.com/moby/buildkit/cache/remotecache/v1"
LLB = "github.com/moby/buildkit/solver/llbsolver"
RUN = f"{LLB}.runCacheExporters.func1"
FINALIZE = "github.com/moby/buildkit/cache/remotecache.(*contentCacheExporter).Finalize"
CHECK_LOOPS = f"{V1}.(*normalizeState).checkLoops"
LOCK = ("sync.runtime_SemacquireMutex", "sync.(*Mutex).Lock", "github.com/moby/buildkit/cache.(*cacheManager).Get")
"""The stack of a goroutine that waits for a lock."""
STACKS = [
    (["crypto/tls.(*Conn).Write", "net/http.(*persistConn).writeLoop"], Phase.NETWORK),
    (["google.golang.org/grpc.(*ClientConn).Invoke", "x/core/diff/proxy.(*diffRemote).Compare"], Phase.DIFF),
    (["runtime.gopark", "google.golang.org/grpc.(*Server).handleStream", "net/http.(*conn).serve"], Phase.OTHER),
    (["google.golang.org/grpc/internal/transport.(*loopyWriter).run"], Phase.OTHER),
    ([], Phase.OTHER),
]
"""Stacks that move bytes, and their phases."""
LEAVES = {
    "check": CHECK_LOOPS,
    "add": f"{V1}.(*item).walkChildren",
    "merge": f"{V1}.normalizeItem",
    "flate": "compress/flate.(*compressor).deflate",
    "sha": "crypto/sha256.block",
    "gc": "runtime.gcDrain",
    "walk": "github.com/containerd/continuity/fs.doubleWalkDiff",
    "tls": "crypto/tls.(*Conn).Write",
    "lock": "sync.(*Mutex).lockSlow",
    "bolt": "go.etcd.io/bbolt.(*Tx).Commit",
    "main": "main.work",
}
"""Short names of functions."""


def cpu(seconds: float | None, **samples: int) -> Evidence:
    """A CPU profile of so many seconds, with milliseconds for each leaf."""
    builder = Builder(("cpu", "nanoseconds"))
    builder.proto.duration_nanos = int((seconds or 0) * 1e9)
    for leaf, value in samples.items():
        builder.sample([LEAVES[leaf], "main.main"], value * 1_000_000)
    return Evidence("test.pprof", builder.profile())


def dump(*goroutines: Goroutine) -> Evidence:
    """A goroutine dump."""
    return Evidence("dump.txt", profile_of(goroutines), goroutines=goroutines)
