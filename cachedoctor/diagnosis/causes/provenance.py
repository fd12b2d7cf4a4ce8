"""The daemon walks cache keys to record the provenance of a build.

**How it is found.** `(*ProvenanceCreator)` and `NewProvenanceCreator`, with the exporter's `ExportTo` and
`addBacklinks` or a lock of the database nearer to the leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cachedoctor.buildkit import EVERY, PROVENANCE_WALKS, REWRITTEN
from cachedoctor.diagnosis.causes._advice import NEWER, RESTART, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature, matches
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.pprof.goroutines import Goroutine

_BACKLINKS = r"solver\.addBacklinks"
_HISTORY = r"llbsolver\.\(\*Solver\)\.recordBuildHistory"


def _refine(seen: Seen, signature: Signature, goroutines: Sequence[Goroutine], match: Match) -> Match:
    """Tell the walk of v0.11 to v0.13 from what later releases do, and attestations from the daemon's own records."""
    names = [name for goroutine in goroutines for name in goroutine.stack]
    if any(matches(_BACKLINKS, name) for name in names):
        match = replace(
            match,
            affects=str(PROVENANCE_WALKS),
            fixed_in=str(PROVENANCE_WALKS.until),
            ends="It ends once all chains are walked; their number can double with each diamond.",
        )
    if any(matches(_HISTORY, name) for name in names):
        observation = (
            f"{match.observation} It is for the daemon's own history of builds (recordBuildHistory), which "
            "--provenance=false does not turn off."
        )
        return replace(match, observation=observation, now=(RESTART,))
    return match


CAUSE = Cause(
    name="provenance",
    title="The daemon walks its cache keys to record the provenance of a build",
    question=Question.GRAPH,
    affects=f"{EVERY}, worst in {PROVENANCE_WALKS}",
    what=f"To record where layers come from, the daemon walks cache keys as an export does, without any --cache-to. "
    f"{PROVENANCE_WALKS} also walk the links back, which can take exponential time; {PROVENANCE_WALKS.until} stopped "
    "that. All builds that do so at once share the locks of one database.",
    ends="Unknown: it ends if the walk is only slow.",
    outcome="unknown",
    now=(
        "Build with --provenance=false (or BUILDX_NO_DEFAULT_ATTESTATIONS=1), which leaves out the attestation.",
        RESTART,
    ),
    for_good=(
        NEWER,
        f"On {REWRITTEN} as well, run fewer builds at a time on one builder, and prune its cache (docker buildx "
        "prune): the walk and the database grow with it.",
        UPSTREAM,
    ),
    signatures=(
        Signature(
            r"solver\.addBacklinks",
            "walking cache keys and the links back, outside a cache export (addBacklinks)",
            unless=r"runCacheExporters|\)\.Finalize|remotecache/inline",
        ),
        Signature(r"llbsolver\.(\(\*ProvenanceCreator\)\.|NewProvenanceCreator)", "walking cache keys for provenance"),
    ),
    refine=_refine,
    graph_work=True,
)
