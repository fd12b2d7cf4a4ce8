"""What the functions of buildkitd show: the phase of the work, and the releases of Go and BuildKit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache

from cachedoctor.buildkit import LOOP_CHECK, REWRITTEN
from cachedoctor.pprof.profile import Profile
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
    Phase.MERGING: "merging records",
    Phase.MARSHALLING: "marshaling and provider lookups",
    Phase.RE_ADDING: "re-adding known records",
    Phase.COMPRESSION: "compression",
    Phase.DIFF: "file-tree diff and tar",
    Phase.HASHING: "hashing",
    Phase.NETWORK: "network",
    Phase.DATABASE: "database",
    Phase.LOCKS: "locks",
    Phase.GC: "garbage collection",
    Phase.UNPACKING: "unpacking layers",
    Phase.OTHER: "other",
}
"""The phases in words."""

_V1 = r"remotecache/v1\."
# The first match counts. Paths of forks and vendored copies begin differently. Functions that only call others, such as
# ExportTo and Finalize, have no phase.
_SIGNATURES: Sequence[tuple[Phase | None, str]] = (
    (Phase.LOOP_CHECK, _V1 + r"\(\*normalizeState\)\.(checkLoops|removeLoops)"),
    # What walkChildren calls for each record: its phase is that of walkChildren.
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
    # containerd compares file trees for the daemon.
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
# Functions that move bytes: they count only if no function above them has a phase.
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
    """The phase of a function, `None` for one that occurs in any phase.

    Source: BuildKit v0.9 to v0.32, cache/remotecache/v1 (`normalizeState` up to v0.24, `item.walkChildren` from v0.25),
    util/contentutil; runtime, sync, compress and crypto of Go 1.18 to 1.27.
    """
    for phase, pattern in _COMPILED:
        if pattern.search(function):
            return phase
    return None


@cache
def moves_bytes(function: str) -> bool:
    """Whether a function sends or receives for its callers; serving requests does not count."""
    return bool(_TRANSPORT.search(function)) and not _SERVER.search(function)


def phase_of_stack(stack: Iterable[str]) -> Phase:
    """The phase of the function nearest to the leaf that has one; `stack` begins with the leaf."""
    moved = False
    for function in stack:
        phase = phase_of(function)
        if phase:
            return phase
        moved = moved or moves_bytes(function)
    return Phase.NETWORK if moved else Phase.OTHER


_Signs = Sequence[tuple[str, re.Pattern[str]]]
_GO: _Signs = (
    # The first match counts: each function is in no earlier release.
    ("Go 1.25 or later", re.compile(r"^runtime\.(scanObjectsSmall|scanSpan|tryDeferToSpanScan|\(\*spanInline)")),
    (
        "Go 1.24 or later",
        re.compile(r"^internal/(runtime/maps|sync)\.|^runtime\.mapIter(Start|Next)|^crypto/internal/fips140/"),
    ),
    ("Go 1.23 or earlier", re.compile(r"^runtime\.(mapiternext|mapiterinit|\(\*bmap\)|hashGrow|growWork|evacuate)")),
)
_BUILDKIT: _Signs = (
    (str(LOOP_CHECK), re.compile(_V1 + r"(\(\*normalizeState\)|normalizeItem|\(\*CacheChains\)\.normalize)")),
    (
        str(REWRITTEN).replace(" and ", " or "),
        re.compile(_V1 + r"(\(\*item\)\.walkChildren|\(\*CacheChains\)\.(leaves|computeIDs)|IntersectAll)"),
    ),
)


def go_version(functions: Iterable[str]) -> str | None:
    """The Go release that the daemon was built with, `None` if its functions do not show it.

    Source: the runtime of Go 1.18 to 1.27; maps were rewritten in 1.24, the scan of small objects in 1.25.
    """
    return _first(_GO, list(functions))


def buildkit_regime(functions: Iterable[str]) -> str | None:
    """The releases whose exporter has these functions, `None` if none of them belongs to only one exporter."""
    return _first(_BUILDKIT, list(functions))


def has_old_maps(functions: Iterable[str]) -> bool | None:
    """Whether the maps are those from before Go 1.24, with which a call of the loop check takes longer.

    `None` if unknown.
    """
    version = go_version(functions)
    return None if version is None else version == "Go 1.23 or earlier"


def _first(signs: _Signs, functions: list[str]) -> str | None:
    return next((version for version, sign in signs if any(map(sign.search, functions))), None)


_CALLER = re.compile(r"remotecache/v1\.\(\*CacheChains\)\.(Marshal|normalize)$")


def shares(profile: Profile) -> dict[Phase, float]:
    """The share of the total in each phase, largest first; each sample counts once, in the phase of its stack."""
    order = list(Phase)
    by_function = [order.index(phase) if phase else -1 for phase in map(phase_of, profile.names)]
    by_transport = [order.index(Phase.NETWORK) if moves_bytes(name) else -1 for name in profile.names]
    values = profile.samples.by_label(by_function, by_transport)
    total = profile.total
    if not total:
        return {}
    values[order.index(Phase.OTHER)] = values.pop(-1, 0)
    return _sorted({phase: values.get(number, 0) / total for number, phase in enumerate(order)})


def widest(top: Top) -> dict[Phase, Row]:
    """For each phase the function with the largest cum value; functions that only call other phases are left out."""
    workers: dict[Phase, Row] = {}
    callers: dict[Phase, Row] = {}
    for row in top.rows:
        phase = phase_of(row.function) or (Phase.NETWORK if moves_bytes(row.function) else None)
        if phase:
            kept = callers if _CALLER.search(row.function) else workers
            if phase not in kept or abs(row.cum) > abs(kept[phase].cum):
                kept[phase] = row
    graph = {Phase.LOOP_CHECK, Phase.MARSHALLING, Phase.MERGING, Phase.RE_ADDING}
    return workers if graph & set(workers) else {**callers, **workers}


def shares_of_table(top: Top) -> dict[Phase, float]:
    """The shares, estimated from a table, which does not show the functions' calls.

    A phase has the cum value of its widest function, that of file trees without what is compressed. If the phases still
    sum up to more than the total, the outer ones, which call the others, get less.
    """
    if not top.total:
        return {}
    rows = widest(top)
    cums = {phase: abs(row.cum) for phase, row in rows.items()}
    if Phase.DIFF in cums:
        cums[Phase.DIFF] = max(0, cums[Phase.DIFF] - cums.get(Phase.COMPRESSION, 0))
    excess = sum(cums.values()) - top.total
    # Marshal itself calls what merges; the functions below it do not.
    both = (Phase.MERGING, Phase.MARSHALLING)
    if Phase.MARSHALLING in rows and rows[Phase.MARSHALLING].function.endswith("(*CacheChains).Marshal"):
        both = (Phase.MARSHALLING, Phase.MERGING)
    for outer in (*both, Phase.DIFF, Phase.NETWORK, Phase.DATABASE, Phase.COMPRESSION):
        less = max(0, min(excess, cums.get(outer, 0)))
        if less:
            cums[outer] -= less
            excess -= less
    known = {phase: min(1.0, cum / top.total) for phase, cum in cums.items()}
    return _sorted({**known, Phase.OTHER: max(0.0, 1.0 - sum(known.values()))})


def _sorted(shares: dict[Phase, float]) -> dict[Phase, float]:
    kept = [(phase, share) for phase, share in shares.items() if share > 0]
    return dict(sorted(kept, key=lambda item: (item[0] is Phase.OTHER, -item[1])))
