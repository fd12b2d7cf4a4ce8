"""The page of `profile`: the cause first, then what to do, then where the time goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.diagnosis.causes.registry import OTHER
from cachedoctor.diagnosis.diagnose import TIMED, Diagnosis, Finding, Remaining
from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.exports import Export, Wait
from cachedoctor.diagnosis.phases import WORDS
from cachedoctor.diagnosis.stacks import RUNNING
from cachedoctor.diagnosis.twice import Still, Twice
from cachedoctor.errors import InputError
from cachedoctor.numbers import count_range, duration, elapsed, percent, time_range
from cachedoctor.pprof import units
from cachedoctor.pprof.names import without_folders
from cachedoctor.pprof.top import HEAD, Row, Top
from cachedoctor.report import analysis_tables as tables
from cachedoctor.report import builds, builds_document
from cachedoctor.report.analysis_document import hotspots
from cachedoctor.report.formats.json import clean, head, number
from cachedoctor.report.page import Entry, Foreign, Line, Listing, Page, Stacks, Steps, Table, Tone, Verbatim
from cachedoctor.text import printable

MOST_WAITS = 8
_NAME = len(HEAD) + 2
"""The column of pprof's table in which names begin."""


def page(diagnosis: Diagnosis, caches: Analysis | None = None) -> Page:
    """What a profile has to say; `caches` are those that the build imports."""
    known = diagnosis.main.cause != OTHER
    estimated = " (estimated from a table)" if diagnosis.estimated else ""
    return Page(
        command="profile",
        headline=[
            Line(headline(diagnosis), Tone.ERROR if known else Tone.WARNING),
            *(builds.strangers(caches.known) if caches else ()),
        ],
        entries=[_entry(finding, diagnosis) for finding in diagnosis.findings],
        sections=[
            Listing("The daemon", daemon(diagnosis)),
            Table(f"Where the time goes{estimated}", (), _phases(diagnosis), frozenset({1})),
            *(_hotspots(diagnosis, caches) if caches else ()),
            _exports(diagnosis.exports, dead=diagnosis.main.outcome == "dead"),
            _waits(diagnosis.waits),
            *_twice(diagnosis.twice),
            Verbatim("Functions", lambda width: _functions(diagnosis.top, width)),
        ],
        document=lambda: document(diagnosis, caches),
        stacks=_stacks(diagnosis),
    )


def headline(diagnosis: Diagnosis) -> str:
    """The answer in a sentence or two."""
    title = diagnosis.main.title
    number = sum(export.count for export in diagnosis.exports if export.cause == diagnosis.main.cause)
    if number > 1:
        title = f"{title} ({number} exports at once)"
    if diagnosis.remaining:
        return f"{title}. {remaining(diagnosis.remaining)}"
    if diagnosis.main.cause == OTHER:
        return diagnosis.main.explanation
    return f"{title}."


def remaining(left: Remaining) -> str:
    """How much longer it takes."""
    work = left.work.replace("marshalling", "marshaling")
    speed = count_range(int(left.rate[0]), int(left.rate[1]))
    how = f"{count_range(left.fewest, left.most)} {work}, at {speed} per second (estimated)"
    whole = time_range(*left.total)
    if left.never:
        return f"It {whole}: {how}." if whole.startswith("would") else f"It takes {whole}: {how}."
    if whole == duration(0.0):
        return f"For these caches alone it would take {whole}, with {how}: the export holds more than these."
    if left.elapsed is None:
        return (
            f"It takes {whole} in all: {how}. This profile does not show how long it has run; pass --running-for "
            "(for example 40m) to see what is left."
        )
    ran = elapsed(left.elapsed)
    if left.overdue:
        return (
            f"It has run for {ran} and should have ended: {how} take {whole}. The export holds more than these "
            "caches, such as the steps of the build itself."
        )
    return f"{_left(left)} left, of {whole} in all, after {ran}: {how}."


def _left(left: Remaining) -> str:
    low, high = left.left
    text = time_range(low, high) if low else f"up to {duration(high).removeprefix('about ')}"
    return text[:1].upper() + text[1:]


def daemon(diagnosis: Diagnosis) -> list[str]:
    """What the profile says of the daemon, in a line, if anything."""
    buildkit = f"BuildKit {diagnosis.buildkit}" if diagnosis.buildkit else ""
    go = f"built with {diagnosis.go_version}" if diagnosis.go_version else ""
    signs = ", ".join(sign for sign in (buildkit, go) if sign)
    return [f"Judging by its function names, this daemon is {signs}."] if signs else []


