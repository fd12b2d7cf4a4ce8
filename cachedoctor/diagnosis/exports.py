"""The cache exports in a goroutine dump, and what the others wait for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from cachedoctor.diagnosis.phases import Phase, phase_of, phase_of_stack, widest
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.pprof.top import Top


def _told(pattern: str) -> Callable[[str], bool]:
    """Whether a function matches; each is looked at once, however many stacks it is in."""
    search = re.compile(pattern).search
    return cache(lambda function: search(function) is not None)


_WAITER = _told(r"llbsolver\.runCacheExporters$")
_ROOT = _told(r"llbsolver\.runCacheExporters\.func|remotecache(/\w+)?\.\(\*\w*[eE]xporter\)\.Finalize$")
_HELPER = _told(r"remotecache[./].*\)\.Finalize\.func|buildkit/cache\.computeBlobChain")
# Where the runtime cut off the root of a stack, only an exporter is so deep in these.
_DEEP = _told(
    r"remotecache/v1\.(\(\*normalizeState\)|normalizeItem|marshal(Item|Remote)|\(\*item\)\.walkChildren"
    r"|\(\*CacheChains\)\.(Marshal|normalize))"
)
_IMPORT = _told(
    r"remotecache/v1\.(Parse|parse|\(\*cache(Key|Result)Storage\))|remotecache(/\w+)?\.\(\*\w*[iI]mporter\)"
)
_WORK = _told(r"buildkit/(solver|cache|source|exporter|snapshot|executor|worker|frontend|util/(push|pull|resolver))")
_SERVICE = _told(
    r"\(\*(scheduler|historyQueue|HistoryQueue|Sampler|TraceRecorder)[^)]*\)|NewHistoryQueue|\.Status$"
    r"|util/progress\.|runCacheExporters$"
)
_CLOSURE = re.compile(r"(\.(func|gowrap)\d+(\.\d+)*)+$")
HIDDEN = "running: its stack is not in this dump"
"""In place of a function that a dump does not tell."""
RUNNING = frozenset({"running", "runnable", "syscall"})
"""States that Go tells no time for."""


@dataclass(frozen=True, slots=True)
class Export:
    """One or several cache exports that do the same."""

    count: int
    phase: Phase
    function: str
    """The function of BuildKit nearest to the leaf."""
    state: str
    """The goroutine's state; empty where the dump does not tell."""
    minutes: int | None
    """For how long the export has been at it, as far as the dump tells; whole minutes, rounded down."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Goroutines of builds that wait for the same."""

    count: int
    phase: Phase
    function: str
    minutes: int | None
    """The longest of them; whole minutes, rounded down."""
    state: str
    """The state of one of them; empty where the dump does not tell."""


def exports(goroutines: Sequence[Goroutine]) -> list[Export]:
    """The cache exports that are under way, most of a kind first.

    An export is the goroutine that `runCacheExporters` starts for it, or, where the runtime cut off the root of a
    stack, one deep inside the exporter. What it has its helpers do counts as its own. Source: BuildKit v0.21 and v0.32,
    solver/llbsolver/solver.go.
    """
    family = _Family(goroutines)
    roots = [one for one in goroutines if _is_root(one) or family.is_hidden_export(one)]
    helpers = [one for one in goroutines if any(map(_HELPER, one.stack))] if not family.children else []
    grouped: Counter[tuple[Phase, str, str]] = Counter()
    minutes: dict[tuple[Phase, str, str], int] = {}
    for one in roots:
        phase, busy = _busiest(one, family.descendants(one) or helpers)
        key = (phase, _function(busy), busy.state)
        grouped[key] += one.count
        since = max(family.waited_for(one), one.minutes or 0)
        if since:
            minutes[key] = max(since, minutes.get(key, 0))
    return [Export(count, *key, minutes.get(key)) for key, count in grouped.most_common()]


def exports_of_table(top: Top) -> list[Export]:
    """The exports that a table of a goroutine profile tells of: those at work on cache keys."""
    rows = {phase: row for phase, row in widest(top).items() if _DEEP(row.function) and row.cum > 0}
    return [
        Export(row.cum, phase, _CLOSURE.sub("", row.function), "", None)
        for phase, row in sorted(rows.items(), key=lambda one: -one[1].cum)
    ]


