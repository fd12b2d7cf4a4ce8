"""From profiles to a diagnosis: the one place where pprof and the cost of a cache meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cachedoctor.diagnosis import exports as dumps
from cachedoctor.diagnosis import hints, phases
from cachedoctor.diagnosis.causes import CAUSE_OF, GRAPH_WORK, HOW_TO_PROFILE, KNOWLEDGE, Cause
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.exports import HIDDEN, Export, Wait
from cachedoctor.diagnosis.phases import WORDS, Phase
from cachedoctor.errors import FocusError
from cachedoctor.graph import cost
from cachedoctor.graph.survey import Survey
from cachedoctor.numbers import duration, plural
from cachedoctor.pprof import units
from cachedoctor.pprof.top import Sort, Top, top
from cachedoctor.text import printable

MAIN_SHARE = 0.3
"""The share of the time from which a phase is a cause."""
GRAPH_SHARE = 0.05
"""The share from which work on the graph of cache keys is told."""
BUSY_CORES = 0.5
"""Cores from which it comes first, whatever else the daemon does at the time."""
WORKING_CORES = 0.25
"""Cores below which any other work is no cause, whatever its share."""
NEVER_SECONDS = 365.25 * 86400
"""Seconds after which an export may as well never end."""
IDLE_CORES = 0.05
"""Cores below which a daemon does nothing."""
WHOLE_TABLE = 0.8
"""The share of the total that the rows of a table have to account for, so that nothing large is missing."""
TIMED = frozenset({"cpu"})
"""Kinds of profile that tell where time goes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause."""

    cause: Cause
    share: float | None
    """Of the CPU time, or of the exports in a goroutine dump; `None` where there is no such thing."""
    explanation: str
    now: Sequence[str]
    """What to do at once."""
    for_good: Sequence[str]
    affects: str
    ends: str

    @property
    def help(self) -> Sequence[str]:
        """All steps, first what to do now."""
        return (*self.now, *self.for_good)


@dataclass(frozen=True, slots=True)
class Remaining:
    """How long the export goes on, for the caches that were given."""

    work: str
    """What is counted: `loop-check calls`, `marshalling steps`, `descendants walked`."""
    fewest: int
    most: int
    """How many, at least and at most: it can depend on the order in which the exporter merges."""
    rate: tuple[float, float]
    """How many a second, at least and at most."""
    total: tuple[float | None, float | None]
    """Seconds of the whole, at least and at most; `None` past 1e308."""
    elapsed: float | None
    """Seconds that it has run for, `None` where that is not known."""
    left: tuple[float | None, float | None]
    """Seconds from now, at least and at most; of the whole where `elapsed` is not known."""

    @property
    def never(self) -> bool:
        """Whether nobody waits for the end."""
        return self.left[0] is None or self.left[0] > NEVER_SECONDS

    @property
    def overdue(self) -> bool:
        """Whether it should have ended: the export holds more than the caches that were given."""
        return self.elapsed is not None and self.total[1] is not None and self.elapsed > self.total[1]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that a report tells."""

    evidence: Sequence[Evidence]
    """What was read, the profile that the table and the phases are of first."""
    top: Top
    phases: Mapping[Phase, float]
    """The share of each phase, largest first; empty where the profile does not tell where time goes."""
    estimated: bool
    """Whether the phases were estimated from a table."""
    exports: Sequence[Export]
    waits: Sequence[Wait]
    findings: Sequence[Finding]
    """Causes, the main one first; never empty."""
    cores: float | None
    """How many cores the daemon used, `None` where that is not known."""
    go_version: str | None
    buildkit: str | None
    """A guess at the exporter's release."""
    remaining: Remaining | None = None
    """How long it goes on, where caches were given and their work is that of the main cause."""

    @property
    def main(self) -> Finding:
        """The main cause."""
        return self.findings[0]


