"""From what was read to causes, by asking one question after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from cachedoctor.buildkit import LOOP_CHECK
from cachedoctor.diagnosis.causes._advice import HOW_TO_PROFILE
from cachedoctor.diagnosis.causes.cause import Answer, Cause, Match, Outcome, Question
from cachedoctor.diagnosis.causes.registry import (
    OTHER,
    Claim,
    all_causes,
    doing,
)
from cachedoctor.diagnosis.exports import Export, roots_of
from cachedoctor.diagnosis.phases import WORDS, Phase
from cachedoctor.diagnosis.seen import Seen
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
from cachedoctor.diagnosis.timed import MAIN_SHARE, TIMED, WHOLE_TABLE, is_idle, of_time
from cachedoctor.numbers import elapsed, percent, plural
from cachedoctor.pprof import units
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.text import printable

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


def _is_next(answer: Answer, first: Question) -> bool:
    """Whether a weak answer still counts beside the first one: only to the same question, or beside a running step."""
    question = answer.match.question
    return question is first or (question is Question.WAIT and first is Question.STEP)


def _answers(seen: Seen) -> Iterator[Answer]:
    """All that speaks for any cause, in no order of questions; the better of two answers to a question comes first."""
    idle = is_idle(seen)
    from_time = list(of_time(seen)) if seen.first.kind in TIMED and not idle else []
    timed = {answer.cause.name: answer for answer in from_time}
    for answer in _of_exports(seen):
        # The profile of the same cause says how much of the time it takes.
        in_time = timed.get(answer.cause.name)
        yield answer._replace(match=replace(in_time.match, question=answer.match.question)) if in_time else answer
    yield from from_time
    yield from _of_claims(seen)
    for cause in all_causes().values():
        for match in cause.find(seen) if cause.find else ():
            yield Answer(cause, match)
    yield from _of_waits(seen)
    yield from _of_running(seen)


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
    if is_idle(seen):
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


def _of_exports(seen: Seen) -> Iterator[Answer]:
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
        yield Answer(
            cause,
            Match(
                question=Question.GRAPH if cause.holds_others else Question.EXPORT,
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


def _of_claims(seen: Seen) -> Iterator[Answer]:
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
            yield Answer(claim.cause, match)


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


def _of_waits(seen: Seen) -> Iterator[Answer]:
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
    yield Answer(
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


def _of_running(seen: Seen) -> Iterator[Answer]:
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
        yield Answer(
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
