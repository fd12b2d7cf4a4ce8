"""A limit of the daemon itself is used up.

**How it is found.** `semaphore.Acquire` below `(*ExecOp).Acquire` is `max-parallelism`; `(*req).acquire` of
`util/resolver/limited` and `(*Transport).getConn` are limits of connections to one registry. These are no locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NEWER, RESTART, TWICE, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature, matches
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.numbers import plural
from cachedoctor.pprof.goroutines import Goroutine

_STEPS = r"ops\.\(\*[eE]xecOp\)\.Exec$|executor\.\(\*\w+\)\.Run$"
_TRANSFERS = r"^net/http\.\(\*persistConn\)|^net\.\(\*|^crypto/tls\.|docker\.\(\*(pushWriter|httpReadSeeker)"
_FOR_BUILDS = r"/remotes[./]|buildkit/"
_DIALS = r"^net/http\.\(\*Transport\)\.dialConn|^net\.\(\*Dialer\)|^crypto/tls\.\(\*Conn\)\.[hH]andshake"
STUCK_MINUTES = 5
"""Minutes without any transfer after which a pool of connections counts as dead-locked."""


def _refine(seen: Seen, signature: Signature, goroutines: Sequence[Goroutine], match: Match) -> Match | None:
    """Say who uses the limit up, as far as the dump shows it."""
    if signature is _MAX_PARALLELISM:
        steps = sum(item.count for item in seen.goroutines if any(matches(_STEPS, name) for name in item.stack))
        if steps:
            return replace(match, observation=f"{match.observation} {plural(steps, 'step')} running.", outcome="ends")
        return match
    if signature is _POOL:
        dials = any(matches(_DIALS, name) for item in seen.goroutines for name in item.stack)
        return None if dials else match
    transfers = [item for item in seen.goroutines if _transfers(item.stack)]
    waited = max((item.minutes or 0 for item in goroutines), default=0)
    if transfers or waited < STUCK_MINUTES:
        return match
    observation = (
        f"{match.observation} No goroutine in this dump transfers anything, so those that wait seem to hold the "
        "connections that they wait for."
    )
    return replace(match, observation=observation, outcome="never" if seen.whole else "unknown")


def _transfers(stack: Sequence[str]) -> bool:
    """Whether a stack sends or receives for a build; idle connections have goroutines as well."""
    return any(matches(_TRANSFERS, name) for name in stack) and any(matches(_FOR_BUILDS, name) for name in stack)


_MAX_PARALLELISM = Signature(
    r"ops\.\(\*[eE]xecOp\)\.Acquire",
    "waiting for a free place among max-parallelism steps",
    title="The daemon runs as many steps as max-parallelism allows, and others wait",
    what="The daemon runs only so many steps at a time: max-parallelism in buildkitd.toml ([worker.oci] or "
    "[worker.containerd]), --oci-max-parallelism or --containerd-max-parallelism. The other steps of all "
    "builds wait. This is a limit, not a lock.",
    ends="It ends when a running step ends.",
    now=(
        "Look for a step that never ends: it keeps its place. docker buildx history ls and the builds' own logs show "
        "what runs.",
    ),
    for_good=(
        "Raise max-parallelism in buildkitd.toml, or remove it; or run fewer builds at a time on this builder.",
        "Give steps that can hang a time limit of their own (RUN timeout 20m …).",
    ),
)
_REGISTRY = Signature(
    r"resolver/limited\.\(\*req\)\.acquire",
    "waiting for one of the connections to a registry (limited.acquire)",
    fixed_in="v0.9.2, v0.10.0",
    title="Transfers wait for the daemon's own limit of connections to a registry",
    what="The daemon opens only so many connections to one registry host (4, and one more for manifests; "
    "max-parallelism does not change it). This is the daemon's own limit, not the network. v0.9.0 and v0.9.1 could "
    "dead-lock here: a push that held a connection waited for another one (moby/buildkit#2403).",
    ends="It ends when a transfer ends. In v0.9.0 and v0.9.1 it may never.",
    now=(TWICE, RESTART, "Push to one registry from one build at a time until then."),
    for_good=(
        NEWER,
        "v0.31 and later can have more connections: maxRegistryConcurrency of [system] in buildkitd.toml.",
        "Push less: mode=min, smaller layers, one cache tag for each target.",
    ),
)
_POOL = Signature(
    r"^net/http\.\(\*Transport\)\.getConn$",
    "waiting for a free connection to a host (Transport.getConn)",
    root=r"buildkit/|/remotes[./]",
    what="The daemon waits for a connection to a host while it opens none: all that it allows itself are in use.",
    now=(TWICE, RESTART),
    for_good=(NEWER, UPSTREAM),
)
CAUSE = Cause(
    name="limit",
    title="A limit of the daemon is used up",
    question=Question.LIMIT,
    affects=str(EVERY),
    what="A limit of the daemon is used up.",
    ends="It ends when something that uses the limit ends.",
    outcome="unknown",
    now=(TWICE, RESTART),
    for_good=(UPSTREAM,),
    signatures=(
        _MAX_PARALLELISM,
        _REGISTRY,
        _POOL,
    ),
    refine=_refine,
)
