"""The cache exports in a goroutine dump, and what other goroutines wait for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.diagnosis.causes.registry import OTHER, Doing, cause_of_phase, doing
from cachedoctor.diagnosis.phases import Phase, widest
from cachedoctor.diagnosis.stacks import RUNNING, function_of, is_waiting, line, without_closure

if TYPE_CHECKING:
    from cachedoctor.pprof.goroutines import Goroutine
    from cachedoctor.pprof.top import Top


def _matcher(pattern: str) -> Callable[[str], bool]:
    """A test of a function's name; each name is searched once, however many stacks it is in."""
    return cache(lambda function: re.search(pattern, function) is not None)


_WAITER = _matcher(r"llbsolver\.runCacheExporters$")
_ROOT = _matcher(r"llbsolver\.runCacheExporters\.func|remotecache(/\w+)?\.\(\*\w*[eE]xporter\)\.Finalize$")
# Exports without `--cache-to`: inline caches, provenance, the history of builds.
_WALK = _matcher(
    r"solver\.\(\*(merged)?[eE]xporter\)\.ExportTo$|llbsolver\.(\(\*ProvenanceCreator\)\.|NewProvenanceCreator)"
    r"|remotecache/inline\.\(\*exporter\)|solver\.addBacklinks$"
)
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
# The daemon's own servers: every client and every frontend keeps a stream open that waits most of the time.
_STREAM = _matcher(
    r"frontend/gateway\.(serve|\(\*pipe)|http2\.\(\*(serverConn|Server)\)\.|session\.(\(\*Manager\)|monitorHealth|grpc)"
    r"|control\.\(\*Controller\)\.(Session|Status|ListenBuildHistory)|grpcclient\."
)


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
    cause: str = OTHER
    """The cause that it shows."""
    lines: tuple[str, ...] = ()
    """The goroutine in a line, as a dump begins it."""
    claimed: bool = False
    """Whether a function decides on the cause, not the phase."""


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
    cause: str = OTHER
    """The cause that it shows."""
    lines: tuple[str, ...] = ()
    """One of them in a line."""


def exports(goroutines: Sequence[Goroutine]) -> list[Export]:
    """The cache exports that are running, the most common kind first.

    An export is the goroutine that `runCacheExporters` starts for it, or, if Go cut off the root of its stack, one deep
    inside the exporter. One that walks cache keys for an inline cache or for provenance is an export, too, unless it
    is part of another. What its helpers do counts as its own work. Source: BuildKit v0.21 and v0.32,
    solver/llbsolver/solver.go.
    """
    family = _Family(goroutines)
    roots = roots_of(goroutines, family)
    helpers = [] if family.children else [goroutine for goroutine in goroutines if any(map(_HELPER, goroutine.stack))]
    counts: Counter[_Key] = Counter()
    minutes: dict[_Key, int] = {}
    shown: dict[_Key, tuple[str, ...]] = {}
    claimed: set[_Key] = set()
    for root in roots:
        busy, shows = _busiest(root, family.descendants(root) or helpers)
        key = _Key(busy.phase, function_of(shows), shows.state, busy.name)
        counts[key] += root.count
        if busy.claim:
            claimed.add(key)
        shown.setdefault(key, (line(shows),))
        since = max(family.waited_for(root), root.minutes or 0)
        if since:
            minutes[key] = max(since, minutes.get(key, 0))
    return [
        Export(count, key.phase, key.function, key.state, minutes.get(key), key.cause, shown[key], key in claimed)
        for key, count in counts.most_common()
    ]


class _Key(NamedTuple):
    """What exports or waits have in common that are counted together."""

    phase: Phase
    function: str
    state: str
    cause: str


def roots_of(goroutines: Sequence[Goroutine], family: _Family | None = None) -> list[Goroutine]:
    """The goroutines that are exports."""
    family = family or _Family(goroutines)
    roots = [goroutine for goroutine in goroutines if _is_root(goroutine) or family.is_hidden_export(goroutine)]
    walks = [goroutine for goroutine in goroutines if any(map(_WALK, goroutine.stack)) and not _is_root(goroutine)]
    if roots and not family.children:
        walks = [walk for walk in walks if doing(walk.stack, waiting=is_waiting(walk)).name == "provenance"]
    parts = family.below((*roots, *walks))
    return roots + [walk for walk in walks if walk.id is None or walk.id not in parts]


