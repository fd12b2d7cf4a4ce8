"""Goroutines wait for a lock that another goroutine holds.

**How it is found.** `sync.(*Mutex)`, `sync.(*RWMutex)` or BuildKit's locks by name at the leaf. Who holds it is the
goroutine that has a method of the same type in its stack without waiting for it; one that runs comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cachedoctor.buildkit import EVERY
from cachedoctor.diagnosis.causes._advice import RESTART, TWICE, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, Signature
from cachedoctor.diagnosis.phases import Phase
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
from cachedoctor.pprof.names import without_folders
from cachedoctor.text import printable


def _find(seen: Seen) -> Iterator[Match]:
    """The lock that most goroutines of builds wait for, and who holds it."""
    waiting: dict[str, list[Goroutine]] = {}
    for goroutine in seen.goroutines:
        wanted = wanted_lock(goroutine)
        if wanted and any(map(is_buildkit, goroutine.stack)):
            waiting.setdefault(function_of(goroutine), []).append(goroutine)
    if not waiting:
        return
    counts = Counter({function: number_of(group) for function, group in waiting.items()})
    function = counts.most_common(1)[0][0]
    group = waiting[function]
    minutes = longest(group)
    since = f", for up to {elapsed(minutes * 60)}" if minutes else ""
    verb = "waits" if counts[function] == 1 else "wait"
    number = plural(counts[function], "goroutine")
    owner = receiver(function)
    holder = holder_of(seen.goroutines, owner, group)
    text = f"{number} of builds {verb} for a lock in {printable(function)}{since}."
    if holder:
        inside = method_of(holder, owner)
        who = f"goroutine {holder.id}" if holder.id is not None else "one"
        state = f" ({holder.state})" if holder.state else ""
        text += f" It is probably held by {who}, which is in {printable(inside)}{printable(state)}."
    evidence = (*lines(group), *([line(holder, method_of(holder, owner))] if holder else []))
    title = (
        f"Builds wait for a lock, which {without_folders(method_of(holder, owner))} probably holds" if holder else ""
    )
    yield Match(question=Question.WAIT, observation=text, evidence=evidence, title=printable(title))


def holder_of(goroutines: Sequence[Goroutine], owner: str, waiting: Sequence[Goroutine]) -> Goroutine | None:
    """The goroutine that probably holds the lock of a type, one that runs if there is such; `None` if none shows it."""
    if not owner:
        return None
    wait = set(map(id, waiting))
    inside = [item for item in goroutines if id(item) not in wait and owner in may_hold(item)]
    return min(inside, key=lambda item: (item.state not in RUNNING, wanted_lock(item) is not None), default=None)


def method_of(goroutine: Goroutine, owner: str) -> str:
    """The method of a type that a goroutine called first."""
    names = [without_closure(name) for name in goroutine.stack]
    return next((name for name in reversed(names) if receiver(name) == owner), "")


CAUSE = Cause(
    name="lock",
    title="Waiting for a lock",
    phase=Phase.LOCKS,
    affects=str(EVERY),
    what="Goroutines wait for a lock that another goroutine holds.",
    ends="It ends when the lock is released; if its holder is stuck too, never.",
    outcome="unknown",
    now=(
        TWICE,
        f"If nothing changes between the two: {RESTART[0].lower()}{RESTART[1:]}",
    ),
    for_good=(UPSTREAM,),
    signatures=(
        Signature(
            r"llbsolver/(mounts|ops)\.\(\*cacheRefGetter\)\.getRefCacheDir",
            "waiting for a cache mount that another step uses",
            title="A step waits for a cache mount that another step uses",
            what="A cache mount with sharing=locked (RUN --mount=type=cache) belongs to one step at a time, in all "
            "builds of the daemon. The others wait until that step is done.",
            ends="It ends when the step that uses the mount ends.",
            now=(
                "Look for the step that uses the mount, which may hang itself: a build with the same id= or target= "
                "of a cache mount.",
                TWICE,
            ),
            for_good=("Use sharing=shared or sharing=private for that mount if the tool allows it, or another id=.",),
        ),
    ),
    find=_find,
    leaf=True,
)