def _entry(finding: Finding, diagnosis: Diagnosis) -> Entry:
    known = finding.cause != OTHER
    estimated = diagnosis.remaining is not None and finding is diagnosis.main
    ends = [] if estimated else [f"Does it end? {finding.ends}"]
    fixed = [f"Fixed in {finding.fixed_in}."] if finding.fixed_in and not _says(finding) else []
    return Entry(
        tone=Tone.ERROR if known else Tone.WARNING,
        title=str(finding.cause) if known else "",
        affects=finding.affects if known else "",
        body=[finding.explanation, *ends, *fixed, *_seen(finding.evidence[:1])] if known else (),
        details=_seen(finding.evidence[1:]),
        help=(Steps(finding.now, "Now"), Steps(finding.for_good, "For good")),
    )


def _says(finding: Finding) -> bool:
    """Whether the text or the advice of a cause says already what fixed it."""
    return all(
        release in " ".join((finding.explanation, finding.ends, *finding.help))
        for release in finding.fixed_in.split(", ")
    )


def _seen(lines: Sequence[str]) -> list[str]:
    return [f"Seen: {line}" for line in lines]


def outcome(finding: Finding, diagnosis: Diagnosis) -> str:
    """How it goes on if nobody does anything; an estimate knows more than the cause alone."""
    left = diagnosis.remaining if finding is diagnosis.main else None
    return "never" if left and left.never else "ends" if left and not left.overdue else finding.outcome


