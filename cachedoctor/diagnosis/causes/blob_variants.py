"""The cache export makes every combination of the compressions that its layers exist in.

**How it is found.** `getAvailableBlobs` and `appendRemote` in `buildkit/cache`, in a CPU or heap profile or a dump,
even if garbage collection takes most of the time: it collects what these allocate.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NO_EXPORT
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature, matches
from cachedoctor.diagnosis.seen import Seen, row_line
from cachedoctor.numbers import percent
from cachedoctor.pprof.top import top

MAIN_SHARE = 0.3
"""The share of a heap from which the combinations are the cause."""


def _find(seen: Seen) -> Iterator[Match]:
    """A heap that is full of combinations."""
    first = seen.first
    if first.unit != "bytes" or not first.total:
        return
    table = top(first.profile) if first.profile else first.table.top if first.table else None
    rows = [row for row in table.rows if matches(_FUNCTIONS, row.function)] if table else []
    largest = max(rows, key=lambda row: abs(row.cum), default=None)
    share = min(1.0, abs(largest.cum) / first.total) if largest else 0.0
    if table and largest and share >= MAIN_SHARE:
        yield Match(
            question=Question.GRAPH,
            observation=f"{percent(share)} of {table.value(first.total)} of memory: combinations of the compressions "
            "of layers (getAvailableBlobs).",
            share=share,
            evidence=(row_line(table, largest),),
        )


_FUNCTIONS = r"buildkit/cache\.(getAvailableBlobs|appendRemote)"
CAUSE = Cause(
    name="blob-variants",
    title="The cache export makes every combination of the compressions that layers exist in",
    question=Question.GRAPH,
    affects=str(EVERY),
    what="If the layers of a result exist in several compressions (gzip and zstd, say), the exporter makes every "
    "combination of them (getAvailableBlobs): 2ⁿ for n layers that exist in two. Garbage collection and allocation "
    "are its consequences.",
    ends="It ends for a few such layers. For many, memory runs out first, and the system kills the daemon.",
    outcome="unknown",
    now=(
        "Watch the daemon's memory, and cancel the build or restart buildkitd before it runs out.",
        NO_EXPORT,
    ),
    for_good=(
        "Use one compression everywhere: the same compression= in each --output and --cache-to of all builds on this "
        "builder.",
        "Blobs in other compressions stay until they are pruned: create a new builder, or run docker buildx prune "
        "--all.",
    ),
    signatures=(
        Signature(
            _FUNCTIONS,
            "combining the compressions of layers (getAvailableBlobs)",
        ),
    ),
    graph_work=True,
    find=_find,
)
