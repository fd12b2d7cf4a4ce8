"""Layers are being compressed.

**How it is found.** `compress/flate`, `klauspost/compress`, `estargz` at work, in an export or a push.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import LET_IT
from cachedoctor.diagnosis.causes.cause import Cause, Question
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="compression",
    title="Layers are being compressed",
    phase=Phase.COMPRESSION,
    question=Question.RUNNING,
    affects=str(EVERY),
    what="Layers are being compressed. This is not work on cache keys; it grows with the size of the layers.",
    ends="It ends when all layers are compressed.",
    outcome="ends",
    now=(LET_IT,),
    for_good=(
        "Compress less: use compression=zstd or a lower compression-level in --cache-to and --output, and leave "
        "out force-compression=true, which compresses layers again. Layers that already have a blob keep it.",
        "Make the layers smaller: keep build outputs and package caches out of them (RUN --mount=type=cache).",
        "Export with mode=min, which exports fewer layers.",
    ),
)