def diagnose(
    evidence: Sequence[Evidence],
    *,
    sort: Sort = "cum",
    count: int = 0,
    focus: str | None = None,
    caches: Survey | None = None,
    elapsed: float | None = None,
) -> Diagnosis:
    """Tell the cause. `caches` is what the export holds, `elapsed` how many seconds it has run.

    `count` is the number of functions in the table, 0 for all. Raises `FocusError` where `focus` is no regular
    expression, or a table was read.
    """
    ordered = sorted(evidence, key=lambda one: bool(one.goroutines))
    first = ordered[0]
    table = top(first.profile, sort, count, focus) if first.profile else _table(first, sort, count, focus)
    dump = [one for piece in ordered for one in piece.goroutines]
    tables = [one.table.top for one in ordered if one.table and one.kind == "goroutine"]
    exports = dumps.exports(dump) + [export for one in tables for export in dumps.exports_of_table(one)]
    shares, estimated = _shares(first, exports)
    cores = _cores(first)
    waits = dumps.waits(dump)
    found = _findings(first, shares, cores, exports, waits)
    functions = [name for piece in ordered for name in piece.functions]
    known = elapsed if elapsed is not None else _elapsed(exports, found[0].cause)
    remaining = None
    if caches:
        old_maps = hints.has_old_maps(functions)
        remaining = _remaining(found[0].cause, caches, old_maps, known, _each(found[0], cores, exports))
    return Diagnosis(
        evidence=ordered,
        top=table,
        phases=shares,
        estimated=estimated,
        exports=exports,
        waits=waits,
        findings=found,
        cores=cores,
        go_version=hints.go_version(functions),
        buildkit=hints.buildkit_regime(functions),
        remaining=remaining,
    )


def _table(first: Evidence, sort: Sort, count: int, focus: str | None) -> Top:
    """The table that was read, in the order and length that are asked for."""
    assert first.table
    if focus:
        raise FocusError("a table does not tell which samples a function is in: --focus needs the profile itself")
    read = first.table.top
    rows = sorted(read.rows, key=lambda row: (-abs(row.cum if sort == "cum" else row.flat), row.function))
    if not count or count >= len(rows):
        return replace(read, rows=rows)
    heading = [line for line in read.heading if not line.startswith("Showing ")]
    return replace(read, rows=rows[:count], heading=[*heading, f"Showing {count} of {len(rows)} lines of the table"])


def _shares(first: Evidence, exports: Sequence[Export]) -> tuple[Mapping[Phase, float], bool]:
    if first.kind in TIMED:
        if first.table:
            return phases.shares_of_table(first.table.top), True
        return phases.shares(first.profile) if first.profile else {}, False
    return dumps.phases(exports), False


def _cores(first: Evidence) -> float | None:
    """Seconds of CPU time for each second."""
    if first.kind not in TIMED or not first.duration_seconds or first.duration_seconds < 0:
        return None
    seconds, unit = units.scale(first.total, first.unit, "seconds")
    return seconds / first.duration_seconds if unit == "s" else None


def _findings(
    first: Evidence,
    shares: Mapping[Phase, float],
    cores: float | None,
    exports: Sequence[Export],
    waits: Sequence[Wait],
) -> list[Finding]:
    """The causes, the main one first: what exports are at, then where the time goes, then what others wait for."""
    idle = cores is not None and cores < IDLE_CORES
    of_time = _of_time(shares, cores) if first.kind in TIMED and not idle else []
    timed = {finding.cause: finding for finding in of_time}
    found = [timed.pop(finding.cause, finding) for finding in _of_exports(exports)]
    found += [finding for finding in of_time if finding.cause in timed]
    found = found or _of_waits(waits)
    known = [finding for finding in found if finding.cause is not Cause.OTHER]
    if exports:
        known.sort(key=lambda finding: finding.cause not in _HOLDS_OTHERS)
    return known or found or [_nothing(first, shares, idle)]


