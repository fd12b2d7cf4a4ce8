"""Files or layers are being checksummed.

**How it is found.** `crypto/sha256` and `contenthash`, unless a function of BuildKit above them is the cause: then
they are only its leaves.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import LET_IT
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="hashing",
    title="Files or layers are being checksummed",
    phase=Phase.HASHING,
    question=Question.RUNNING,
    affects=str(EVERY),
    what="Files or layers are being checksummed. This is not work on cache keys; it grows with their size.",
    ends="It ends when everything is checksummed.",
    outcome="ends",
    now=(LET_IT,),
    for_good=(
        "Send less: use a .dockerignore for the context, and COPY only what is needed.",
        "Make the layers smaller, or export with mode=min.",
    ),
    leaf=True,
)