def _phases(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """The share of each phase, if the profile is one of time."""
    timed = diagnosis.evidence[0].kind in TIMED
    return [(WORDS[phase], percent(share)) for phase, share in diagnosis.phases.items() if timed]


def _exports(exports: Sequence[Export], *, dead: bool) -> Table:
    rows = [
        (
            f"{export.count:,}",
            WORDS[export.phase],
            _since(export.minutes, export.state),
            export.state or "unknown",
            Foreign(without_folders(export.function)),
        )
        for export in exports
    ]
    heads = ("exports", "busy with", "at least", "state", "function")
    return Table("Cache exports when it died" if dead else "Cache exports under way", heads, rows, frozenset({0}))


def _waits(waits: Sequence[Wait]) -> Table:
    rows = [
        (
            f"{wait.count:,}",
            WORDS[wait.phase],
            _since(wait.minutes, wait.state),
            Foreign(without_folders(wait.function)),
        )
        for wait in waits[:MOST_WAITS]
    ]
    heads = ("goroutines", "wait for", "up to", "function")
    return Table("What goroutines of builds wait for", heads, rows, frozenset({0}))


def _twice(twice: Twice | None) -> list[Table | Listing]:
    """What moved between two dumps, and what did not."""
    if twice is None:
        return []
    between = f"at least {elapsed(twice.minutes * 60)} apart" if twice.minutes else "less than a minute apart"
    moved = (
        f"The dumps are {between}. Of BuildKit's goroutines, {twice.moved:,} moved, {twice.begun:,} began and "
        f"{twice.ended:,} ended."
    )
    rows = [
        (f"{still.count:,}", what, _since(still.minutes, still.state), Foreign(without_folders(still.function)))
        for what, group in (("waiting", twice.stuck), ("running", twice.busy))
        for still in group[:MOST_WAITS]
    ]
    grown = [
        f"{item.before:,} → {item.now:,} goroutines in {printable(without_folders(item.function))}"
        for item in twice.grown[:MOST_WAITS]
    ]
    heads = ("goroutines", "still", "up to", "function")
    return [
        Listing("Between the two dumps", [moved]),
        Table("What did not move", heads, rows, frozenset({0})),
        Listing("What became more: a leak, if it goes on", grown),
    ]


def _since(minutes: int | None, state: str) -> str:
    if minutes is None:
        return "under a minute" if state and state not in RUNNING else "unknown"
    return elapsed(minutes * 60)


def _functions(top: Top, width: int | None) -> list[str]:
    """The table as pprof prints it, its names cut to a width: first their folders go, then what is too long."""
    lines = [printable(line) for line in (*top.heading, HEAD)]
    for row, summed in top.summed():
        line = printable(top.line(row, summed))
        if width and len(line) > width:
            line = line[:_NAME] + without_folders(line[_NAME:])
        lines.append(line if not width or len(line) <= width else f"{line[: width - 1]}…")
    return lines


def _stacks(diagnosis: Diagnosis) -> Stacks:
    first = diagnosis.evidence[0]
    return Stacks(
        title=f"{first.sample_type} of {first.source}: {diagnosis.main.title}",
        source=first.source,
        stacks=lambda: stacks(first),
        value=lambda value: units.label(value, first.unit),
        total=first.total,
    )


def stacks(evidence: Evidence) -> Iterator[tuple[Sequence[str], int]]:
    """All distinct stacks from the root to the leaf, each with its value. Raises `InputError` if a table was read."""
    if evidence.profile is None:
        problem = "a table has no stacks: the formats folded and svg need the profile itself"
        raise InputError(problem, source=evidence.source)
    return evidence.profile.stacks()


def _hotspots(diagnosis: Diagnosis, caches: Analysis) -> list[Table | Listing]:
    """What the export spends its time on, if it is the loop check."""
    if diagnosis.main.cause != "loop-check":
        return []
    return [tables.hotspots(caches, level=0), builds.hint(caches.known)]


def document(diagnosis: Diagnosis, caches: Analysis | None = None) -> dict[str, Any]:
    """The document as plain values, with keys in the order of the contract."""
    table = diagnosis.top
    return {
        **head("profile"),
        "inputs": [{"source": clean(evidence.source), "kind": clean(evidence.kind)} for evidence in diagnosis.evidence],
        "profile": _profile(diagnosis),
        "top": [_row(row, table.total) for row in table.rows],
        "dropped": {"nodes": table.dropped_nodes, "cum": table.dropped_cum},
        "phases": [{"phase": str(phase), "share": share} for phase, share in diagnosis.phases.items()],
        "phases_estimated": diagnosis.estimated,
        "diagnosis": [
            {
                "cause": str(finding.cause),
                "share": finding.share,
                "affects": finding.affects,
                "explanation": clean(finding.explanation),
                "ends": finding.ends,
                "outcome": outcome(finding, diagnosis),
                "fixed_in": finding.fixed_in,
                "evidence": [clean(line) for line in finding.evidence],
                "help": "\n".join(finding.help),
            }
            for finding in diagnosis.findings
        ],
        "exports": [_goroutines(export) for export in diagnosis.exports],
        "waits": [_goroutines(wait) for wait in diagnosis.waits],
        "twice": _compared(diagnosis.twice) if diagnosis.twice else None,
        "cores": diagnosis.cores,
        "go_version": diagnosis.go_version,
        "buildkit": diagnosis.buildkit,
        "remaining": _remaining(diagnosis.remaining) if diagnosis.remaining else None,
        "hotspots": hotspots(caches) if caches else [],
        "builds": builds_document.listed(caches.known) if caches else [],
    }


def _goroutines(group: Export | Wait) -> dict[str, Any]:
    return {
        "count": group.count,
        "phase": str(group.phase),
        "function": clean(group.function),
        "state": clean(group.state),
        "minutes": group.minutes,
    }


def _compared(twice: Twice) -> dict[str, Any]:
    def still(group: Sequence[Still]) -> list[dict[str, Any]]:
        return [
            {
                "count": item.count,
                "function": clean(item.function),
                "state": clean(item.state),
                "minutes": item.minutes,
            }
            for item in group
        ]

    return {
        "minutes": twice.minutes,
        "stuck": still(twice.stuck),
        "busy": still(twice.busy),
        "moved": twice.moved,
        "begun": twice.begun,
        "ended": twice.ended,
        "grown": [{"function": clean(item.function), "before": item.before, "now": item.now} for item in twice.grown],
    }


def _profile(diagnosis: Diagnosis) -> dict[str, Any]:
    first = diagnosis.evidence[0]
    return {
        "kind": clean(first.kind),
        "sample_type": clean(first.sample_type),
        "unit": clean(diagnosis.top.unit),
        "total": diagnosis.top.total,
        "duration_seconds": first.duration_seconds,
    }


def _row(row: Row, total: int) -> dict[str, Any]:
    return {
        "function": clean(row.function),
        "flat": row.flat,
        "cum": row.cum,
        "flat_percent": abs(row.flat) * 100 / total if total else 0.0,
        "cum_percent": abs(row.cum) * 100 / total if total else 0.0,
        "inline": row.inline == "inline",
        "partial_inline": row.inline == "partial-inline",
    }


def _remaining(left: Remaining) -> dict[str, Any]:
    def span(pair: tuple[float | None, float | None]) -> dict[str, float | None]:
        return {"min": pair[0], "max": pair[1]}

    return {
        "work": left.work,
        "count": {"min": number(left.fewest), "max": number(left.most)},
        "per_second": span(left.rate),
        "total_seconds": span(left.total),
        "elapsed_seconds": left.elapsed,
        "left_seconds": span(left.left),
        "never": left.never,
        "overdue": left.overdue,
    }