def _nothing(first: Evidence, shares: Mapping[Phase, float], idle: bool) -> Finding:
    """What is said where there is no cause."""
    if first.kind in _UNTIMED:
        return _untimed(first.kind)
    if first.kind == "goroutine":
        if first.table:
            return _other("This table does not tell what each goroutine does: read the dump itself.")
        return _other("No cache export is under way in this dump.")
    if first.kind not in TIMED:
        return _other("This kind of profile does not tell where time goes.")
    if idle:
        return _other("The daemon is nearly idle: it waits.")
    if first.table and sum(row.flat for row in first.table.top.rows) < WHOLE_TABLE * first.total:
        return _other("This table is too short to tell a cause: take go tool pprof -top -cum -nodecount=50.")
    phase, share = next(iter(shares.items()), (Phase.OTHER, 0.0))
    if phase is not Phase.OTHER and share >= MAIN_SHARE:
        return _other(f"{share:.1%} of the CPU time goes to: {WORDS[phase]}. That is no known cause of a stuck export.")
    return _other("")


_UNTIMED = {
    "heap": (
        "A heap profile tells what holds memory, not where time goes: no cause can be told from it.",
        "The largest flat values hold the memory; --sample-type alloc_space tells what was allocated since the start.",
    ),
    "contention": (
        "A mutex or block profile tells who waited since the daemon started, not what an export does now.",
        "The largest cum values below the functions of the runtime tell who waited.",
    ),
}


def _untimed(kind: str) -> Finding:
    said, how = _UNTIMED[kind]
    return replace(_other(said), now=(how, *HOW_TO_PROFILE))


def _of_time(shares: Mapping[Phase, float], cores: float | None) -> list[Finding]:
    """The causes that a CPU profile tells of.

    Work on cache keys has one core at most, whatever else the daemon does, and no build needs much of it: a little of
    it is told already. The loop check comes first, since it alone may never end.
    """
    causes = {CAUSE_OF[phase]: (phase, share) for phase, share in shares.items() if phase in CAUSE_OF}

    def counts(cause: Cause, share: float) -> bool:
        least, least_cores = (GRAPH_SHARE, IDLE_CORES) if cause in GRAPH_WORK else (MAIN_SHARE, WORKING_CORES)
        return share >= least and (cores is None or share * cores >= least_cores)

    def place(cause: Cause) -> tuple[bool, bool, float]:
        share = causes[cause][1]
        busy = cause in GRAPH_WORK and (share >= MAIN_SHARE or (cores is not None and share * cores >= BUSY_CORES))
        return cause is not Cause.LOOP_CHECK, not busy, -share

    made = []
    for cause in sorted((cause for cause, (_, share) in causes.items() if counts(cause, share)), key=place):
        phase, share = causes[cause]
        used = f", {share * cores:.2f} of {cores:.2f} cores," if cores is not None else ""
        made.append(_finding(cause, share, f"{share:.1%} of the CPU time{used} goes to: {WORDS[phase]}."))
    return made


_HOLDS_OTHERS = frozenset({Cause.LOOP_CHECK, Cause.DEEP_CHAINS, Cause.RE_ADD})
"""What one export does while others wait for it."""


def _of_exports(exports: Sequence[Export]) -> list[Finding]:
    total = sum(one.count for one in exports)
    by_cause: dict[Cause, list[Export]] = {}
    for one in exports:
        by_cause.setdefault(CAUSE_OF.get(one.phase, Cause.OTHER), []).append(one)

    def place(cause: Cause) -> tuple[bool, bool, int]:
        return cause is Cause.OTHER, cause not in _HOLDS_OTHERS, -sum(one.count for one in by_cause[cause])

    ordered = sorted(by_cause, key=place)
    return [
        _finding(cause, sum(one.count for one in by_cause[cause]) / total, _said(by_cause[cause], total))
        for cause in ordered
    ]


