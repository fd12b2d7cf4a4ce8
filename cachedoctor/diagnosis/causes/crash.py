"""The daemon is dead: what was read is the trace that it left.

**How it is found.** Lines such as `fatal error:`, `panic:`, `goroutine stack exceeds`, `SIGSEGV` or that the kernel
killed buildkitd, with a goroutine of the daemon below. The first goroutine is the one that crashed, and its first
function of BuildKit says where. A test that ran out of time (`panic: test timed out`), and what a program in a RUN
step prints, are no crash of the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cachedoctor.buildkit import EVERY, LOOP_CHECK, REWRITTEN
from cachedoctor.diagnosis.causes._advice import NEWER, START_OVER, UPSTREAM
from cachedoctor.diagnosis.causes.cause import Cause, Match, Question, matches
from cachedoctor.diagnosis.crash_marks import is_of_go, names_daemon
from cachedoctor.diagnosis.seen import Seen
from cachedoctor.diagnosis.stacks import buildkit_function, is_buildkit, is_clients, is_daemons, line, without_closure
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.pprof.names import without_folders
from cachedoctor.text import printable

_THROWN = r"^runtime\.(throw|fatal|fatalthrow|fatalpanic|dopanic_m)$"


class _Known(NamedTuple):
    """A crash that is known."""

    mark: str
    """A regular expression for the lines that it prints."""
    function: str
    """One for a function of the goroutine that crashed."""
    what: str
    affects: str = str(EVERY)
    fixed_in: str = ""
    now: tuple[str, ...] = ()
    for_good: tuple[str, ...] = ()


_ALONE = "To get builds through, export one cache at a time: leave out --cache-to, or all of several but one."
_WITHOUT = (
    "To get builds through, leave out --cache-from, or use a new builder: the loop is in the records that it has. "
    "Leave out --cache-to as well if it crashes again."
)
_LOOP = (NEWER, f"Find the loop with cachedoctor analyze CACHE, and repair the cache. {START_OVER}", UPSTREAM)
_PARALLEL = r"remotecache/v1\.|solver\.(addBacklinks|\(\*(merged)?[eE]xporter\))"
_KNOWN = (
    _Known(
        r"stack (overflow|exceeds)",
        r"solver\.addBacklinks",
        "The daemon's own records link in a cycle, and following the links back never came to an end: the stack "
        "overflowed. v0.7.0 fixed that (moby/buildkit#1382).",
        affects="v0.6 and earlier",
        fixed_in="v0.7.0",
        now=(_WITHOUT,),
        for_good=(
            NEWER,
            "Prune the builder, which removes the records: docker buildx prune --all (docker builder prune).",
        ),
    ),
    _Known(
        r"stack (overflow|exceeds)",
        r"remotecache/v1\.(marshalItem|normalizeItem|parseRecord|\(\*)",
        "Cache records that link in a cycle, or a chain of very many of them, made the exporter or importer call "
        f"itself until the stack overflowed (moby/buildkit#1609, #2002). BuildKit  {REWRITTEN} makes no such loops.",
        affects=str(LOOP_CHECK._replace(since=None)),
        now=(_WITHOUT,),
        for_good=_LOOP,
    ),
    _Known(
        r"concurrent map",
        _PARALLEL,
        "Two exports of one build changed the same records at once: several --cache-to, an inline cache together with "
        f"several outputs, or several platforms. v0.12.4 and v0.13.0 fixed that; {REWRITTEN} have another exporter.",
        affects="v0.12.3 and earlier",
        fixed_in="v0.12.4, v0.13.0",
        now=(_ALONE,),
        for_good=(NEWER,),
    ),
    _Known(
        r"concurrent map",
        r"gateway.*forwarder|/forwarder\.",
        "Two requests of a frontend mounted snapshots at once. v0.27.0 fixed that (moby/buildkit#6481).",
        affects="v0.26 and earlier",
        fixed_in="v0.27.0",
        for_good=(NEWER,),
    ),
    _Known(
        r"index out of range",
        r"remotecache/v1\.sortConfig",
        "Sorting the records of the cache config failed: an internal fault of BuildKit.",
        now=(_ALONE,),
    ),
    _Known(
        r"failed to get edge|inconsistent graph",
        "",
        "The solver lost a step of its graph: an internal fault of BuildKit.",
        now=("To get builds through, build again; if it fails again, leave out --cache-from or use a new builder.",),
    ),
    _Known(
        r"(?i)out of memory|oom|signal: killed|cannot allocate",
        "",
        "The memory of the daemon, its container or the machine ran out. What held it is in a heap profile, taken "
        "before that: cachedoctor profile http://HOST:PORT/debug/pprof/heap",
        now=(
            "To get builds through, run fewer builds at a time, leave out --cache-to, or give the daemon more memory.",
        ),
        for_good=(
            "Use one compression for all layers: an export combines those that exist in several, which takes memory "
            "without bound.",
            NEWER,
        ),
    ),
)


def _find(seen: Seen) -> Iterator[Match]:
    crashed = _crashed(seen)
    marks = tuple(seen.marks)
    if not marks and not (crashed and crashed.stack and matches(_THROWN, crashed.stack[0])):
        return
    certain = any(map(names_daemon, marks)) or (not seen.goroutines and any(map(is_of_go, marks)))
    if not certain and not _is_daemon(seen):
        return
    stack = crashed.stack if crashed else ()
    known = next((known for known in _KNOWN if _is(known, marks, stack)), None)
    function = _where(known, stack)
    part = f" in {printable(without_folders(function))}" if function else ""
    said = f": {printable(marks[0])}" if marks else ""
    match = Match(
        question=Question.DEAD,
        observation=f"The daemon crashed{part}{said}.",
        evidence=(*map(printable, marks[:3]), *([printable(line(crashed, function))] if crashed else [])),
        title=f"The daemon is dead: it crashed{part}",
    )
    if known:
        match = replace(
            match,
            what=known.what,
            affects=known.affects,
            fixed_in=known.fixed_in,
            now=(*known.now, *_START),
            for_good=known.for_good,
        )
    yield match


def _where(known: _Known | None, stack: tuple[str, ...]) -> str:
    """The function of BuildKit that crashed: that of a known crash, otherwise the one nearest to the leaf."""
    own = (name for name in stack if known and known.function and matches(known.function, name))
    return without_closure(next(own, "")) or buildkit_function(stack)


def _crashed(seen: Seen) -> Goroutine | None:
    """The goroutine that crashed, which comes first; goroutine 0 is the scheduler's own."""
    real = [item for item in seen.goroutines if item.stack and item.id != 0]
    thrown = (item for item in real if matches(_THROWN, item.stack[0]))
    running = (item for item in real if item.state.startswith("running"))
    return next(thrown, None) or next(running, None) or (real[0] if real else None)


