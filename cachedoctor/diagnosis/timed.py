"""What a CPU profile shows: the causes that take the time, and what makes the garbage that is collected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cachedoctor.diagnosis.causes.cause import Answer, Cause, Match, Question, matches
from cachedoctor.diagnosis.causes.registry import OTHER, Claim, all_causes, cause_of_phase, claim_of_function
from cachedoctor.diagnosis.phases import WORDS, Phase, phase_of
from cachedoctor.diagnosis.seen import Seen, row_line
from cachedoctor.diagnosis.stacks import is_buildkit
from cachedoctor.numbers import percent
from cachedoctor.pprof.top import Row, Top, top
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
ALLOCATING_SHARE = 0.1
"""The share of the time from which a function of BuildKit is what makes the garbage that is collected."""
TIMED = frozenset({"cpu"})
"""Kinds of profile that show where the time goes."""


def is_idle(seen: Seen) -> bool:
    return seen.cores is not None and seen.cores < IDLE_CORES


def of_time(seen: Seen) -> Iterator[Answer]:
    """The causes that a CPU profile shows.

    Work on cache keys takes one core at most, whatever else the daemon does, and no build needs much of it, so even a
    little of it is a cause. The loop check comes first, since it alone may never end. Hashing, garbage collection and
    locks are what other work does in the end: they are causes only if no function above them is.
    """
    table = _table_of(seen)
    by_name = _candidates(seen, table)

    def counts(name: str) -> bool:
        cause, share, _, _ = by_name[name]
        least, least_cores = (GRAPH_SHARE, IDLE_CORES) if cause.graph_work else (MAIN_SHARE, WORKING_CORES)
        return share >= least and (seen.cores is None or share * seen.cores >= least_cores)

    def is_first(name: str) -> bool:
        cause, share, claim, _ = by_name[name]
        enough = share >= MAIN_SHARE or (seen.cores is not None and share * seen.cores >= BUSY_CORES)
        return name == "loop-check" or ((cause.graph_work or claim is not None) and enough)

    def rank(name: str) -> tuple[bool, bool, float]:
        return name != "loop-check", not is_first(name), -by_name[name][1]

    kept = sorted(filter(counts, by_name), key=rank)
    claims = [name for name in kept if by_name[name].claim]
    for name in kept:
        cause, share, shown, of_phase = by_name[name]
        if cause.leaf and claims:
            continue
        row = _row_of(table, shown, of_phase)
        words = shown.signature.doing if shown else WORDS[of_phase] if of_phase else ""
        above = _allocator(table) if name == "gc" else None
        if above:
            yield Answer(all_causes()[OTHER], _made_garbage(above, share, table))
            continue
        match = Match(
            question=Question.GRAPH if is_first(name) else Question.TIME,
            observation=f"{percent(share)} of the CPU time{_cores(share, seen.cores)} goes to: {words}.",
            share=share,
            evidence=(row_line(table, row),) if row else (),
        )
        yield Answer(cause, match.by(shown.signature) if shown else match)


class _Candidate(NamedTuple):
    """A cause, its share of the time, and what shows it: a claim or a phase."""

    cause: Cause
    share: float
    claim: Claim | None
    phase: Phase | None


def _candidates(seen: Seen, table: Top) -> dict[str, _Candidate]:
    """All causes that take any time, by name; a function that shows one comes before its phase."""
    by_phase = {phase: cause_of_phase(phase) for phase in seen.shares}
    of_phases = [_Candidate(cause, seen.shares[phase], None, phase) for phase, cause in by_phase.items() if cause]
    of_claims = [
        _Candidate(claim.cause, share, claim, None)
        for claim, share in sorted(_claimed(seen, table), key=lambda item: item[1])
    ]
    return {candidate.cause.name: candidate for candidate in (*of_phases, *of_claims)}


def _cores(share: float, cores: float | None) -> str:
    return f", {share * cores:.2f} of {cores:.2f} cores," if cores is not None else ""


def _table_of(seen: Seen) -> Top:
    if seen.first.profile:
        return top(seen.first.profile)
    assert seen.first.table
    return seen.first.table.top


def _claimed(seen: Seen, table: Top) -> list[tuple[Claim, float]]:
    """The share of the time below functions that show a cause; from a table the cum value of the widest one."""
    total = seen.first.total
    if not total:
        return []
    names = seen.first.functions
    claims: dict[tuple[str, int], Claim] = {}
    values: dict[tuple[str, int], int] = {}
    if seen.first.profile:
        numbers: dict[tuple[str, int], int] = {}
        labels = []
        for name in names:
            claim = claim_of_function(name, names)
            labels.append(numbers.setdefault(claim.key, len(numbers)) if claim else -1)
            if claim:
                claims[claim.key] = claim
        by_label = seen.first.profile.samples.by_label(labels)
        values = {key: by_label.get(number, 0) for key, number in numbers.items()}
    else:
        for row in table.rows:
            claim = claim_of_function(row.function, names)
            if claim:
                claims[claim.key] = claim
                values[claim.key] = max(values.get(claim.key, 0), abs(row.cum))
    # Of two claims of one cause, the larger one comes last, and counts.
    return [(claims[key], min(1.0, value / total)) for key, value in sorted(values.items(), key=_value) if value]


def _value(item: tuple[tuple[str, int], int]) -> int:
    return item[1]


def _row_of(table: Top, claim: Claim | None, phase: Phase | None) -> Row | None:
    """The widest function that shows a claim or a phase."""
    if claim:
        rows = [row for row in table.rows if matches(claim.signature.function, row.function)]
    else:
        rows = [row for row in table.rows if phase_of(row.function) is phase]
    return max(rows, key=lambda row: abs(row.cum), default=None)


def _allocator(table: Top) -> Row | None:
    """The function of BuildKit with the most time below it, if it is enough to make the garbage that is collected."""
    rows = [row for row in table.rows if is_buildkit(row.function)]
    widest = max(rows, key=lambda row: abs(row.cum), default=None)
    if widest is None or abs(widest.cum) < ALLOCATING_SHARE * table.total:
        return None
    # Of functions that call each other, the innermost one that still has nearly all of it says the most.
    return min((row for row in rows if abs(row.cum) >= 0.9 * abs(widest.cum)), key=lambda row: abs(row.cum))


def _made_garbage(row: Row, share: float, table: Top) -> Match:
    part = percent(min(1.0, abs(row.cum) / table.total))
    return Match(
        question=Question.TIME,
        observation=f"{part} of the CPU time goes to {printable(row.function)} and what it calls, and {percent(share)} "
        "to collecting the garbage that this makes. This is not a known cause.",
        evidence=(row_line(table, row),),
        what="",
    )
