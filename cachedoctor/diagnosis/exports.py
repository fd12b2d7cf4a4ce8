"""The cache exports in a goroutine dump, and what other goroutines wait for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from cachedoctor.diagnosis.phases import Phase, phase_of, phase_of_stack, widest

if TYPE_CHECKING:
    from cachedoctor.pprof.goroutines import Goroutine
    from cachedoctor.pprof.top import Top


def _matcher(pattern: str) -> Callable[[str], bool]:
    """A test of a function's name; each name is searched once, however many stacks it is in."""
    return cache(lambda function: re.search(pattern, function) is not None)


_WAITER = _matcher(r"llbsolver\.runCacheExporters$")
_ROOT = _matcher(r"llbsolver\.runCacheExporters\.func|remotecache(/\w+)?\.\(\*\w*[eE]xporter\)\.Finalize$")
_HELPER = _matcher(r"remotecache[./].*\)\.Finalize\.func|buildkit/cache\.computeBlobChain")
# If Go cut off the root of a stack, only an exporter is so deep in these.
_DEEP = _matcher(
    r"remotecache/v1\.(\(\*normalizeState\)|normalizeItem|marshal(Item|Remote)|\(\*item\)\.walkChildren"
    r"|\(\*CacheChains\)\.(Marshal|normalize))"
)
_IMPORT = _matcher(
    r"remotecache/v1\.(Parse|parse|\(\*cache(Key|Result)Storage\))|remotecache(/\w+)?\.\(\*\w*[iI]mporter\)"
)
_WORK = _matcher(r"buildkit/(solver|cache|source|exporter|snapshot|executor|worker|frontend|util/(push|pull|resolver))")
_SERVICE = _matcher(
    r"\(\*(scheduler|historyQueue|HistoryQueue|Sampler|TraceRecorder)[^)]*\)|NewHistoryQueue|\.Status$"
    r"|util/progress\.|runCacheExporters$"
)
_CLOSURE = r"(\.(func|gowrap)\d+(\.\d+)*)+$"
HIDDEN = "running: its stack is not in this dump"
"""Takes the place of a function if a dump does not show it."""
RUNNING = frozenset({"running", "runnable", "syscall"})
"""States for which Go gives no time."""


@dataclass(frozen=True, slots=True)
class Export:
    """One cache export, or several that do the same."""

    count: int
    phase: Phase
    function: str
    """The function of BuildKit nearest to the leaf."""
    state: str
    """The goroutine's state; empty if the dump does not say."""
    minutes: int | None
    """How long the export has been running, in whole minutes, rounded down; `None` if the dump does not say."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Goroutines of builds that wait for the same thing."""

    count: int
    phase: Phase
    function: str
    minutes: int | None
    """The longest wait, in whole minutes, rounded down."""
    state: str
    """The state of one of them; empty if the dump does not say."""


def exports(goroutines: Sequence[Goroutine]) -> list[Export]:
    """The cache exports that are running, the most common kind first.

    An export is the goroutine that `runCacheExporters` starts for it, or, if Go cut off the root of its stack, one deep
    inside the exporter. What its helpers do counts as its own work. Source: BuildKit v0.21 and v0.32,
    solver/llbsolver/solver.go.
    """
    family = _Family(goroutines)
    roots = [goroutine for goroutine in goroutines if _is_root(goroutine) or family.is_hidden_export(goroutine)]
    helpers = [] if family.children else [goroutine for goroutine in goroutines if any(map(_HELPER, goroutine.stack))]
    counts: Counter[tuple[Phase, str, str]] = Counter()
    minutes: dict[tuple[Phase, str, str], int] = {}
    for root in roots:
        phase, busy = _busiest(root, family.descendants(root) or helpers)
        key = (phase, _function(busy), busy.state)
        counts[key] += root.count
        since = max(family.waited_for(root), root.minutes or 0)
        if since:
            minutes[key] = max(since, minutes.get(key, 0))
    return [Export(count, *key, minutes.get(key)) for key, count in counts.most_common()]


def exports_of_table(top: Top) -> list[Export]:
    """The exports in a table of a goroutine profile: those at work on cache keys."""
    rows = {phase: row for phase, row in widest(top).items() if _DEEP(row.function) and row.cum > 0}
    return [
        Export(row.cum, phase, re.sub(_CLOSURE, "", row.function), "", None)
        for phase, row in sorted(rows.items(), key=lambda item: -item[1].cum)
    ]


