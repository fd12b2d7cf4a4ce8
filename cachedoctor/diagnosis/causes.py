"""The causes of a stuck export, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cachedoctor.diagnosis.phases import Phase


class Cause(StrEnum):
    """Why an export takes so long (the contract's words)."""

    LOOP_CHECK = "loop-check"
    DEEP_CHAINS = "deep-chains"
    RE_ADD = "re-add"
    NORMALIZE = "normalize"
    COMPRESSION = "compression"
    DIFF = "diff"
    HASHING = "hashing"
    PUSH = "push"
    LOCK = "lock"
    GC = "gc"
    OTHER = "other"


CAUSE_OF: Mapping[Phase, Cause] = {
    Phase.LOOP_CHECK: Cause.LOOP_CHECK,
    Phase.MERGING: Cause.NORMALIZE,
    Phase.MARSHALLING: Cause.DEEP_CHAINS,
    Phase.RE_ADDING: Cause.RE_ADD,
    Phase.COMPRESSION: Cause.COMPRESSION,
    Phase.DIFF: Cause.DIFF,
    Phase.HASHING: Cause.HASHING,
    Phase.NETWORK: Cause.PUSH,
    Phase.LOCKS: Cause.LOCK,
    Phase.GC: Cause.GC,
}
"""The cause where most of the time goes to a phase; of the other phases nothing is known."""

GRAPH_WORK = frozenset({Cause.LOOP_CHECK, Cause.DEEP_CHAINS, Cause.RE_ADD, Cause.NORMALIZE})
"""Work on the graph of cache keys: one core for each export, however many the machine has."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of a cause."""

    title: str
    """The cause in a line."""
    affects: str
    what: str
    ends: str
    """Whether it ends by itself."""
    now: tuple[str, ...]
    for_good: tuple[str, ...]


_ALL = "every BuildKit"
_ANALYZE = "cachedoctor analyze CACHE, for each cache that the build imports, tells how long its export takes and why."
_LET_IT = "Let it finish: it is slow, not stuck."
HOW_TO_PROFILE = (
    "A goroutine dump tells what each export does: curl -o dump.txt 'http://HOST:PORT/debug/pprof/goroutine?debug=2'; "
    "a CPU profile, where time goes: curl -o cpu.pprof 'http://HOST:PORT/debug/pprof/profile?seconds=30'.",
    "HOST:PORT is what buildkitd was started with as --debugaddr, which has to be set before it hangs: docker buildx "
    "create --buildkitd-flags '--debugaddr 127.0.0.1:6060'. dockerd with \"debug\": true serves it on its own socket.",
)
"""How evidence is got hold of."""
_UPSTREAM = (
    "For a report at https://github.com/moby/buildkit/issues, attach this profile and a goroutine dump "
    "(/debug/pprof/goroutine?debug=2), `buildctl debug workers -v`, the daemon's version, and the cache config."
)

KNOWLEDGE: Mapping[Cause, Knowledge] = {
    Cause.LOOP_CHECK: Knowledge(
        "The cache export walks every path through its cache keys: the loop check",
        "v0.9 to v0.24",
        "The exporter's loop check walks every path through the graph of cache keys. Each diamond, where stages part "
        "and meet again, doubles the paths.",
        "It ends once all paths are walked: that takes seconds or years, and depends on the cache alone. "
        "--cache FILE, with each cache that the build imports, tells.",
        (
            "Cancelling the build does not stop it: the loop check never looks whether anybody still waits. Restart "
            "buildkitd (`docker buildx stop BUILDER` for a builder in a container) to get the core back; other builds "
            "on it end with it.",
            "To get builds through until then, leave out --cache-to.",
        ),
        (
            "Upgrade to BuildKit v0.25 or later: its exporter walks no paths.",
            _ANALYZE + " If it grew over many imports, export to a new tag from a new builder.",
            "Have fewer diamonds in the Dockerfile, and import fewer cache tags. mode=min is no cure.",
        ),
    ),
    Cause.DEEP_CHAINS: Knowledge(
        "The cache export asks for the blobs of deep chains of layers",
        _ALL,
        "Marshalling asks for every layer of every result whether its blob still exists, through as many nested "
        "providers as the result has layers, where these come from an imported cache.",
        "It ends. The time grows with the fourth power of the longest chain of layers: 3 seconds for 200, "
        "44 for 400 (v0.32.2).",
        (
            _LET_IT,
            "To get builds through until then, leave out --cache-to.",
        ),
        (
            "Have fewer layers in one chain: join RUN and COPY steps, or start stages anew from a base image.",
            "Export with mode=min, so that fewer results of the chain are marshalled.",
            _ANALYZE,
        ),
    ),
    Cause.RE_ADD: Knowledge(
        "Records that are known already are added again",
        "v0.25 and later",
        "Each cache key that is known already walks all its descendants when it is added again, as every import of a "
        "second tag with the same records does.",
        "It ends. The time grows with the square of the records: 3 seconds for 10,000 of them in a chain (v0.32.2).",
        (_LET_IT,),
        (
            "Import one cache tag instead of several that hold the same records.",
            "If the cache grew over many imports, export to a new tag from a new builder.",
            _ANALYZE,
        ),
    ),
    Cause.NORMALIZE: Knowledge(
        "The cache export collects and merges its records",
        _ALL,
        "The exporter collects and merges the cache keys of the build and of all it imported.",
        "It ends: the work grows with the records and links.",
        (_LET_IT,),
        (
            "Import fewer cache tags, and export to a new tag from a new builder if the cache grew over many imports.",
            _ANALYZE,
        ),
    ),
    Cause.COMPRESSION: Knowledge(
        "Layers are being compressed",
        _ALL,
        "Layers are being compressed. That is no work on cache keys, and grows with the bytes in the layers.",
        "It ends when all layers are compressed.",
        (_LET_IT,),
        (
            "Compress less: compression=zstd or a lower compression-level in --cache-to and --output, and no "
            "force-compression=true, which compresses again what already is. Layers that have a blob keep it.",
            "Make the layers smaller: leave build outputs and package caches out of them (RUN --mount=type=cache).",
            "mode=min exports fewer layers.",
        ),
    ),
    Cause.DIFF: Knowledge(
        "File trees are being compared and packed",
        _ALL,
        "File trees are being compared and packed into layers. That is no work on cache keys, and grows with the "
        "files.",
        "It ends when all layers are packed.",
        (_LET_IT,),
        (
            "Have fewer files in layers: leave out dependencies and build outputs that nothing needs later.",
            "Use the overlayfs snapshotter: it need not compare whole trees as native does.",
            "mode=min exports fewer layers.",
        ),
    ),
    Cause.HASHING: Knowledge(
        "Files or layers are being checksummed",
        _ALL,
        "Files or layers are being checksummed. That is no work on cache keys, and grows with the bytes.",
        "It ends when all is hashed.",
        (_LET_IT,),
        (
            "Send less: a .dockerignore for the context, and COPY of what is needed rather than of all.",
            "Make the layers smaller, or export with mode=min.",
        ),
    ),
    Cause.PUSH: Knowledge(
        "The network, or who is at its other end, is waited for",
        _ALL,
        "Layers move over the network, or the other side is waited for: a registry, the backend of a cache (gha, s3, "
        "azblob), or the client.",
        "It ends when all is there, or a time-out is reached; a side that never answers can hold it.",
        (
            "Look at the other side, which the function in the table names: its log, its load, its limits, and the way "
            "there (proxy, VPN).",
            "Cancel the build if it does not come back.",
        ),
        (
            "Push less: mode=min, smaller layers, one cache tag for each target.",
            "Use a registry near the builder.",
        ),
    ),
    Cause.LOCK: Knowledge(
        "A lock is waited for",
        _ALL,
        "Goroutines wait for a lock that another one holds.",
        "It ends when the holder lets go; if that is stuck as well, never.",
        (
            "Take a goroutine dump (/debug/pprof/goroutine?debug=2) twice, a minute apart: who waits in both, and who "
            "runs, holds the lock.",
            "Restart buildkitd if nothing moves between the two.",
        ),
        (_UPSTREAM,),
    ),
    Cause.GC: Knowledge(
        "The daemon collects garbage",
        _ALL,
        "The daemon collects garbage: it allocates quickly, or its GOGC or GOMEMLIMIT is set low.",
        "It goes on as long as what allocates does.",
        (
            "See who allocates: cachedoctor profile http://HOST:PORT/debug/pprof/allocs.",
            "Look whether GOMEMLIMIT or GOGC is set for the daemon, and lower than what it holds.",
        ),
        ("Raise or remove GOMEMLIMIT and GOGC, and have fewer builds at once on one builder.",),
    ),
    Cause.OTHER: Knowledge(
        "No known cause stands out",
        "not known",
        "No cause that is known stands out.",
        "Not known.",
        (
            "Look at the table: the first functions of buildkit in it say what the daemon was busy with.",
            *HOW_TO_PROFILE,
        ),
        (_UPSTREAM,),
    ),
}
"""What is known of each cause. Figures: BuildKit v0.21.1 and v0.32.2, measured."""
