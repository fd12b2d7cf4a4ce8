"""A step of a build is executing: the daemon waits for its process.

**How it is found.** `runcexecutor` or `containerdexecutor`, with the process that is waited for nearer to the leaf.
The container of a frontend (`# syntax=`) does not count: it lives as long as its build.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.numbers import elapsed, plural
from cachedoctor.pprof.goroutines import Goroutine

_FRONTEND = r"frontend/gateway\.\(\*gatewayFrontend\)|frontend/gateway\.serve"


def _refine(seen: Seen, signature: Signature, goroutines: Sequence[Goroutine], match: Match) -> Match:
    number = sum(goroutine.count for goroutine in goroutines)
    minutes = max((goroutine.minutes or 0 for goroutine in goroutines), default=0)
    since = f", for at least {elapsed(minutes * 60)}" if minutes else ""
    verb = "is" if number == 1 else "are"
    how = "containerd" if "containerd" in signature.function else "runc"
    return replace(match, observation=f"{plural(number, 'RUN step')} {verb} executing ({how}){since}.")


CAUSE = Cause(
    name="step-running",
    title="A step of a build is executing",
    question=Question.STEP,
    affects=str(EVERY),
    what="The daemon waits for the process of a RUN step. What takes so long, or hangs, is that command, not BuildKit; "
    "a dump of the daemon cannot show why.",
    ends="It ends when the command ends.",
    outcome="unknown",
    now=(
        "Find the command: the build's log names the step that is not done (--progress=plain), and so does ps in the "
        "builder: docker exec buildx_buildkit_NAME0 ps -ef",
        "Look at what that process waits for: its own output, the network, input from a terminal, a full disk.",
        "Cancel the build (Ctrl-C), which kills the process.",
    ),
    for_good=("Give commands that can hang a time limit: RUN timeout 20m …",),
    signatures=(
        Signature(
            r"executor/runcexecutor\.\(\*runcExecutor\)\.(Run|Exec|run)\b", "a RUN step (runc)", unless=_FRONTEND
        ),
        Signature(
            r"executor/containerdexecutor\.\(\*containerdExecutor\)\.(Run|Exec|runProcess)\b",
            "a RUN step (containerd)",
            unless=_FRONTEND,
        ),
        Signature(
            r"ops\.\(\*[eE]xecOp\)\.Exec$", "a RUN step", leaf=r"go-runc\.|os/exec\.\(\*Cmd\)\.Wait|executor[./]"
        ),
    ),
    refine=_refine,
)
