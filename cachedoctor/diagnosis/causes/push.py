"""Layers are being sent or received.

**How it is found.** `remotes`, `util/push`, `util/pull`, `net/http` below a function of BuildKit. The daemon's own
servers (`http2.(*serverConn)`, gRPC below `frontend/gateway`) do not count: every build with `# syntax=` has an idle
one.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import TWICE
from cachedoctor.diagnosis.causes.cause import Cause
from cachedoctor.diagnosis.phases import Phase

CAUSE = Cause(
    name="push",
    title="Waiting for the network or the other end of a connection",
    phase=Phase.NETWORK,
    affects=str(EVERY),
    what="Layers are being sent or received, or the daemon waits for the other end of a connection: a registry, "
    "a cache backend (gha, s3, azblob), or the client.",
    ends="It ends when the transfer is done or times out. If the other end never answers, it can last forever.",
    outcome="unknown",
    now=(
        "Check the other end, which the function in the table names: its log, its load, its limits, and the "
        "connection to it (proxy, VPN).",
        "Cancel the build if nothing moves.",
        TWICE,
    ),
    for_good=(
        "Push less: mode=min, smaller layers, one cache tag for each target.",
        "Use a registry near the builder.",
    ),
)
