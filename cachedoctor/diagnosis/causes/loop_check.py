"""The cache export walks every path through its cache keys.

**How it is found.** `(*normalizeState).checkLoops` or `removeLoops`, wherever the export began: with `--cache-to`, an
inline cache or the record of a build. A profile shows it at 90% and more; in a dump the goroutine is running or
runnable.
"""

from __future__ import annotations

from cachedoctor.buildkit import LOOP_CHECK, REWRITTEN, UPGRADE, UPGRADE_ENGINE
from cachedoctor.diagnosis.causes._advice import ANALYZE, NO_EXPORT, START_OVER
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="loop-check",
    title="The cache export walks every path through its cache keys: the loop check",
    phase=Phase.LOOP_CHECK,
    question=Question.GRAPH,
    affects=str(LOOP_CHECK),
    what="The exporter's loop check walks every path through the graph of cache keys. Each diamond, where stages "
    "branch and meet again, doubles the number of paths.",
    ends="It ends once all paths are walked, which takes seconds or years, depending only on the cache. Pass every "
    "imported cache with --cache to get an estimate.",
    outcome="unknown",
    fixed_in=REWRITTEN.since.line if REWRITTEN.since else "",
    now=(
        "Canceling the build does not stop it: the loop check never checks for cancellation. Restart buildkitd "
        "(`docker buildx stop BUILDER` for a builder in a container) to get the core back; other builds on it end "
        "too.",
        NO_EXPORT,
    ),
    for_good=(
        UPGRADE,
        UPGRADE_ENGINE,
        f"{ANALYZE} {START_OVER}",
        "Have fewer diamonds in the Dockerfile, and import fewer cache tags. mode=min does not help: it drops "
        "layers, not records.",
    ),
    graph_work=True,
    holds_others=True,
)