def _is_daemon(seen: Seen) -> bool:
    """Whether it is the daemon that crashed, not a client, a test or a program that a step ran."""
    stacks = [item.stack for item in seen.goroutines]
    if any(map(is_clients, stacks)) and not any(map(is_daemons, stacks)):
        return False
    return any(is_daemons(stack) or any(map(is_buildkit, stack)) for stack in stacks)


def _is(known: _Known, marks: tuple[str, ...], stack: tuple[str, ...]) -> bool:
    printed = "\n".join(marks)
    thrown = any(matches(r"^runtime\.(newstack|morestack)", name) for name in stack)
    marked = matches(known.mark, printed) or (thrown and "stack" in known.mark)
    return marked and (not known.function or any(matches(known.function, name) for name in stack))


_START = ("Start the daemon again if nothing does that by itself; the builds that ran on it are lost.",)
CAUSE = Cause(
    name="crash",
    title="The daemon is dead: it crashed",
    question=Question.DEAD,
    affects=str(EVERY),
    what="This crash is not a known one. All builds on the daemon ended with it.",
    ends="It has ended: the daemon is dead.",
    outcome="dead",
    now=("To get builds through, leave out --cache-to, then --cache-from.", *_START),
    for_good=(NEWER, UPSTREAM),
    find=_find,
)
