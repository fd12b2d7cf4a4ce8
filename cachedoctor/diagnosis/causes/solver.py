"""The solver works on the build graph itself, before or between the steps of a build.

**How it is found.** `recomputeDigests` in any goroutine or with most of the CPU time, whatever its leaves are
(hashing, protobuf). `(*scheduler).dispatch` only if it is at work, since it is where an idle solver waits too.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NEWER, RESTART, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Question, Signature

CAUSE = Cause(
    name="solver",
    title="The solver is busy with the graph of the build itself, not with a cache export",
    question=Question.GRAPH,
    affects=str(EVERY),
    what="The solver schedules steps and merges equal ones.",
    ends="Unknown: one pass takes milliseconds, so something makes it start again and again.",
    outcome="unknown",
    now=(
        "Take another dump a minute later and pass both: cachedoctor profile FIRST SECOND shows whether it moves.",
        RESTART,
    ),
    for_good=(NEWER, UPSTREAM),
    signatures=(
        Signature(
            r"llbsolver\.recomputeDigests",
            "recomputing the digests of all steps (recomputeDigests)",
            title="The solver recomputes the digests of all steps, before the build begins",
            fixed_in="v0.12.0",
            affects="v0.11",
            what="Before a build starts, the solver recomputes the digest of each step. Before v0.12 it did so again "
            "for each way that leads to a step, and the number of ways doubles with each diamond in the build graph.",
            ends="It ends once all ways are walked, which can take years. v0.12.0 fixed it (moby/buildkit#3732).",
            now=(
                "Restart buildkitd: the build would have to be canceled, and nothing checks for that here.",
                "To get the build through on this release, build less at once: one target, fewer stages that branch "
                "and meet again.",
            ),
            for_good=(NEWER,),
        ),
        Signature(
            r"solver\.\(\*scheduler\)\.dispatch$",
            "the solver's scheduler (scheduler.dispatch)",
            running=True,
        ),
    ),
)
