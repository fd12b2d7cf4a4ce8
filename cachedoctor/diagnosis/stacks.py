"""What the stack of a goroutine shows: BuildKit's function in it, the lock it waits for, and the locks it may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.text import printable

HIDDEN = "running: its stack is not in this dump"
"""Takes the place of a function if a dump does not show it."""
RUNNING = frozenset({"running", "runnable", "syscall"})
"""States for which Go gives no time."""
MOST_LINES = 4
"""Lines of evidence for one cause."""
_CLOSURE = re.compile(r"(\.(func|gowrap)\d+(\.\d+)*)+$")
_LOCK = re.compile(
    r"^(internal/)?sync\.(\(\*(RW)?Mutex\)\.(Lock|RLock|lockSlow)|runtime_Semacquire(RW)?Mutex(R|RLock)?$)"
)
_SYNC = re.compile(r"^(internal/)?sync\.|^runtime\.")
_RECEIVER = re.compile(r"^(.*\.\(\*\w+(?:\[\.\.\.\])?\))\.[^/]*$")
_DAEMON = re.compile(
    r"buildkit/(control\.\(\*Controller|solver\.|solver/llbsolver|cache\.|cache/(remotecache|metadata|contenthash)|worker"
    r"|executor|source/|snapshot|util/(resolver|push)|frontend/gateway\.)|docker/docker/(daemon|builder|api/server)"
)
_CLIENT = re.compile(
    r"docker/buildx/(build|commands|bake|driver|util|cmd)|buildkit/cmd/buildctl|buildkit/client\.\(\*Client\)"
    r"|docker/compose/|docker/cli/|buildkit/util/progress/progressui"
)
_BUILDKIT = re.compile(
    r"moby/buildkit/|/buildkit/(?:solver|cache|util|worker|executor|session|frontend|source|control)"
)


@cache
def without_closure(name: str) -> str:
    """A function without the closures in it: the function that they are in."""
    return _CLOSURE.sub("", name)


def buildkit_function(stack: Sequence[str]) -> str:
    """The function of BuildKit nearest to the leaf, empty if there is none; for a closure the function it is in."""
    return without_closure(next(filter(is_buildkit, stack), ""))


@cache
def is_buildkit(name: str) -> bool:
    """Whether a function is BuildKit's own."""
    return _BUILDKIT.search(name) is not None


def function_of(goroutine: Goroutine) -> str:
    """The function of BuildKit nearest to the leaf; without one, the nearest that is not of the runtime."""
    if goroutine.hidden:
        return HIDDEN
    stack = goroutine.stack
    own = next((name for name in stack if not _is_sync(name)), stack[0] if stack else "")
    return buildkit_function(stack) or without_closure(own)


def is_waiting(goroutine: Goroutine) -> bool:
    """Whether it is known to wait."""
    return bool(goroutine.state) and goroutine.state not in RUNNING


def longest(goroutines: Iterable[Goroutine]) -> int | None:
    """The longest wait in minutes, `None` if unknown or shorter."""
    return max((goroutine.minutes for goroutine in goroutines if goroutine.minutes is not None), default=None)


def line(goroutine: Goroutine, function: str = "") -> str:
    """A goroutine in a line, as a dump begins it, with the function that matters; control characters are replaced."""
    function = function or function_of(goroutine)
    if goroutine.id is None:
        return printable(f"{goroutine.count} @ {function}")
    minutes = f", {goroutine.minutes} minutes" if goroutine.minutes else ""
    return printable(f"goroutine {goroutine.id} [{goroutine.state}{minutes}]: {function}")


def lines(goroutines: Sequence[Goroutine]) -> tuple[str, ...]:
    """The first few of some goroutines, those that have waited longest first."""
    ordered = sorted(goroutines, key=lambda goroutine: -(goroutine.minutes or 0))
    return tuple(map(line, ordered[:MOST_LINES]))


def number_of(goroutines: Iterable[Goroutine]) -> int:
    """How many goroutines there are, those with equal stacks counted each."""
    return sum(goroutine.count for goroutine in goroutines)


@cache
def _is_sync(name: str) -> bool:
    return _SYNC.match(name) is not None


@cache
def _is_lock(name: str) -> bool:
    return _LOCK.match(name) is not None


@cache
def receiver(function: str) -> str:
    """The type of a method, such as `cache.(*cacheManager)` with its package; empty for other functions."""
    match = _RECEIVER.match(function)
    return match.group(1) if match else ""


class Wanted(NamedTuple):
    """A lock that a goroutine waits for."""

    at: int
    """The place in the stack of the function that locks."""
    function: str


def wanted_lock(goroutine: Goroutine) -> Wanted | None:
    """The lock it waits for, `None` if it does not wait for any.

    Its state says so even if the frames of the runtime are cut off.
    """
    stack = goroutine.stack
    locks = goroutine.state.startswith(("sync.Mutex", "sync.RWMutex"))
    for at, name in enumerate(stack):
        if not _is_sync(name):
            return Wanted(at, without_closure(name)) if locks else None
        locks = locks or _is_lock(name)
    return None


def may_hold(goroutine: Goroutine) -> Iterator[str]:
    """The types of BuildKit whose methods are in its stack, except for the method that waits for a lock itself."""
    wanted = wanted_lock(goroutine)
    for at, name in enumerate(goroutine.stack):
        if is_buildkit(name) and not (wanted and at <= wanted.at):
            owner = receiver(without_closure(name))
            if owner:
                yield owner


def is_daemons(stack: Iterable[str]) -> bool:
    """Whether only a daemon has such a stack."""
    return any(map(_is_daemons, stack))


def is_clients(stack: Iterable[str]) -> bool:
    """Whether only a client, such as `docker buildx` or `buildctl`, has such a stack."""
    return any(map(_is_clients, stack))


@cache
def _is_daemons(name: str) -> bool:
    return _DAEMON.search(name) is not None


@cache
def _is_clients(name: str) -> bool:
    return _CLIENT.search(name) is not None
