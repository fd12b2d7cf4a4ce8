"""Goroutines wait for each other, and will forever.

**How it is found.** A lock that is waited for in a place that is known to dead-lock; the same function twice in one
stack, waiting for its own lock; two goroutines of which each waits for a lock that the other may hold; or locks that
have been waited for over an hour while nothing runs. A wait has to be a minute old at least.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import NEWER, RESTART, TWICE, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature, matches
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.diagnosis.stacks import (
    RUNNING,
    function_of,
    is_buildkit,
    line,
    lines,
    longest,
    may_hold,
    number_of,
    receiver,
    wanted_lock,
    without_closure,
)
from cachedoctor.numbers import elapsed, plural
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.text import printable

LONG_MINUTES = 60
"""Minutes after which a lock that nothing running can hold counts as lost."""
STILL_MINUTES = 5
"""Minutes between two dumps after which locks count as lost if nothing moved."""
_ELSEWHERE = r"executor/\w+\.|go-runc\.|^net/http\.\(\*Transport\)|/content/proxy\.|tonistiigi/fsutil\."
_LOCKED = r"sync\.(\(\*(RW)?Mutex\)\.(R?Lock|lockSlow)|runtime_Semacquire)"
_PROCESS = r"executor/\w+\.|go-runc\.|os/exec\.\(\*Cmd\)\.Wait"
_EXEC_MESSAGES = Signature(
    r"frontend/gateway\.\(\*llbBridgeForwarder\)\.ExecProcess|gateway/grpcclient\.\(\*execMessageForwarder\)",
    "waiting for messages of a process that a frontend started (ExecProcess)",
    fixed_in="v0.29.0",
    affects="v0.28 and earlier",
    what="A frontend started a process in a container, and both ends wait for the other's message. If the process "
    "ended at once, its last messages could get lost (moby/buildkit#5087, #5875; fixed in v0.29.0 by #6531).",
)


def _refine(seen: Seen, signature: Signature, goroutines: Sequence[Goroutine], match: Match) -> Match | None:
    """Drop waits that are young, or that a process in the dump explains."""
    if signature is _EXEC_MESSAGES and any(matches(_PROCESS, name) for item in seen.goroutines for name in item.stack):
        return None
    timed = any(goroutine.id is not None for goroutine in goroutines)
    if timed and not longest(goroutines):
        return None
    return match if timed else replace(match, outcome="unknown")


def _find(seen: Seen) -> Iterator[Match]:
    """Dead-locks that the stacks themselves show."""
    waiting = [item for item in seen.goroutines if item.minutes and wanted_lock(item) and _is_buildkits(item)]
    for goroutine in waiting:
        again = _locked_again(goroutine)
        if again:
            yield Match(
                question=Question.DEADLOCK,
                observation=f"{_named(goroutine)} waits{_since([goroutine])} for a lock in {printable(again)}, which "
                "is in its own stack twice: it waits for itself.",
                evidence=(line(goroutine, again),),
            )
            return
    running = {owner for item in seen.goroutines if item.state in RUNNING for owner in may_hold(item)}
    for first, second in _pairs(waiting, running):
        yield Match(
            question=Question.DEADLOCK,
            observation=f"{_named(first)} waits in {printable(function_of(first))} and goroutine {second.id} in "
            f"{printable(function_of(second))}{_since([first, second])}: each may hold what the other waits for.",
            evidence=(line(first), line(second)),
        )
        return
    twice = seen.twice
    if twice and twice.is_still and seen.whole and (twice.minutes or 0) >= STILL_MINUTES:
        stuck = [item for item in waiting if item.id in twice.stuck_ids]
        if stuck and not any(matches(_ELSEWHERE, name) for item in seen.goroutines for name in item.stack):
            yield Match(
                question=Question.DEADLOCK,
                observation=f"{plural(len(stuck), 'goroutine')} wait for a lock in {printable(function_of(stuck[0]))}"
                f"{_since(stuck)}, and nothing of BuildKit has moved for at least {elapsed((twice.minutes or 0) * 60)} "
                "between the two dumps.",
                evidence=lines(stuck),
            )
            return
    old = [item for item in waiting if (item.minutes or 0) >= LONG_MINUTES]
    if old and seen.whole and not any(item.state in RUNNING and _is_buildkits(item) for item in seen.goroutines):
        number = number_of(old)
        yield Match(
            question=Question.DEADLOCK,
            observation=f"{plural(number, 'goroutine')} of builds {'waits' if number == 1 else 'wait'} for a lock in "
            f"{printable(function_of(old[0]))}{_since(old)}, and nothing of BuildKit is running that could release it.",
            evidence=lines(old),
        )


def _is_buildkits(goroutine: Goroutine) -> bool:
    return any(map(is_buildkit, goroutine.stack))


def _named(goroutine: Goroutine) -> str:
    return f"Goroutine {goroutine.id}" if goroutine.id is not None else "A goroutine"


def _since(goroutines: Sequence[Goroutine]) -> str:
    minutes = longest(goroutines)
    return f" for {elapsed(minutes * 60)}" if minutes else ""


def _locked_again(goroutine: Goroutine) -> str:
    """The function of BuildKit that waits for a lock, if it is in the stack a second time below other types."""
    wanted = wanted_lock(goroutine)
    if not wanted or not is_buildkit(wanted.function):
        return ""
    owner = receiver(wanted.function)
    stack = [without_closure(name) for name in goroutine.stack]
    between = stack[wanted.at + 1 :]
    if not owner or wanted.function not in between:
        return ""
    other = between[: between.index(wanted.function)]
    return wanted.function if any(receiver(name) != owner for name in other) else ""


def _pairs(waiting: Sequence[Goroutine], running: Container[str]) -> Iterator[tuple[Goroutine, Goroutine]]:
    """Goroutines of which each waits for a lock of a type that the other may hold, and nothing that runs."""
    by_wanted: dict[tuple[str, str], Goroutine] = {}
    for goroutine in waiting:
        wanted = wanted_lock(goroutine)
        owner = receiver(wanted.function) if wanted else ""
        if not owner:
            continue
        if owner in running:
            continue
        for held in set(may_hold(goroutine)) - {owner}:
            other = by_wanted.get((held, owner))
            if other is not None:
                yield other, goroutine
            by_wanted.setdefault((owner, held), goroutine)


CAUSE = Cause(
    name="deadlock",
    title="Goroutines of the daemon wait for each other: a dead-lock",
    question=Question.DEADLOCK,
    affects=str(EVERY),
    what="Goroutines wait for each other. Nothing that the build or the network does can end this.",
    ends="It never ends.",
    outcome="never",
    now=(
        f"Keep this dump for a report. {TWICE}",
        RESTART,
    ),
    for_good=(NEWER, UPSTREAM),
    signatures=(
        Signature(
            r"util/progress\.\(\*MultiWriter\)\.(writeRawProgress|WriteRawProgress|Add)",
            "waiting for the lock of progress messages (MultiWriter) in the solver",
            leaf=_LOCKED,
            root=r"solver\.\(\*(state|Solver|scheduler)\)\.(setEdge|mergeTo|dispatch)",
            fixed_in="v0.13.0",
            affects="snapshots between v0.13.0-beta1 and v0.13.0-beta2, as in Earthly and Dagger of that time",
            what="When the solver merges two equal steps, it hands the progress messages of one to the other "
            "(progress.MultiWriter), and the two can end up waiting for each other. As the scheduler itself waits, no "
            "build moves on. It came with moby/buildkit#4347, and #4559 fixed it before v0.13.0.",
        ),
        _EXEC_MESSAGES,
        Signature(
            r"cacheRefShare\)\.release",
            "releasing a shared cache mount (cacheRefShare)",
            leaf=_LOCKED,
            fixed_in="v0.6.4, v0.7.0",
            affects="v0.6.3 and earlier",
            what="Releasing a cache mount (RUN --mount=type=cache) that several steps share waits for a lock that the "
            "step itself holds (moby/buildkit#1322; fixed in v0.6.4 and v0.7.0).",
        ),
        Signature(
            r"buildkit/cache\.\(\*(cacheManager|immutableRef|mutableRef|cacheRecord)\)\.[rR]elease",
            "releasing a snapshot while looking up another one",
            leaf=_LOCKED,
            root=r"buildkit/cache\.\(\*cacheManager\)\.getRecord",
            affects="unknown",
            what="Looking up a snapshot releases another one, which waits for the lock that the lookup itself holds "
            "(moby/buildkit#1014).",
        ),
    ),
    refine=_refine,
    find=_find,
)
