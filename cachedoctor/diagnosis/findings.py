"""From what was read to causes, by asking one question after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from cachedoctor.buildkit import LOOP_CHECK
from cachedoctor.diagnosis.causes._advice import HOW_TO_PROFILE
from cachedoctor.diagnosis.causes.cause import Cause, Match, Outcome, Question, matches
from cachedoctor.diagnosis.causes.registry import (
    OTHER,
    Claim,
    all_causes,
    cause_of_phase,
    claim_of_function,
    doing,
)
from cachedoctor.diagnosis.exports import Export, roots_of
from cachedoctor.diagnosis.phases import WORDS, Phase, phase_of
from cachedoctor.diagnosis.seen import Seen, row_line
from cachedoctor.diagnosis.stacks import (
    HIDDEN,
    RUNNING,
    function_of,
    is_buildkit,
    is_waiting,
    line,
    lines,
    longest,
    number_of,
)
from cachedoctor.numbers import elapsed, percent, plural
from cachedoctor.pprof import units
from cachedoctor.pprof.goroutines import Goroutine
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
_UNTIMED = {
    "heap": (
        "A heap profile shows what holds memory, not where the time goes.",
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

    cause: str
    title: str
    """The cause in a line."""
    share: float | None
    """Its share of the CPU time, or of the exports in a goroutine dump; `None` if there is neither."""
    explanation: str
    now: Sequence[str]
    """What to do right away."""
    for_good: Sequence[str]
    """What to do so that it does not come back."""
    affects: str
    ends: str
    outcome: Outcome
    """How it goes on if nobody does anything."""
    fixed_in: str
    """The releases that fixed it, empty if none is known."""
    evidence: Sequence[str] = ()
    """Lines of the input that show it, control characters replaced."""

    @property
    def help(self) -> Sequence[str]:
        """All steps, starting with what to do right away."""
        return (*self.now, *self.for_good)


class _Answer(NamedTuple):
    """A cause and what the evidence says for it."""

    cause: Cause
    match: Match


def findings(seen: Seen) -> list[Finding]:
    """The causes, the main one first. Never empty.

    The questions are asked in their order. A daemon that is dead, or that was not asked at all, has no other cause; and
    what builds wait for counts only if no earlier question has an answer.
    """
    answers = sorted(_answers(seen), key=lambda answer: answer.match.question)
    if answers:
        # That nothing is known of an export is an answer, but not one that makes others superfluous.
        first = next((answer for answer in answers if answer.cause.name != OTHER), answers[0]).match.question
        if first <= Question.CLIENT:
            answers = [answer for answer in answers if answer.match.question is first][:1]
        weak = (Question.WAIT, Question.RUNNING, Question.MEMORY)
        answers = [answer for answer in answers if answer.match.question not in weak or _is_next(answer, first)]
    results: dict[str, Finding] = {}
    for answer in answers:
        results.setdefault(answer.cause.name, _finding(answer.cause, answer.match))
    named = [finding for name, finding in results.items() if name != OTHER]
    strong = any(answer.cause.name != OTHER and answer.match.question < Question.STEP for answer in answers)
    if seen.exports and OTHER in results and not strong:
        # What other builds do must not hide that there is an export.
        return [results[OTHER], *named]
    return named or list(results.values()) or [_no_cause(seen)]


def _is_next(answer: _Answer, first: Question) -> bool:
    """Whether a weak answer still counts beside the first one: only to the same question, or beside a running step."""
    question = answer.match.question
    return question is first or (question is Question.WAIT and first is Question.STEP)


def _answers(seen: Seen) -> Iterator[_Answer]:
    """All that speaks for any cause, in no order of questions; the better of two answers to a question comes first."""
    idle = _is_idle(seen)
    of_time = list(_of_time(seen)) if seen.first.kind in TIMED and not idle else []
    timed = {answer.cause.name: answer for answer in of_time}
    for answer in _of_exports(seen):
        # The profile of the same cause says how much of the time it takes.
        in_time = timed.get(answer.cause.name)
        yield answer._replace(match=replace(in_time.match, question=answer.match.question)) if in_time else answer
    yield from of_time
    yield from _of_claims(seen)
    for cause in all_causes().values():
        for match in cause.find(seen) if cause.find else ():
            yield _Answer(cause, match)
    yield from _of_waits(seen)
    yield from _of_running(seen)


def _is_idle(seen: Seen) -> bool:
    return seen.cores is not None and seen.cores < IDLE_CORES


def _no_cause(seen: Seen) -> Finding:
    """What to say if there is no cause."""
    first = seen.first
    if first.kind in _UNTIMED or first.unit == "bytes":
        explanation, advice = _UNTIMED.get(first.kind, _UNTIMED["heap"])
        if first.unit == "bytes" and first.total:
            amount = units.label(first.total, "bytes")
            explanation += (
                f" This daemon has allocated {amount} since it started."
                if first.sample_type.startswith("alloc")
                else f" This daemon's heap holds {amount}, which is rarely a problem."
            )
        return _other(explanation)._replace(now=(advice, *HOW_TO_PROFILE))
    if first.kind == "goroutine":
        if first.table:
            return _other("This table does not show what each goroutine is doing: pass the dump itself.")
        return _other(_nothing(seen))
    if first.errors and not seen.goroutines:
        function = next(filter(is_buildkit, (name for stack in first.errors for name in stack)), "")
        where = f", in {printable(function)}" if function else ""
        return _other(
            f"This is the stack that BuildKit adds to an error: it shows where a request failed{where}, not what the "
            "daemon is doing now."
        )
    if first.kind not in TIMED:
        return _other("This kind of profile does not show where the time goes.")
    if _is_idle(seen):
        return _other("The daemon is nearly idle: it is waiting.")
    if first.table and sum(row.flat for row in first.table.top.rows) < WHOLE_TABLE * first.total:
        return _other("This table is too short to show a cause: use go tool pprof -top -cum -nodecount=50.")
    phase, share = next(iter(seen.shares.items()), (Phase.OTHER, 0.0))
    if phase is not Phase.OTHER and share >= MAIN_SHARE:
        return _other(
            f"{percent(share)} of the CPU time goes to: {WORDS[phase]}. This is not a known cause of a stuck export."
        )
    return _other("")


def _nothing(seen: Seen) -> str:
    """That a dump shows nothing; what is not in it counts only if it is whole."""
    if seen.exports:
        return ""
    if seen.marks:
        return "What died here is not the daemon: no function of BuildKit is in this trace."
    if seen.whole:
        return "No cache export is under way in this dump."
    return "What could be read of this dump shows no cause, but the dump is incomplete: an export may be in the rest."


def _of_time(seen: Seen) -> Iterator[_Answer]:
    """The causes that a CPU profile shows.

    Work on cache keys takes one core at most, whatever else the daemon does, and no build needs much of it, so even a
    little of it is a cause. The loop check comes first, since it alone may never end. Hashing, garbage collection and
    locks are what other work does in the end: they are causes only if no function above them is.
    """
    table = _table_of(seen)
    claimed = _claimed(seen, table)
    by_name: dict[str, tuple[Cause, float, Claim | None, Phase | None]] = {}
    for phase, share in seen.shares.items():
        cause = cause_of_phase(phase)
        if cause:
            by_name[cause.name] = (cause, share, None, phase)
    for claim, share in claimed:
        by_name[claim.cause.name] = (claim.cause, share, claim, None)

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
    claims = [name for name in kept if by_name[name][2]]
    for name in kept:
        cause, share, shown, of_phase = by_name[name]
        if cause.leaf and claims:
            continue
        row = _row_of(table, shown, of_phase)
        words = shown.signature.doing if shown else WORDS[of_phase] if of_phase else ""
        above = _allocator(table) if name == "gc" else None
        if above:
            yield _Answer(all_causes()[OTHER], _made_garbage(above, share, table))
            continue
        match = Match(
            question=Question.GRAPH if is_first(name) else Question.TIME,
            observation=f"{percent(share)} of the CPU time{_cores(share, seen.cores)} goes to: {words}.",
            share=share,
            evidence=(row_line(table, row),) if row else (),
        )
        yield _Answer(cause, match.by(shown.signature) if shown else match)


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
    return [(claims[key], min(1.0, value / total)) for key, value in values.items() if value]


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


def _of_exports(seen: Seen) -> Iterator[_Answer]:
    """The causes that keep exports busy, those first that hold others."""
    total = sum(export.count for export in seen.exports)
    by_cause: dict[str, list[Export]] = {}
    for export in seen.exports:
        if not export.claimed:
            by_cause.setdefault(export.cause, []).append(export)

    def number(name: str) -> int:
        return sum(export.count for export in by_cause[name])

    def rank(name: str) -> tuple[bool, bool, int]:
        return name == OTHER, not all_causes()[name].holds_others, -number(name)

    for name in sorted(by_cause, key=rank):
        cause = all_causes()[name]
        holds = cause.graph_work and cause.question is Question.GRAPH
        yield _Answer(
            cause,
            Match(
                question=Question.GRAPH if holds else Question.EXPORT,
                observation=_exports_text(by_cause[name], total),
                share=number(name) / total,
                evidence=tuple(printable(text) for export in by_cause[name] for text in export.lines)[:4],
            ),
        )


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


def _of_claims(seen: Seen) -> Iterator[_Answer]:
    """The causes whose functions goroutines are in, wherever these are from."""
    groups: dict[tuple[str, int], tuple[Claim, list[Goroutine]]] = {}
    for goroutine in seen.goroutines:
        claim = doing(goroutine.stack, waiting=is_waiting(goroutine)).claim
        if claim:
            groups.setdefault(claim.key, (claim, []))[1].append(goroutine)
    exporting = set(map(id, roots_of(seen.goroutines))) if groups else set()
    for claim, group in sorted(groups.values(), key=lambda item: -number_of(item[1])):
        match = _claim(seen, claim, group, any(id(goroutine) in exporting for goroutine in group))
        if match:
            yield _Answer(claim.cause, match)


def _claim(seen: Seen, claim: Claim, group: Sequence[Goroutine], exports: bool) -> Match | None:
    number = number_of(group)
    minutes = longest(group)
    since = f", for up to {elapsed(minutes * 60)}" if minutes else ""
    what = "a cache export" if exports and number == 1 else plural(number, "goroutine")
    question = min(claim.cause.question, Question.EXPORT) if exports else claim.cause.question
    if claim.signature.running:
        question = Question.RUNNING
    match = Match(
        question=question,
        observation=f"{what[0].upper()}{what[1:]} {'is' if number == 1 else 'are'} {claim.signature.doing}{since}.",
        evidence=tuple(map(printable, lines(group))),
    ).by(claim.signature)
    return claim.cause.refine(seen, claim.signature, group, match) if claim.cause.refine else match


def _of_waits(seen: Seen) -> Iterator[_Answer]:
    """What builds wait for on the network."""
    # A wait for a connection is no limit while one is being opened: then it is the network after all.
    group = [wait for wait in seen.waits if wait.phase is Phase.NETWORK and wait.cause in ("push", "limit")]
    if not group:
        return
    number = sum(wait.count for wait in group)
    share = number / sum(wait.count for wait in seen.waits)
    waited = max((wait.minutes for wait in group if wait.minutes is not None), default=None)
    since = f", for up to {elapsed(waited * 60)}" if waited else ""
    verb = "waits" if number == 1 else "wait"
    yield _Answer(
        all_causes()["push"],
        Match(
            question=Question.WAIT,
            observation=f"{_no_export(seen)}{plural(number, 'goroutine')} of builds {verb} in "
            f"{printable(group[0].function)}{since}.",
            share=share,
            evidence=tuple(printable(text) for wait in group for text in wait.lines)[:4],
        ),
    )


def _no_export(seen: Seen) -> str:
    """That there is no export, if that is certain."""
    return "No cache export is under way. " if seen.whole and not seen.exports else ""


def _of_running(seen: Seen) -> Iterator[_Answer]:
    """What runs, if nothing else says anything: the function of BuildKit that most running goroutines are in."""
    running: dict[str, list[Goroutine]] = {}
    for goroutine in seen.goroutines:
        if goroutine.state in RUNNING and any(map(is_buildkit, goroutine.stack)):
            running.setdefault(function_of(goroutine), []).append(goroutine)
    for function, group in sorted(running.items(), key=lambda item: -number_of(item[1])):
        busy = doing(group[0].stack, waiting=False)
        number = number_of(group)
        what = WORDS[busy.phase] if busy.phase is not Phase.OTHER else "work that is not a known cause"
        verb = "is" if number == 1 else "are"
        yield _Answer(
            busy.cause or all_causes()[OTHER],
            Match(
                question=Question.RUNNING,
                observation=f"{_no_export(seen)}{plural(number, 'goroutine')} of BuildKit {verb} running in "
                f"{printable(function)}: {what}.",
                evidence=(printable(line(group[0])),),
                what=None if busy.cause else "",
            ),
        )
        return


def _finding(cause: Cause, match: Match) -> Finding:
    what = cause.what if match.what is None else match.what
    return Finding(
        cause=cause.name,
        title=match.title or cause.title,
        share=match.share,
        explanation=f"{match.observation} {what}".strip(),
        now=match.now or cause.now,
        for_good=match.for_good or cause.for_good,
        affects=match.affects or cause.affects,
        ends=match.ends or cause.ends,
        outcome=match.outcome or cause.outcome,
        fixed_in=match.fixed_in or cause.fixed_in,
        evidence=match.evidence,
    )


def _other(explanation: str) -> Finding:
    cause = all_causes()[OTHER]
    return _finding(cause, Match(question=cause.question, observation=explanation or cause.what, what=""))
