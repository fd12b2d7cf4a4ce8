"""No known cause stands out.

**How it is found.** Nothing else is.
"""

from __future__ import annotations

from cachedoctor.diagnosis.causes._advice import HOW_TO_PROFILE, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Question

CAUSE = Cause(
    name="other",
    title="No known cause stands out",
    question=Question.MEMORY,
    affects="unknown",
    what="No known cause stands out.",
    ends="Unknown.",
    outcome="unknown",
    now=(
        "Look at the table: the first BuildKit functions in it show what the daemon was doing.",
        *HOW_TO_PROFILE,
    ),
    for_good=(UPSTREAM,),
)
