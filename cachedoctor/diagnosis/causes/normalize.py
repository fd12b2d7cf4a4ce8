"""The cache export collects and merges its records.

**How it is found.** Functions of `cache/remotecache/v1` other than those of the causes above: `normalizeItem`, `Add`.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import ANALYZE, JOIN, LET_IT, START_OVER
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="normalize",
    title="The cache export collects and merges its records",
    phase=Phase.MERGING,
    question=Question.GRAPH,
    affects=str(EVERY),
    what="The exporter collects and merges the cache keys of the build and of everything it imported.",
    ends="It ends: the work grows with the number of records and links.",
    outcome="ends",
    now=(LET_IT,),
    for_good=(JOIN, START_OVER, ANALYZE),
    graph_work=True,
)