def waits(goroutines: Sequence[Goroutine]) -> list[Wait]:
    """What the goroutines of builds wait for, most of a kind first, without the daemon's own services."""
    counts: Counter[tuple[Phase, str]] = Counter()
    minutes: dict[tuple[Phase, str], int] = {}
    states: dict[tuple[Phase, str], str] = {}
    for one in goroutines:
        if one.state in RUNNING or _is_root(one) or any(map(_SERVICE, one.stack)):
            continue
        if not any(map(_WORK, one.stack)):
            continue
        key = (_phase(one), _function(one))
        counts[key] += one.count
        states.setdefault(key, one.state)
        if one.minutes is not None:
            minutes[key] = max(one.minutes, minutes.get(key, 0))
    return [Wait(count, *key, minutes.get(key), states[key]) for key, count in counts.most_common()]


class _Family:
    """Which goroutine started which, as far as a dump tells."""

    def __init__(self, goroutines: Iterable[Goroutine]) -> None:
        self.by_id = {one.id: one for one in goroutines if one.id is not None}
        self.children: dict[int, list[Goroutine]] = {}
        for one in self.by_id.values():
            if one.creator is not None:
                self.children.setdefault(one.creator, []).append(one)

    def descendants(self, one: Goroutine) -> list[Goroutine]:
        """All that it started, and what these did."""
        found: list[Goroutine] = []
        seen = {one.id}
        todo = [one]
        while todo:
            parent = todo.pop()
            for child in self.children.get(parent.id, []) if parent.id is not None else []:
                if child.id not in seen:
                    seen.add(child.id)
                    found.append(child)
                    todo.append(child)
        return found

    def waited_for(self, one: Goroutine) -> int:
        """How long `runCacheExporters` has been waiting for an export: minutes, 0 where that is not known."""
        parent = self._waiter_for(one)
        return (parent.minutes or 0) if parent else 0

    def is_hidden_export(self, one: Goroutine) -> bool:
        """Whether it is an export of which the dump does not tell the stack."""
        return one.hidden and self._waiter_for(one) is not None

    def _waiter_for(self, one: Goroutine) -> Goroutine | None:
        parent = self.by_id.get(one.creator) if one.creator is not None else None
        return parent if parent and any(map(_WAITER, parent.stack)) else None


def _is_root(one: Goroutine) -> bool:
    if any(map(_ROOT, one.stack)):
        return True
    return any(map(_DEEP, one.stack)) and not any(map(_IMPORT, one.stack))


def _busiest(one: Goroutine, helpers: Sequence[Goroutine]) -> tuple[Phase, Goroutine]:
    """The phase of an export, and the goroutine that tells: its own, or that of its helpers if it waits for them."""
    own = _phase(one)
    if own is not Phase.OTHER or not helpers:
        return own, one
    told = [(_phase(helper), helper) for helper in helpers]
    known = [(phase, helper) for phase, helper in told if phase is not Phase.OTHER]
    if not known:
        return own, one
    running = [pair for pair in known if pair[1].state in RUNNING] or known
    commonest = Counter({phase: 0 for phase, _ in running})
    for phase, helper in running:
        commonest[phase] += helper.count
    best = commonest.most_common(1)[0][0]
    return best, next(helper for phase, helper in running if phase is best)


def _phase(one: Goroutine) -> Phase:
    """The phase of its stack; that it has to help collecting garbage is chance."""
    return phase_of_stack(name for name in one.stack if phase_of(name) is not Phase.GC)


def _function(one: Goroutine) -> str:
    """The function of BuildKit nearest to the leaf; of a closure the function that it is in."""
    if one.hidden:
        return HIDDEN
    name = next((name for name in one.stack if "buildkit/" in name), one.stack[0] if one.stack else "")
    return _CLOSURE.sub("", name)


def phases(found: Sequence[Export]) -> Mapping[Phase, float]:
    """The share of exports in each phase, largest first."""
    total = sum(one.count for one in found)
    counts: Counter[Phase] = Counter()
    for one in found:
        counts[one.phase] += one.count
    return {phase: count / total for phase, count in counts.most_common()}
