"""What a function of buildkitd is busy with, told from its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache

import numpy as np
import numpy.typing as npt

from cachedoctor.pprof.profile import Ints, Profile
from cachedoctor.pprof.top import Row, Top


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
# The first that matches counts. Forks and vendored copies have another path in front. Functions that only call others,
# such as ExportTo and Finalize, stand for nothing.
_SIGNATURES: Sequence[tuple[Phase | None, str]] = (
    (Phase.LOOP_CHECK, _V1 + r"\(\*normalizeState\)\.(checkLoops|removeLoops)"),
    # What walkChildren calls for each record.
    (None, _V1 + r"\(\*CacheChains\)\.(Add|leaves)\.func"),
    (Phase.RE_ADDING, _V1 + r"\(\*item\)\.walkChildren"),
    (Phase.MARSHALLING, _V1 + r"(\(\*CacheChains\)\.(Marshal|leaves)|marshal|sortConfig|\(\*item\)\.(best|walkAll))"),
    (Phase.MARSHALLING, _V1 + r"DescriptorProviderPair\.Info|util/contentutil\.\(\*MultiProvider\)\.Info"),
    (Phase.MARSHALLING, r"buildkit/cache\.(\(\*lazyMultiProvider\)|lazyRefProvider|\(\*lazyRefProvider\))\.Info"),
    (Phase.MERGING, _V1 + r"(normalizeItem|IntersectAll|outputKey|\(\*(normalizeState|CacheChains|item)\)\.)"),
    (
        Phase.UNPACKING,
        r"^compress/(flate|gzip|zlib)\.(\(\*(decompressor|dictDecoder|huffmanDecoder|Reader|reader)\)|NewRe)",
    ),
    (
        Phase.UNPACKING,
        r"klauspost/compress/(flate|gzip)\.(\(\*(decompressor|dictDecoder|huffmanDecoder|Reader)\)|NewRe)",
    ),
    (Phase.UNPACKING, r"klauspost/compress/(huff0\.(\(\*Decoder\)|.*[dD]ecomp)|zstd\.(sequenceDecs|NewReader))"),
    (
        Phase.UNPACKING,
        r"klauspost/compress/(zstd|fse)\.\(\*(\w*[dD]ec\w*|history|decSymbol\w*)\)|pgzip\.(\(\*Reader\)|NewRe)",
    ),
    (Phase.UNPACKING, r"klauspost/compress/zstd\.\(\*(bitReader|byteBuf|readerWrapper)\)"),
    (None, r"klauspost/compress/zstd/internal/xxhash\."),
    (Phase.UNPACKING, r"archive/compression\.(.*[dD]ecompress|cmdStream|\(\*(readCloserWrapper|bufferedReader))"),
    (Phase.UNPACKING, r"^compress/bzip2\.|ulikunitz/xz|^archive/tar\.\(\*(Reader|regFileReader|sparseFileReader)\)"),
    (Phase.UNPACKING, r"/archive\.(Apply|apply|createTarFile)|/diff/apply\.|winlayers\.\(\*winApplier\)"),
    (Phase.COMPRESSION, r"^compress/(flate|gzip|zlib|lzw)\.|klauspost/(compress|pgzip)|/estargz|archive/compression\."),
    (
        Phase.HASHING,
        r"^crypto/(internal/(fips140/)?)?(sha1|sha256|sha512|md5)\b|/sha256-simd|buildkit/cache/contenthash\.",
    ),
    (Phase.HASHING, r"opencontainers/go-digest\.(From|\(\*?digester\)|Algorithm\.(From|Hash)|.*[vV]erifier)"),
    (
        Phase.DATABASE,
        r"bbolt[./]|boltdb/bolt\.|bboltcachestorage\.|modernc\.org/sqlite|metadata\.\(\*DB\)\.GarbageCollect",
    ),
    (Phase.LOCKS, r"^(internal/)?sync\.\(\*(RW)?Mutex\)\.(lockSlow|unlockSlow|rUnlockSlow)|moby/locker\."),
    (Phase.LOCKS, r"^(internal/)?sync\.runtime_Semacquire(Mutex|RWMutex)|x/sync/semaphore\.\(\*Weighted\)\.Acquire"),
    (Phase.GC, r"^runtime\.(gc[A-Z]|bgsweep|bgscavenge|markroot|scan(object|block|stack|frame|Span|Objects|Conserv))"),
    (Phase.GC, r"^runtime\.(greyobject|sweepone|wbBuf|bulkBarrier|tryDeferToSpanScan|\(\*(gcWork|gcControllerState))"),
    (
        Phase.GC,
        r"^runtime\.\(\*(mspan|sweepLocked|sweepLocker|pageAlloc|scavengerState)\)\.(sweep|scaveng|try|end|run)",
    ),
    # containerd compares on behalf of the daemon.
    (
        Phase.DIFF,
        r"/diff/(proxy|walking)\.|continuity/fs\.(\(\*|Changes|doubleWalk|diffDirChanges|addDirChanges|pathWalk)",
    ),
    (
        Phase.DIFF,
        r"/archive\.(\(\*ChangeWriter\)|[wW]riteDiff|copyBuffered)|^archive/tar\.\(\*(Writer|regFileWriter)\)",
    ),
    (
        Phase.DIFF,
        r"buildkit/util/overlay\.|winlayers\.|\)\.(tryComputeOverlayBlob)|pkg/archive\.(\(\*tarAppender|Changes)",
    ),
    (Phase.NETWORK, r"buildkit/cache\.\(?\*?lazyRefProvider\)?\.Unlazy|buildkit/util/contentutil\.Copy"),
    (Phase.NETWORK, r"/remotes[./]|buildkit/util/(push|pull|resolver)[./]|/content/proxy\.|go-actions-cache\."),
    (Phase.NETWORK, r"aws/aws-sdk-go|Azure/azure-sdk-for-go|buildkit/session[./]|docker/distribution/xfer\."),
)
# Ways to move bytes: they tell only where nothing above them tells what for.
_TRANSPORT = re.compile(
    r"^net(/http|/textproto)?\.|^crypto/(tls|internal/(fips140/)?(aes|tls))|golang\.org/x/net/http2\."
    r"|google\.golang\.org/grpc[./]"
)
_SERVER = re.compile(
    r"google\.golang\.org/grpc\.\(\*Server\)\.|grpc/internal/transport\.\(\*(loopyWriter|controlBuffer|http2Server)\)"
    r"|^net/http\.(\(\*(conn|Server|connReader)\)\.|HandlerFunc|serverHandler)"
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


@cache
def moves_bytes(function: str) -> bool:
    """Whether a function sends or receives on behalf of another one; serving requests does not count."""
    return bool(_TRANSPORT.search(function)) and not _SERVER.search(function)


def phase_of_stack(stack: Iterable[str]) -> Phase:
    """The phase of the function nearest to the leaf that stands for one; `stack` begins with the leaf."""
    moved = False
    for function in stack:
        phase = phase_of(function)
        if phase:
            return phase
        moved = moved or moves_bytes(function)
    return Phase.NETWORK if moved else Phase.OTHER


def shares(profile: Profile) -> dict[Phase, float]:
    """The share of the total in each phase, largest first; each sample counts once, in the phase of its stack."""
    order = list(Phase)
    numbers = {phase: number for number, phase in enumerate(order)}
    phases = (phase_of(name) for name in profile.names)
    of_node = np.array([-1 if phase is None else numbers[phase] for phase in phases], np.int8)
    moving = np.array([moves_bytes(name) for name in profile.names], np.bool_)
    chosen = np.full(len(profile.values), numbers[Phase.OTHER], np.int8)
    with_bytes, _ = _nearest(moving, profile)
    chosen[with_bytes] = numbers[Phase.NETWORK]
    known, frames = _nearest(of_node >= 0, profile)
    chosen[known] = of_node[profile.frames[frames]]
    values = np.abs(profile.values)
    sums = np.zeros(len(order), np.int64)
    np.add.at(sums, chosen, values)
    total = int(values.sum())
    return _sorted(
        {phase: int(value) / total for phase, value in zip(order, sums.tolist(), strict=True)} if total else {}
    )


def _nearest(nodes: npt.NDArray[np.bool_], profile: Profile) -> tuple[Ints, Ints]:
    """The samples that have one of these nodes, and for each its place nearest to the leaf."""
    if not nodes.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = np.flatnonzero(nodes[profile.frames])
    at = np.searchsorted(places, profile.starts)
    samples = np.flatnonzero(at[1:] > at[:-1])
    return samples, places[at[samples]]


def widest(top: Top) -> dict[Phase, Row]:
    """For each phase the function with the largest cum; what only calls those of other phases is left out."""
    found: dict[Phase, Row] = {}
    callers: dict[Phase, Row] = {}
    for row in top.rows:
        phase = phase_of(row.function) or (Phase.NETWORK if moves_bytes(row.function) else None)
        if phase:
            kept = callers if _CALLER.search(row.function) else found
            if phase not in kept or abs(row.cum) > abs(kept[phase].cum):
                kept[phase] = row
    graph = {Phase.LOOP_CHECK, Phase.MARSHALLING, Phase.MERGING, Phase.RE_ADDING}
    return found if graph & set(found) else {**callers, **found}


_CALLER = re.compile(_V1 + r"\(\*CacheChains\)\.(Marshal|normalize)$")


def shares_of_table(top: Top) -> dict[Phase, float]:
    """The shares, estimated from a table: it does not tell which functions call each other.

    A phase has the cum of its widest function, file trees less what is compressed. Where phases still sum up to more
    than there is, the outer ones, which call the others, have less.
    """
    if not top.total:
        return {}
    cums = {phase: abs(row.cum) for phase, row in widest(top).items()}
    if Phase.DIFF in cums:
        cums[Phase.DIFF] = max(0, cums[Phase.DIFF] - cums.get(Phase.COMPRESSION, 0))
    excess = sum(cums.values()) - top.total
    for outer in (Phase.MERGING, Phase.MARSHALLING, Phase.DIFF, Phase.NETWORK, Phase.DATABASE, Phase.COMPRESSION):
        less = max(0, min(excess, cums.get(outer, 0)))
        if less:
            cums[outer] -= less
            excess -= less
    found = {phase: min(1.0, cum / top.total) for phase, cum in cums.items()}
    return _sorted({**found, Phase.OTHER: max(0.0, 1.0 - sum(found.values()))})


def _sorted(shares: dict[Phase, float]) -> dict[Phase, float]:
    kept = [(phase, share) for phase, share in shares.items() if share > 0]
    return dict(sorted(kept, key=lambda one: (one[0] is Phase.OTHER, -one[1])))
