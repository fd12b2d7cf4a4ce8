"""The cache export looks up the blobs of long chains of layers.

**How it is found.** `marshalRemote` and `(*MultiProvider).Info`. Profiles cut off deep stacks, so `Marshal` itself can
be almost invisible.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import ANALYZE, LET_IT, NO_EXPORT
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="deep-chains",
    title="The cache export looks up the blobs of long chains of layers",
    phase=Phase.MARSHALLING,
    question=Question.GRAPH,
    affects=str(EVERY),
    what="For every layer of every result, the exporter looks up whether its blob still exists. If the layers "
    "come from an imported cache, each lookup goes through as many nested providers as the result has layers.",
    ends="It ends. The time grows with the fourth power of the longest chain of layers: 3 seconds for 200 layers, "
    "44 seconds for 400 (v0.32.2).",
    outcome="ends",
    now=(LET_IT, NO_EXPORT),
    for_good=(
        "Have fewer layers in one chain: join RUN and COPY steps, or start new stages from a base image.",
        "Export with mode=min, so that fewer results of the chain are exported.",
        ANALYZE,
    ),
    graph_work=True,
    holds_others=True,
)
