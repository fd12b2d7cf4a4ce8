"""File trees are being compared and packed.

**How it is found.** `continuity/fs`, `diff/walking`, `archive/tar` writing.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import LET_IT
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="diff",
    title="File trees are being compared and packed",
    phase=Phase.DIFF,
    question=Question.RUNNING,
    affects=str(EVERY),
    what="File trees are being compared and packed into layers. This is not work on cache keys; it grows with the "
    "number of files.",
    ends="It ends when all layers are packed.",
    outcome="ends",
    now=(LET_IT,),
    for_good=(
        "Have fewer files in layers: leave out dependencies and build outputs that nothing needs later.",
        "Use the overlayfs snapshotter, which need not compare whole trees as native does.",
        "Export with mode=min, which exports fewer layers.",
    ),
)
