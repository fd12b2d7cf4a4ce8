"""The daemon waits for the client: for files, secrets, credentials, or to hand over a result.

**How it is found.** `session/filesync`, `session/content`, `fsutil`, `content/proxy` and their like in a goroutine
that waits. The streams that every build keeps open (`session.(*Manager)`, `frontend/gateway`) do not count.
"""

from __future__ import annotations

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NEWER, TWICE
from cachedoctor.diagnosis.causes.cause import Cause, Question, Signature

CAUSE = Cause(
    name="session",
    title="Waiting for the client (docker buildx, buildctl) at the other end of its session",
    question=Question.WAIT,
    affects=str(EVERY),
    what="Files, layers, secrets and credentials go through a stream between the daemon and the client that started "
    "the build. The daemon waits for that stream: the client, or the connection to it, is slow or gone. A registry has "
    "nothing to do with it.",
    ends="It ends when the client reads or sends on, or goes away.",
    outcome="unknown",
    now=(
        "Check whether the client still runs and reads: its log, its load, its disk, and the connection to it "
        "(kubectl port-forward, ssh, VPN, a proxy). A dump of the client shows what it waits for: kill -QUIT PID",
        "Cancel the build there if nothing moves.",
        TWICE,
    ),
    for_good=(
        "Send less: a .dockerignore for the context, and push from the builder (type=registry) instead of handing the "
        "result to the client (type=local, type=tar, --load).",
        NEWER,
    ),
    signatures=(
        Signature(
            r"tonistiigi/fsutil\.|session/filesync\.",
            "transferring files to or from the client",
            what="Files go through a stream between the daemon and the client that started the build, and this stream "
            "does not move. The client, or the connection to it, is slow or gone; a registry has nothing to do with "
            "it. Before v0.12.0, the daemon's own flow control could dead-lock here (moby/buildkit#2950, #3940).",
        ),
        Signature(r"/content/proxy\.|buildkit/session/content\.", "transferring layers to or from the client"),
        Signature(r"buildkit/session/(auth|secrets|upload|exporter)[./]", "asking the client"),
    ),
)
