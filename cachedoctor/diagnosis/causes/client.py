"""The dump is that of a client, which only waits for the daemon.

**How it is found.** Functions of `docker buildx`, `buildctl` or `docker compose`, and none of the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import HOW_TO_PROFILE
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.diagnosis.stacks import is_clients, is_daemons, lines, longest
from cachedoctor.numbers import elapsed
from cachedoctor.text import printable


def _find(seen: Seen) -> Iterator[Match]:
    clients = [goroutine for goroutine in seen.goroutines if is_clients(goroutine.stack)]
    if not clients or any(is_daemons(goroutine.stack) for goroutine in seen.goroutines):
        return
    minutes = longest(clients)
    since = f", for {elapsed(minutes * 60)}" if minutes else ""
    text = f"This dump is that of the client (docker buildx, buildctl), which waits for the daemon{since}."
    if seen.marks:
        text = (
            f"This is a crash of the client (docker buildx, buildctl), not of the daemon: {printable(seen.marks[0])}."
        )
    yield Match(
        question=Question.CLIENT,
        observation=text,
        evidence=(*map(printable, seen.marks[:2]), *lines(clients)),
        outcome="dead" if seen.marks else None,
    )


CAUSE = Cause(
    name="client",
    title="This is the client, not the daemon: it cannot show why the daemon is stuck",
    question=Question.CLIENT,
    affects=str(EVERY),
    what="The client only sends the build and prints its progress. What takes so long happens in the daemon, buildkitd "
    "or dockerd.",
    ends="It ends when the daemon answers.",
    outcome="unknown",
    now=(
        "Take a dump of the daemon instead. Without --debugaddr: docker kill -s QUIT BUILDER_CONTAINER, then docker "
        "logs BUILDER_CONTAINER 2>&1 | cachedoctor profile - (this ends the daemon; the container of a builder is "
        "named buildx_buildkit_NAME0).",
        *HOW_TO_PROFILE,
    ),
    for_good=("Start buildkitd with --debugaddr, so that it can be asked while it hangs.",),
    find=_find,
)
