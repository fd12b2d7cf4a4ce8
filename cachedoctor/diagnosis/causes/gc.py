"""The daemon collects garbage.

**How it is found.** `runtime.gcDrain`, `scanobject` and their like, unless a function of BuildKit allocates what they
collect: then that function is the cause, or at least it is named.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="gc",
    title="The daemon collects garbage",
    phase=Phase.GC,
    question=Question.TIME,
    affects=str(EVERY),
    what="The daemon collects garbage: it allocates quickly, or its GOGC or GOMEMLIMIT is set low.",
    ends="It goes on for as long as the daemon allocates.",
    outcome="unknown",
    now=(
        "Find out what allocates: cachedoctor profile http://HOST:PORT/debug/pprof/allocs",
        "Check whether GOGC or GOMEMLIMIT is set for the daemon, and lower than it needs.",
    ),
    for_good=("Raise or remove GOMEMLIMIT and GOGC, and run fewer builds at a time on one builder.",),
    leaf=True,
)
