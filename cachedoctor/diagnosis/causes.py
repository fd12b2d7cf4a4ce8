"""The causes of a stuck export, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from cachedoctor.buildkit import EVERY, LOOP_CHECK, REWRITTEN, UPGRADE, UPGRADE_ENGINE
from cachedoctor.diagnosis.phases import Phase


class Cause(StrEnum):
    """Why an export takes so long (the words of the contract). What is known about each is in `KNOWLEDGE`."""

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


class Knowledge(NamedTuple):
    """What is known about a cause, and how it is recognized."""

    title: str
    """The cause in a line."""
    phase: Phase | None
    """The phase that takes most of the time."""
    affects: str
    """The releases it occurs in."""
    what: str
    ends: str
    """Whether it ends by itself."""
    now: tuple[str, ...]
    """What to do right away."""
    for_good: tuple[str, ...]
    """What to do so that it does not come back."""
    graph_work: bool = False
    """Whether it is work on the graph of cache keys: an export uses one core for it, however many there are."""
    holds_others: bool = False
    """Whether one export does it while others wait for it."""


_ANALYZE = (
    "Run cachedoctor analyze CACHE for each cache that the build imports: it shows how long its export takes, and why."
)
_START_OVER = "If the cache grew over many imports, export to a new cache tag from a new builder."
_JOIN = "Import one cache instead of several with the same records: cachedoctor repair A B -o JOINED makes one of them."
_LET_IT = "Let it finish: it is slow, not stuck."
_NO_EXPORT = "To get builds through until then, leave out --cache-to."
HOW_TO_PROFILE = (
    "A goroutine dump shows what each export is doing: curl -o dump.txt "
    "'http://HOST:PORT/debug/pprof/goroutine?debug=2'. A CPU profile shows where the time goes: curl -o cpu.pprof "
    "'http://HOST:PORT/debug/pprof/profile?seconds=30'.",
    "HOST:PORT is the --debugaddr that buildkitd was started with, which has to be set before it hangs: docker buildx "
    "create --buildkitd-flags '--debugaddr 127.0.0.1:6060'. dockerd with \"debug\": true serves it on its own socket.",
)
"""How to get evidence."""
_UPSTREAM = (
    "To report it at https://github.com/moby/buildkit/issues, attach this profile, a goroutine dump "
    "(/debug/pprof/goroutine?debug=2), the output of `buildctl debug workers -v`, the daemon's version, and what "
    "cachedoctor analyze CACHE --report DIR writes: the shape of the cache, without names."
)

KNOWLEDGE: Mapping[Cause, Knowledge] = {
    Cause.LOOP_CHECK: Knowledge(
        title="The cache export walks every path through its cache keys: the loop check",
        phase=Phase.LOOP_CHECK,
        affects=str(LOOP_CHECK),
        what="The exporter's loop check walks every path through the graph of cache keys. Each diamond, where stages "
        "branch and meet again, doubles the number of paths.",
        ends="It ends once all paths are walked, which takes seconds or years, depending only on the cache. Pass every "
        "imported cache with --cache to get an estimate.",
        now=(
            "Canceling the build does not stop it: the loop check never checks for cancellation. Restart buildkitd "
            "(`docker buildx stop BUILDER` for a builder in a container) to get the core back; other builds on it end "
            "too.",
            _NO_EXPORT,
        ),
        for_good=(
            UPGRADE,
            UPGRADE_ENGINE,
            f"{_ANALYZE} {_START_OVER}",
            "Have fewer diamonds in the Dockerfile, and import fewer cache tags. mode=min does not help: it drops "
            "layers, not records.",
        ),
        graph_work=True,
        holds_others=True,
    ),
    Cause.DEEP_CHAINS: Knowledge(
        title="The cache export looks up the blobs of long chains of layers",
        phase=Phase.MARSHALLING,
        affects=str(EVERY),
        what="For every layer of every result, the exporter looks up whether its blob still exists. If the layers "
        "come from an imported cache, each lookup goes through as many nested providers as the result has layers.",
        ends="It ends. The time grows with the fourth power of the longest chain of layers: 3 seconds for 200 layers, "
        "44 seconds for 400 (v0.32.2).",
        now=(_LET_IT, _NO_EXPORT),
        for_good=(
            "Have fewer layers in one chain: join RUN and COPY steps, or start new stages from a base image.",
            "Export with mode=min, so that fewer results of the chain are exported.",
            _ANALYZE,
        ),
        graph_work=True,
        holds_others=True,
    ),
    Cause.RE_ADD: Knowledge(
        title="Records that are already known are added again",
        phase=Phase.RE_ADDING,
        affects=str(REWRITTEN),
        what="When a cache key that is already known is added again, all its descendants are walked. Every import of "
        "a second tag with the same records does this.",
        ends="It ends. The time grows with the square of the number of records: 3 seconds for a chain of 10,000 "
        "(v0.32.2).",
        now=(_LET_IT,),
        for_good=(_JOIN, _START_OVER, _ANALYZE),
        graph_work=True,
        holds_others=True,
    ),
    Cause.NORMALIZE: Knowledge(
        title="The cache export collects and merges its records",
        phase=Phase.MERGING,
        affects=str(EVERY),
        what="The exporter collects and merges the cache keys of the build and of everything it imported.",
        ends="It ends: the work grows with the number of records and links.",
        now=(_LET_IT,),
        for_good=(_JOIN, _START_OVER, _ANALYZE),
        graph_work=True,
    ),
    Cause.COMPRESSION: Knowledge(
        title="Layers are being compressed",
        phase=Phase.COMPRESSION,
        affects=str(EVERY),
        what="Layers are being compressed. This is not work on cache keys; it grows with the size of the layers.",
        ends="It ends when all layers are compressed.",
        now=(_LET_IT,),
        for_good=(
            "Compress less: use compression=zstd or a lower compression-level in --cache-to and --output, and leave "
            "out force-compression=true, which compresses layers again. Layers that already have a blob keep it.",
            "Make the layers smaller: keep build outputs and package caches out of them (RUN --mount=type=cache).",
            "Export with mode=min, which exports fewer layers.",
        ),
    ),
    Cause.DIFF: Knowledge(
        title="File trees are being compared and packed",
        phase=Phase.DIFF,
        affects=str(EVERY),
        what="File trees are being compared and packed into layers. This is not work on cache keys; it grows with the "
        "number of files.",
        ends="It ends when all layers are packed.",
        now=(_LET_IT,),
        for_good=(
            "Have fewer files in layers: leave out dependencies and build outputs that nothing needs later.",
            "Use the overlayfs snapshotter, which need not compare whole trees as native does.",
            "Export with mode=min, which exports fewer layers.",
        ),
    ),
    Cause.HASHING: Knowledge(
        title="Files or layers are being checksummed",
        phase=Phase.HASHING,
        affects=str(EVERY),
        what="Files or layers are being checksummed. This is not work on cache keys; it grows with their size.",
        ends="It ends when everything is checksummed.",
        now=(_LET_IT,),
        for_good=(
            "Send less: use a .dockerignore for the context, and COPY only what is needed.",
            "Make the layers smaller, or export with mode=min.",
        ),
    ),
    Cause.PUSH: Knowledge(
        title="Waiting for the network or the other end of a connection",
        phase=Phase.NETWORK,
        affects=str(EVERY),
        what="Layers are being sent or received, or the daemon waits for the other end of a connection: a registry, "
        "a cache backend (gha, s3, azblob), or the client.",
        ends="It ends when the transfer is done or times out. If the other end never answers, it can last forever.",
        now=(
            "Check the other end, which the function in the table names: its log, its load, its limits, and the "
            "connection to it (proxy, VPN).",
            "Cancel the build if nothing moves.",
        ),
        for_good=(
            "Push less: mode=min, smaller layers, one cache tag for each target.",
            "Use a registry near the builder.",
        ),
    ),
    Cause.LOCK: Knowledge(
        title="Waiting for a lock",
        phase=Phase.LOCKS,
        affects=str(EVERY),
        what="Goroutines wait for a lock that another goroutine holds.",
        ends="It ends when the lock is released; if its holder is stuck too, never.",
        now=(
            "Take a goroutine dump (/debug/pprof/goroutine?debug=2) twice, a minute apart, and compare them: which "
            "goroutines wait in both, and which one runs and so may hold the lock.",
            "Restart buildkitd if nothing changes between the two.",
        ),
        for_good=(_UPSTREAM,),
    ),
    Cause.GC: Knowledge(
        title="The daemon collects garbage",
        phase=Phase.GC,
        affects=str(EVERY),
        what="The daemon collects garbage: it allocates quickly, or its GOGC or GOMEMLIMIT is set low.",
        ends="It goes on for as long as the daemon allocates.",
        now=(
            "Find out what allocates: cachedoctor profile http://HOST:PORT/debug/pprof/allocs",
            "Check whether GOGC or GOMEMLIMIT is set for the daemon, and lower than it needs.",
        ),
        for_good=("Raise or remove GOMEMLIMIT and GOGC, and run fewer builds at a time on one builder.",),
    ),
    Cause.OTHER: Knowledge(
        title="No known cause stands out",
        phase=None,
        affects="unknown",
        what="No known cause stands out.",
        ends="Unknown.",
        now=(
            "Look at the table: the first BuildKit functions in it show what the daemon was doing.",
            *HOW_TO_PROFILE,
        ),
        for_good=(_UPSTREAM,),
    ),
}
"""What is known about each cause. Figures: BuildKit v0.21.1 and v0.32.2, measured."""

CAUSE_OF: Mapping[Phase, Cause] = {known.phase: cause for cause, known in KNOWLEDGE.items() if known.phase}
"""The cause if most of the time goes to a phase; other phases have no known cause."""
