"""From phases, exports and waits to causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cachedoctor.buildkit import LOOP_CHECK
from cachedoctor.diagnosis.causes import CAUSE_OF, HOW_TO_PROFILE, KNOWLEDGE, Cause
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.exports import HIDDEN, Export, Wait
from cachedoctor.diagnosis.phases import WORDS, Phase
from cachedoctor.numbers import elapsed, percent, plural
from cachedoctor.text import printable

MAIN_SHARE = 0.3
"""The share of the time from which a phase is a cause."""
GRAPH_SHARE = 0.05
"""The share from which work on the graph of cache keys is a cause."""
BUSY_CORES = 0.5
"""Cores from which such work comes first, whatever else the daemon does at the time."""
WORKING_CORES = 0.25
"""Cores below which any other work is not a cause, whatever its share."""
IDLE_CORES = 0.05
"""Cores below which a daemon is idle."""
WHOLE_TABLE = 0.8
"""The share of the total that the rows of a table have to account for, so that nothing large is missing."""
TIMED = frozenset({"cpu"})
"""Kinds of profile that show where the time goes."""
_UNTIMED = {
    "heap": (
        "A heap profile shows what holds memory, not where the time goes, so it cannot show a cause.",
        "The functions with the largest flat values hold the memory; use --sample-type alloc_space to see what was "
        "allocated since the start.",
    ),
    "contention": (
        "A mutex or block profile shows what has waited since the daemon started, not what an export is doing now.",
        "Apart from the functions of the runtime, those with the largest cum values waited longest.",
    ),
}
"""What other kinds show, and how to read them."""


class Finding(NamedTuple):
    """One cause."""

    cause: Cause
    share: float | None
    """Its share of the CPU time, or of the exports in a goroutine dump; `None` if there is neither."""
    explanation: str
    now: Sequence[str]
    """What to do right away."""
    for_good: Sequence[str]
    """What to do so that it does not come back."""
    affects: str
    ends: str

    @property
    def help(self) -> Sequence[str]:
        """All steps, starting with what to do right away."""
        return (*self.now, *self.for_good)


def findings(
    first: Evidence,
    shares: Mapping[Phase, float],
    cores: float | None,
    exports: Sequence[Export],
    waits: Sequence[Wait],
) -> list[Finding]:
    """The causes, the main one first: what exports are doing, then where the time goes, then what others wait for.

    `first` is what `shares` and `cores` are from. Never empty.
    """
    idle = cores is not None and cores < IDLE_CORES
    of_time = _of_time(shares, cores) if first.kind in TIMED and not idle else []
    by_cause = {finding.cause: finding for finding in of_time}
    results = [by_cause.pop(finding.cause, finding) for finding in _of_exports(exports)]
    results += [finding for finding in of_time if finding.cause in by_cause]
    results = results or _of_waits(waits)
    known = [finding for finding in results if finding.cause is not Cause.OTHER]
    if exports:
        known.sort(key=lambda finding: not KNOWLEDGE[finding.cause].holds_others)
    return known or results or [_no_cause(first, shares, idle)]


def _no_cause(first: Evidence, shares: Mapping[Phase, float], idle: bool) -> Finding:
    """What to say if there is no cause."""
    if first.kind in _UNTIMED:
        explanation, advice = _UNTIMED[first.kind]
        return _other(explanation)._replace(now=(advice, *HOW_TO_PROFILE))
    if first.kind == "goroutine":
        if first.table:
            return _other("This table does not show what each goroutine is doing: pass the dump itself.")
        if not first.whole:
            return _other("Part of this dump could not be read: it does not show whether a cache export is under way.")
        return _other("No cache export is under way in this dump.")
    if first.kind not in TIMED:
        return _other("This kind of profile does not show where the time goes.")
    if idle:
        return _other("The daemon is nearly idle: it is waiting.")
    if first.table and sum(row.flat for row in first.table.top.rows) < WHOLE_TABLE * first.total:
        return _other("This table is too short to show a cause: use go tool pprof -top -cum -nodecount=50.")
    phase, share = next(iter(shares.items()), (Phase.OTHER, 0.0))
    if phase is not Phase.OTHER and share >= MAIN_SHARE:
        return _other(
            f"{percent(share)} of the CPU time goes to: {WORDS[phase]}. This is not a known cause of a stuck export."
        )
    return _other("")


def _of_time(shares: Mapping[Phase, float], cores: float | None) -> list[Finding]:
    """The causes that a CPU profile shows.

    Work on cache keys takes one core at most, whatever else the daemon does, and no build needs much of it, so even a
    little of it is a cause. The loop check comes first, since it alone may never end.
    """
    causes = {CAUSE_OF[phase]: (phase, share) for phase, share in shares.items() if phase in CAUSE_OF}

    def counts(cause: Cause) -> bool:
        share = causes[cause][1]
        graph_work = KNOWLEDGE[cause].graph_work
        least, least_cores = (GRAPH_SHARE, IDLE_CORES) if graph_work else (MAIN_SHARE, WORKING_CORES)
        return share >= least and (cores is None or share * cores >= least_cores)

    def rank(cause: Cause) -> tuple[bool, bool, float]:
        share = causes[cause][1]
        enough = share >= MAIN_SHARE or (cores is not None and share * cores >= BUSY_CORES)
        return cause is not Cause.LOOP_CHECK, not (KNOWLEDGE[cause].graph_work and enough), -share

    results = []
    for cause in sorted(filter(counts, causes), key=rank):
        phase, share = causes[cause]
        used = f", {share * cores:.2f} of {cores:.2f} cores," if cores is not None else ""
        results.append(_finding(cause, share, f"{percent(share)} of the CPU time{used} goes to: {WORDS[phase]}."))
    return results


def _of_exports(exports: Sequence[Export]) -> list[Finding]:
    """The causes that keep exports busy."""
    total = sum(export.count for export in exports)
    by_cause: dict[Cause, list[Export]] = {}
    for export in exports:
        by_cause.setdefault(CAUSE_OF.get(export.phase, Cause.OTHER), []).append(export)

    def number(cause: Cause) -> int:
        return sum(export.count for export in by_cause[cause])

    def rank(cause: Cause) -> tuple[bool, bool, int]:
        return cause is Cause.OTHER, not KNOWLEDGE[cause].holds_others, -number(cause)

    return [
        _finding(cause, number(cause) / total, _exports_text(by_cause[cause], total))
        for cause in sorted(by_cause, key=rank)
    ]


def _exports_text(exports: Sequence[Export], total: int) -> str:
    number = sum(export.count for export in exports)
    longest = max((export.minutes for export in exports if export.minutes is not None), default=None)
    count = f"{number} of {total}" if total > number else f"{number}"
    noun = "cache export" if total == 1 else "cache exports"
    verb = "is" if number == 1 else "are"
    since = f", for at least {elapsed(longest * 60)}" if longest else ""
    if exports[0].phase is not Phase.OTHER:
        return f"{count} {noun} {verb} busy with: {WORDS[exports[0].phase]}{since}."
    if any(export.function == HIDDEN for export in exports):
        return (
            f"{count} {noun} {verb} under way{since}. It was running, and a dump made by a signal does not show what a "
            f"running goroutine does. An export that never ends is in the loop check of {LOOP_CHECK}: take a CPU "
            "profile to see whether this one is."
        )
    return f"{count} {noun} {verb} under way{since}: the dump does not show what it is doing."


def _of_waits(waits: Sequence[Wait]) -> list[Finding]:
    """What builds wait for if no cause was found: locks first, then the network."""
    for phase in (Phase.LOCKS, Phase.NETWORK):
        group = [wait for wait in waits if wait.phase is phase]
        if group:
            number = sum(wait.count for wait in group)
            share = number / sum(wait.count for wait in waits)
            longest = max((wait.minutes for wait in group if wait.minutes is not None), default=None)
            since = f", for up to {elapsed(longest * 60)}" if longest else ""
            verb = "waits" if number == 1 else "wait"
            text = f"{plural(number, 'goroutine')} of builds {verb} in {printable(group[0].function)}{since}"
            return [_finding(CAUSE_OF[phase], share, f"No cache export is under way. {text}.")]
    return []


def _finding(cause: Cause, share: float | None, observation: str) -> Finding:
    known = KNOWLEDGE[cause]
    return Finding(cause, share, f"{observation} {known.what}", known.now, known.for_good, known.affects, known.ends)


def _other(explanation: str) -> Finding:
    known = KNOWLEDGE[Cause.OTHER]
    return Finding(Cause.OTHER, None, explanation or known.what, known.now, known.for_good, known.affects, known.ends)
