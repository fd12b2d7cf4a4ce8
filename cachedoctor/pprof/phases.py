"""What a function of buildkitd is busy with, told from its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache

import numpy as np

from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.top import Top


class Phase(StrEnum):
    """A part of an export, or work that competes with it."""

    LOOP_CHECK = "loop-check"
    MERGING = "merging"
    MARSHALLING = "marshalling"
    RE_ADDING = "re-adding"
    COMPRESSION = "compression"
    DIFF = "diff"
    HASHING = "hashing"
    NETWORK = "network"
    DATABASE = "database"
    LOCKS = "locks"
    GC = "gc"
    UNPACKING = "unpacking"
    OTHER = "other"


WORDS: Mapping[Phase, str] = {
    Phase.LOOP_CHECK: "loop check",
    Phase.MERGING: "merging of records",
    Phase.MARSHALLING: "marshalling and provider look-ups",
    Phase.RE_ADDING: "re-adding of known records",
    Phase.COMPRESSION: "compression",
    Phase.DIFF: "file-tree diff and tar",
    Phase.HASHING: "hashing",
    Phase.NETWORK: "network",
    Phase.DATABASE: "database",
    Phase.LOCKS: "locks",
    Phase.GC: "garbage collection",
    Phase.UNPACKING: "unpacking of layers",
    Phase.OTHER: "other",
}
"""Phases as people read them."""

_V1 = r"remotecache/v1\."
# The first that matches counts. Forks and vendored copies have another path in front.
_SIGNATURES: Sequence[tuple[Phase | None, str]] = (
    (Phase.LOOP_CHECK, _V1 + r"\(\*normalizeState\)\.(checkLoops|removeLoops)"),
    # What walkChildren calls for each record; its caller tells what for.
    (None, _V1 + r"\(\*CacheChains\)\.(Add|leaves)\.func"),
    (Phase.RE_ADDING, _V1 + r"\(\*item\)\.walkChildren"),
    (Phase.MARSHALLING, _V1 + r"(\(\*CacheChains\)\.(Marshal|leaves)|marshal|sortConfig|\(\*item\)\.(best|walkAll))"),
    (Phase.MARSHALLING, _V1 + r"\(?\*?DescriptorProvider"),
    (Phase.MARSHALLING, r"util/contentutil\.\(\*MultiProvider\)\."),
    (Phase.MARSHALLING, r"buildkit/cache\.\(\*?lazy(Multi|Ref)Provider\)\."),
    (Phase.MERGING, _V1 + r"(normaliz|IntersectAll|\(\*(normalizeState|CacheChains|item)\)\.|outputKey)"),
    (Phase.MERGING, r"buildkit/solver\.\((\*exporter|\*mergedExporter)\)\.ExportTo"),
    (Phase.UNPACKING, r"^compress/flate\.\(\*(decompressor|dictDecoder|huffmanDecoder)\)|^compress/gzip\.\(\*Reader\)"),
    (Phase.UNPACKING, r"klauspost/compress/(flate|gzip)\.\(\*(decompressor|dictDecoder|huffmanDecoder|Reader)\)"),
    (Phase.UNPACKING, r"klauspost/compress/zstd\.(sequenceDecs|\(\*(\w*[dD]ec\w*|frameDec|history)\))"),
    (Phase.UNPACKING, r"^archive/tar\.\(\*(Reader|regFileReader)\)|/archive\.(Apply|apply)"),
    (Phase.COMPRESSION, r"^compress/(flate|gzip|zlib|lzw)\.|klauspost/(compress|pgzip)|/estargz|archive/compression\."),
    (Phase.HASHING, r"^crypto/(internal/(fips140/)?)?(sha1|sha256|sha512|md5)\b|/sha256-simd|opencontainers/go-digest"),
    (Phase.HASHING, r"buildkit/cache/contenthash\."),
    (Phase.DATABASE, r"bbolt\.|boltdb/bolt\.|bboltcachestorage\.|modernc\.org/sqlite"),
    (Phase.LOCKS, r"^(internal/)?sync\.\(\*(RW)?Mutex\)\.(lockSlow|unlockSlow|rUnlockSlow)"),
    (Phase.LOCKS, r"^sync\.runtime_Semacquire(Mutex|RWMutex)|^internal/sync\.runtime_SemacquireMutex"),
    (Phase.GC, r"^runtime\.(gc[A-Z]|bgsweep|bgscavenge|markroot|scan(object|block|stack|frame|Span|Objects|Conserv))"),
    (Phase.GC, r"^runtime\.(greyobject|sweepone|wbBuf|bulkBarrier|tryDeferToSpanScan|\(\*(gcWork|gcControllerState))"),
    (
        Phase.GC,
        r"^runtime\.\(\*(mspan|sweepLocked|sweepLocker|pageAlloc|scavengerState)\)\.(sweep|scaveng|try|end|run)",
    ),
    # Who serves a request is not at work on the network: what it called is.
    (Phase.OTHER, r"google\.golang\.org/grpc\.\(\*Server\)\.|^net/http\.(\(\*conn\)\.serve|HandlerFunc|serverHandler)"),
    (Phase.NETWORK, r"^net(/http|/textproto)?\.|^crypto/(tls|internal/(fips140/)?(aes|tls))|golang\.org/x/net/http2\."),
    (Phase.NETWORK, r"google\.golang\.org/grpc[./]|/remotes[./]|buildkit/session/grpchijack\."),
    (
        Phase.DIFF,
        r"continuity/fs\.|/archive\.(\(\*ChangeWriter\)|[wW]riteDiff|copyBuffered)|^archive/tar\.\(\*\w*Writer\)",
    ),
    (Phase.DIFF, r"buildkit/util/overlay\.|/diff/|winlayers\.|\)\.(computeBlobChain|tryComputeOverlayBlob)"),
)
_COMPILED = [(phase, re.compile(pattern)) for phase, pattern in _SIGNATURES]


@cache
def phase_of(function: str) -> Phase | None:
    """The phase that a function stands for, `None` for one that serves all of them.

    Source: BuildKit v0.9 to v0.32, cache/remotecache/v1 (`normalizeState` up to v0.24, `item.walkChildren` from v0.25),
    util/contentutil; runtime, sync, compress and crypto of Go 1.18 to 1.27.
    """
    for phase, pattern in _COMPILED:
        if pattern.search(function):
            return phase
    return None


def shares(profile: Profile) -> dict[Phase, float]:
    """The share of the total in each phase, largest first; each sample counts once, in the phase of the frame nearest
    to its leaf that has one."""
    order = list(Phase)
    numbers = {phase: number for number, phase in enumerate(order)}
    phases = (phase_of(name) for name in profile.names)
    of_node = np.array([-1 if phase is None else numbers[phase] for phase in phases], np.int8)
    told = np.flatnonzero(of_node[profile.frames] >= 0) if len(of_node) else np.empty(0, np.int64)
    at = np.searchsorted(told, profile.starts)
    known = np.flatnonzero(at[1:] > at[:-1])
    values = np.abs(profile.values)
    sums = np.zeros(len(order), np.int64)
    np.add.at(sums, of_node[profile.frames[told[at[known]]]], values[known])
    total = int(values.sum())
    sums[numbers[Phase.OTHER]] += total - int(sums.sum())
    return _sorted(
        {phase: int(value) / total for phase, value in zip(order, sums.tolist(), strict=True)} if total else {}
    )


def shares_of_table(top: Top) -> dict[Phase, float]:
    """The same, estimated from a table: it does not tell which functions call each other.

    A phase has the cum of its widest function. Where phases sum up to more than there is, the outer ones, which call
    the others, have less.
    """
    widest: dict[Phase, int] = {}
    for row in top.rows:
        phase = phase_of(row.function)
        if phase:
            widest[phase] = max(widest.get(phase, 0), abs(row.cum))
    excess = sum(widest.values()) - top.total
    for outer in _OUTER:
        less = max(0, min(excess, widest.get(outer, 0)))
        if less:
            widest[outer] -= less
            excess -= less
    if not top.total:
        return {}
    found = {phase: min(1.0, value / top.total) for phase, value in widest.items()}
    return _sorted({**found, Phase.OTHER: max(0.0, 1.0 - sum(found.values()))})


# Phases that call others, the outermost first.
_OUTER = (Phase.MARSHALLING, Phase.MERGING, Phase.DIFF, Phase.NETWORK, Phase.DATABASE, Phase.COMPRESSION)


def _sorted(shares: dict[Phase, float]) -> dict[Phase, float]:
    kept = [(phase, share) for phase, share in shares.items() if share > 0]
    return dict(sorted(kept, key=lambda one: (one[0] is Phase.OTHER, -one[1])))