def waits(goroutines: Sequence[Goroutine]) -> list[Wait]:
    """What the goroutines of builds wait for, the most common first, without the daemon's own services."""
    counts: Counter[tuple[Phase, str]] = Counter()
    minutes: dict[tuple[Phase, str], int] = {}
    states: dict[tuple[Phase, str], str] = {}
    for goroutine in goroutines:
        if goroutine.state in RUNNING or _is_root(goroutine) or any(map(_SERVICE, goroutine.stack)):
            continue
        if not any(map(_WORK, goroutine.stack)):
            continue
        key = (_phase(goroutine), _function(goroutine))
        counts[key] += goroutine.count
        states.setdefault(key, goroutine.state)
        if goroutine.minutes is not None:
            minutes[key] = max(goroutine.minutes, minutes.get(key, 0))
    return [Wait(count, *key, minutes.get(key), states[key]) for key, count in counts.most_common()]


class _Family:
    """Which goroutine started which, as far as a dump shows it."""

    def __init__(self, goroutines: Iterable[Goroutine]) -> None:
        self.by_id = {goroutine.id: goroutine for goroutine in goroutines if goroutine.id is not None}
        self.children: dict[int, list[Goroutine]] = {}
        for goroutine in self.by_id.values():
            if goroutine.creator is not None:
                self.children.setdefault(goroutine.creator, []).append(goroutine)

    def descendants(self, root: Goroutine) -> list[Goroutine]:
        """All goroutines that it started, that these started, and so on."""
        descendants: list[Goroutine] = []
        seen = {root.id}
        stack = [root]
        while stack:
            parent = stack.pop()
            for child in self.children.get(parent.id, []) if parent.id is not None else []:
                if child.id not in seen:
                    seen.add(child.id)
                    descendants.append(child)
                    stack.append(child)
        return descendants

    def waited_for(self, export: Goroutine) -> int:
        """How long `runCacheExporters` has been waiting for an export, in minutes; 0 if unknown."""
        parent = self._waiter_for(export)
        return (parent.minutes or 0) if parent else 0

    def is_hidden_export(self, goroutine: Goroutine) -> bool:
        """Whether it is an export whose stack the dump does not show."""
        return goroutine.hidden and self._waiter_for(goroutine) is not None

    def _waiter_for(self, export: Goroutine) -> Goroutine | None:
        parent = self.by_id.get(export.creator) if export.creator is not None else None
        return parent if parent and any(map(_WAITER, parent.stack)) else None


def _is_root(goroutine: Goroutine) -> bool:
    if any(map(_ROOT, goroutine.stack)):
        return True
    return any(map(_DEEP, goroutine.stack)) and not any(map(_IMPORT, goroutine.stack))


def _busiest(export: Goroutine, helpers: Sequence[Goroutine]) -> tuple[Phase, Goroutine]:
    """The phase of an export, and the goroutine that shows it: its own, or a helper's if it only waits for helpers."""
    phase = _phase(export)
    if phase is not Phase.OTHER or not helpers:
        return phase, export
    phases = [(_phase(helper), helper) for helper in helpers]
    known = [(phase, helper) for phase, helper in phases if phase is not Phase.OTHER]
    if not known:
        return phase, export
    running = [pair for pair in known if pair[1].state in RUNNING] or known
    counts = Counter({phase: 0 for phase, _ in running})
    for phase, helper in running:
        counts[phase] += helper.count
    commonest = counts.most_common(1)[0][0]
    return commonest, next(helper for phase, helper in running if phase is commonest)


def _phase(goroutine: Goroutine) -> Phase:
    """The phase of its stack; that it has to help with garbage collection is chance."""
    return phase_of_stack(name for name in goroutine.stack if phase_of(name) is not Phase.GC)


def _function(goroutine: Goroutine) -> str:
    """The function of BuildKit nearest to the leaf; for a closure the function that it is in."""
    if goroutine.hidden:
        return HIDDEN
    stack = goroutine.stack
    name = next((name for name in stack if "buildkit/" in name), stack[0] if stack else "")
    return re.sub(_CLOSURE, "", name)


def phases(exports: Sequence[Export]) -> Mapping[Phase, float]:
    """The share of exports in each phase, largest first."""
    total = sum(export.count for export in exports)
    counts: Counter[Phase] = Counter()
    for export in exports:
        counts[export.phase] += export.count
    return {phase: count / total for phase, count in counts.most_common()}