def exports_of_table(top: Top) -> list[Export]:
    """The exports in a table of a goroutine profile: those at work on cache keys."""
    rows = {phase: row for phase, row in widest(top).items() if _DEEP(row.function) and row.cum > 0}
    return [
        Export(row.cum, phase, without_closure(row.function), "", None, Doing(cause_of_phase(phase), phase).name)
        for phase, row in sorted(rows.items(), key=lambda item: -item[1].cum)
    ]


def waits(goroutines: Sequence[Goroutine]) -> list[Wait]:
    """What the goroutines of builds wait for, the most common first, without the daemon's own services and streams."""
    exporting = set(map(id, roots_of(goroutines)))
    counts: Counter[_Key] = Counter()
    minutes: dict[_Key, int] = {}
    first: dict[_Key, Goroutine] = {}
    for goroutine in goroutines:
        busy = doing(goroutine.stack, waiting=is_waiting(goroutine))
        if goroutine.state in RUNNING or id(goroutine) in exporting or not _is_builds(goroutine, busy):
            continue
        key = _Key(busy.phase, function_of(goroutine), "", busy.name)
        counts[key] += goroutine.count
        first.setdefault(key, goroutine)
        if goroutine.minutes is not None:
            minutes[key] = max(goroutine.minutes, minutes.get(key, 0))
    return [
        Wait(count, key.phase, key.function, minutes.get(key), first[key].state, key.cause, (line(first[key]),))
        for key, count in counts.most_common()
    ]


def _is_builds(goroutine: Goroutine, busy: Doing) -> bool:
    """Whether a goroutine belongs to a build, as opposed to a service or stream of the daemon.

    A lock counts wherever it is waited for: a service that waits for one is stuck, too.
    """
    if not any(map(_WORK, (*goroutine.stack, goroutine.created_by))) and busy.claim is None:
        return False
    if any(map(_STREAM, goroutine.stack)):
        return busy.claim is not None
    return busy.claim is not None or busy.phase is Phase.LOCKS or not any(map(_SERVICE, goroutine.stack))


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

    def below(self, parents: Iterable[Goroutine]) -> set[int]:
        """The ids of all goroutines that any of these started, directly or not."""
        below: set[int] = set()
        stack = [parent.id for parent in parents if parent.id is not None]
        while stack:
            for child in self.children.get(stack.pop(), []):
                if child.id is not None and child.id not in below:
                    below.add(child.id)
                    stack.append(child.id)
        return below

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


def _busiest(export: Goroutine, helpers: Sequence[Goroutine]) -> tuple[Doing, Goroutine]:
    """What an export does, and the goroutine that shows it: its own, or a helper's if it only waits for helpers."""
    busy = _doing(export)
    if busy.cause or busy.phase is not Phase.OTHER or not helpers:
        return busy, export
    all_of_them = [(_doing(helper), helper) for helper in helpers]
    known = [(busy, helper) for busy, helper in all_of_them if busy.cause or busy.phase is not Phase.OTHER]
    if not known:
        return busy, export
    running = [pair for pair in known if pair[1].state in RUNNING] or known
    counts: Counter[tuple[str, Phase]] = Counter()
    for busy, helper in running:
        counts[busy.name, busy.phase] += helper.count
    commonest = counts.most_common(1)[0][0]
    return next(pair for pair in running if (pair[0].name, pair[0].phase) == commonest)


def _doing(goroutine: Goroutine) -> Doing:
    return doing(goroutine.stack, waiting=is_waiting(goroutine))


def phases(exports: Sequence[Export]) -> Mapping[Phase, float]:
    """The share of exports in each phase, largest first."""
    total = sum(export.count for export in exports)
    counts: Counter[Phase] = Counter()
    for export in exports:
        counts[export.phase] += export.count
    return {phase: count / total for phase, count in counts.most_common()}