def _said(exports: Sequence[Export], total: int) -> str:
    number = sum(one.count for one in exports)
    longest = max((one.minutes for one in exports if one.minutes is not None), default=None)
    of = f" of {total}" if total > number else ""
    noun = "cache export" if total == 1 else "cache exports"
    since = f", for {duration(longest * 60).removeprefix('about ')} at least" if longest else ""
    if exports[0].phase is Phase.OTHER:
        under_way = f"{number}{of} {noun} {'is' if number == 1 else 'are'} under way{since}"
        if any(one.function == HIDDEN for one in exports):
            return (
                f"{under_way}. It was running, and a dump made by a signal does not tell at what; an export that never "
                "ends does so in the loop check of v0.9 to v0.24. A CPU profile tells."
            )
        return f"{under_way}: the dump does not tell at what."
    return f"{number}{of} {noun} {'is' if number == 1 else 'are'} busy with: {WORDS[exports[0].phase]}{since}."


def _of_waits(waits: Sequence[Wait]) -> list[Finding]:
    locked = [one for one in waits if one.phase is Phase.LOCKS]
    pushing = [one for one in waits if one.phase is Phase.NETWORK]
    for cause, group in ((Cause.LOCK, locked), (Cause.PUSH, pushing)):
        if group:
            number = sum(one.count for one in group)
            share = number / sum(one.count for one in waits)
            longest = max((one.minutes for one in group if one.minutes is not None), default=None)
            since = f", for up to {duration(longest * 60).removeprefix('about ')}" if longest else ""
            verb = "waits" if number == 1 else "wait"
            who = f"{plural(number, 'goroutine')} of builds {verb} in {printable(group[0].function)}{since}"
            return [_finding(cause, share, f"No cache export is under way. {who}.")]
    return []


def _finding(cause: Cause, share: float | None, said: str) -> Finding:
    known = KNOWLEDGE[cause]
    return Finding(cause, share, f"{said} {known.what}", known.now, known.for_good, known.affects, known.ends)


def _other(said: str) -> Finding:
    known = KNOWLEDGE[Cause.OTHER]
    return Finding(Cause.OTHER, None, said or known.what, known.now, known.for_good, known.affects, known.ends)


def _elapsed(exports: Sequence[Export], cause: Cause) -> float | None:
    minutes = [one.minutes for one in exports if CAUSE_OF.get(one.phase) is cause and one.minutes is not None]
    return max(minutes) * 60.0 if minutes else None


def _each(main: Finding, cores: float | None, exports: Sequence[Export]) -> float | None:
    """The part of a core that each export of the main cause gets, `None` where that is not known."""
    if cores is None or main.share is None:
        return None
    used = main.share * cores
    number = sum(one.count for one in exports if CAUSE_OF.get(one.phase) is main.cause) or max(1, round(used))
    return used / number


def _remaining(
    cause: Cause, caches: Survey, old_maps: bool | None, elapsed: float | None, cores: float | None
) -> Remaining | None:
    """How long the work of a cause takes for these caches, by one core or the part of one that it gets."""
    if cause is Cause.LOOP_CHECK:
        check = caches.loop_check
        fast, _, slow = cost.SECONDS_PER_CALL
        work, fewest, most = "loop-check calls", check.orders[0].calls, check.orders[-1].calls
        each = (1.4 * fast if old_maps else fast, slow)
    elif cause is Cause.DEEP_CHAINS:
        work, fewest, most = "marshalling steps", caches.marshal_steps, caches.marshal_steps
        each = (cost.SECONDS_PER_MARSHAL_STEP, 2 * cost.SECONDS_PER_MARSHAL_STEP)
    elif cause is Cause.RE_ADD:
        work, fewest, most = "descendants walked", caches.walk.steps, caches.walk.steps
        each = (cost.SECONDS_PER_WALK_STEP, 2 * cost.SECONDS_PER_WALK_STEP)
    else:
        return None
    speed = 1.0 if cores is None else max(0.01, min(1.0, cores))
    low, high = cost.seconds(fewest, each[0] / speed), cost.seconds(most, each[1] / speed)
    passed = elapsed or 0.0
    left = tuple(None if one is None else max(0.0, one - passed) for one in (low, high))
    rate = (speed / each[1], speed / each[0])
    return Remaining(work, fewest, most, rate, (low, high), elapsed, (left[0], left[1]))
