"""Records that are already known are added again.

**How it is found.** `(*item).walkChildren` below `(*CacheChains).Add`.
"""

from __future__ import annotations

from cachedoctor.buildkit import REWRITTEN
from cachedoctor.diagnosis.causes._advice import ANALYZE, JOIN, LET_IT, START_OVER
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="re-add",
    title="Records that are already known are added again",
    phase=Phase.RE_ADDING,
    question=Question.GRAPH,
    affects=str(REWRITTEN),
    what="When a cache key that is already known is added again, all its descendants are walked. Every import of "
    "a second tag with the same records does this.",
    ends="It ends. The time grows with the square of the number of records: 3 seconds for a chain of 10,000 (v0.32.2).",
    outcome="ends",
    now=(LET_IT,),
    for_good=(JOIN, START_OVER, ANALYZE),
    graph_work=True,
    holds_others=True,
)
