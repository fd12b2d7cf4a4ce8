"""The page of `analyze` and `check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cachedoctor.analysis.analyze import Analysis, Check
from cachedoctor.buildkit import (
    EVERY,
    LOOP_CHECK,
    LOSES_LINKS,
    REWRITTEN,
    SECONDS_PER_CALL,
    SECONDS_PER_MARSHAL_STEP,
    SECONDS_PER_WALK_STEP,
    Span,
)
from cachedoctor.builds.known import line
from cachedoctor.graph import cost
from cachedoctor.numbers import count, count_range, duration, plural, taking
from cachedoctor.report import analysis_sources as sources
from cachedoctor.report import analysis_tables as tables
from cachedoctor.report import builds
from cachedoctor.report.page import Entry, Foreign, Line, Listing, Page, Section, Steps, Table, Tone
from cachedoctor.rules import RULES, Finding, Severity
from cachedoctor.text import argument, printable, short

MOST_LOOPS = 3
"""Loops that are shown unless every detail is asked for."""
MOST_JOINED = 4
"""Sources that are written out in a command."""
_NOTES = 10
"""Notes on how sources were read that are shown."""
_LOOP_RECORDS = 12
"""Records of a loop that are shown unless every detail is asked for."""


def page(analysis: Analysis) -> Page:
    """What an analysis has to say."""
    if analysis.check and analysis.of_many:
        return _page_of_many(analysis, analysis.check)
    return Page(
        command="check" if analysis.check else "analyze",
        headline=_headline(analysis),
        entries=[_entry(finding, analysis) for finding in analysis.findings],
        sections=_sections(analysis) if analysis.documents else (),
        document=lambda: _document(analysis),
        analysis=analysis,
    )


def _document(analysis: Analysis) -> dict[str, Any]:
    """The JSON document; most reports never need what makes it."""
    from cachedoctor.report.analysis_document import document

    return document(analysis)


def _page_of_many(analysis: Analysis, check: Check) -> Page:
    """What a check of several sources has to say: totals, a line for each source, and advice once for each rule."""
    first = Line(judgement(analysis, check), Tone.ERROR if analysis.failing or check.unread else Tone.OK)
    return Page(
        command="check",
        headline=[first, *sources.headline(analysis, lambda purpose: next_export(analysis, purpose))],
        overview=sources.overview(analysis),
        entries=[*sources.unread_entries(check), *(_entry(finding, analysis) for finding in analysis.findings)],
        brief=sources.brief(analysis, lambda finding: _entry(finding, analysis)),
        sections=[*(_sections(analysis) if analysis.documents else ()), *sources.closing(analysis)],
        document=lambda: _document(analysis),
        analysis=analysis,
    )


def _headline(analysis: Analysis) -> list[Line]:
    lines = []
    if analysis.check:
        tone = Tone.ERROR if analysis.failing else Tone.OK
        lines.append(Line(judgement(analysis, analysis.check), tone))
    lines.append(Line(headline(analysis), Tone(analysis.verdict)))
    if len(analysis.sources) > 1 and LOSES_LINKS.concerns(analysis.buildkit):
        lines.append(Line(f"BuildKit {LOSES_LINKS} find fewer steps in several caches at once than in a joined one."))
    if missing := _missing(analysis):
        lines.append(Line(missing))
    refused = any(finding.refused_by == EVERY for finding in analysis.findings)
    lines += builds.headline(analysis.known, refused=refused)
    return lines + [Line(note, Tone.NOTE) for note in _notes(analysis)]


def _entry(finding: Finding, analysis: Analysis) -> Entry:
    source = ""
    if analysis.of_many:
        owner = analysis.owner(finding)
        source = Foreign(owner) if owner else tables.TOGETHER
    elif len(analysis.documents) > 1 and finding.source:
        source = Foreign(finding.source)
    return Entry(
        tone=Tone(finding.severity),
        label=str(finding.severity),
        title=f"{finding.rule} {finding.name}",
        affects=finding.affects,
        source=source,
        remark=tables.KNOWN if finding.known else "",
        known=finding.known,
        body=(finding.message,),
        details=tuple(_details(finding)),
        lines=finding.locations,
        # Its advice was shown when the baseline was written.
        help=() if finding.known else (Steps(finding.help),),
    )


def _details(finding: Finding) -> Iterator[str]:
    if finding.records:
        yield _records(finding)
    if finding.locations:
        yield f"Lines: {'; '.join(map(line, finding.locations))}"


def _records(finding: Finding) -> str:
    listed = [str(record) if isinstance(record, int) else short(record) for record in finding.records]
    more = f" and {count(finding.count - len(listed))} more" if finding.count > len(listed) else ""
    return f"{finding.noun.capitalize()}s: {', '.join(listed)}{more}"


def _sections(analysis: Analysis) -> list[Section]:
    asked = {finding.table for finding in analysis.findings}
    return [
        *builds.misses(analysis.known),
        *sources.details(analysis, _loops(analysis)),
        tables.limits(analysis),
        *sources.details(
            analysis,
            [
                tables.costs(analysis),
                builds.doublings(analysis.known) if "hotspots" in asked else Table("", (), ()),
                tables.hotspots(analysis, level=0 if "hotspots" in asked else 1),
                *builds.steps(analysis.known),
                tables.graph(analysis),
            ],
        ),
        tables.inputs(analysis)._replace(level=1 if analysis.check and analysis.check.costliest else 0),
        *_several(analysis),
        *([builds.hint(analysis.known)] if _names_steps(analysis) else []),
    ]


def _names_steps(analysis: Analysis) -> bool:
    """Whether the report would say which lines of a Dockerfile its records are."""
    return any(
        finding.records and finding.noun == "record" and finding.severity > Severity.NOTE
        for finding in analysis.findings
    )


def _several(analysis: Analysis) -> list[Listing]:
    """What is lost by importing several caches at once, where one would do."""
    few = len(analysis.sources) > 1 and not (analysis.check and analysis.check.costliest)
    if not few or not LOSES_LINKS.concerns(analysis.buildkit):
        return []
    names = " ".join(map(argument, analysis.sources)) if len(analysis.sources) <= MOST_JOINED else "SOURCE..."
    return [
        Listing(
            "Notes",
            [
                f"BuildKit {LOSES_LINKS} find fewer steps in several caches at once (moby/buildkit 4674). This joins "
                "them, so that each step is found:",
                f"cachedoctor repair {names} -o joined.json",
            ],
        )
    ]


def _loops(analysis: Analysis) -> list[Listing]:
    """The loops of the merged graph; how much of each is shown depends on the verbosity."""
    survey = analysis.survey
    listings = []
    for number, loop in enumerate(survey.loops):
        records = [survey.merged.records[item] for item in loop.example]
        names = [analysis.known.call(survey, record) for record in records]
        more = plural(len(survey.loops) - MOST_LOOPS, "more loop")
        listings.append(
            Listing(
                title=f"A loop of {plural(len(names), 'record')}, each an input of the next",
                lines=[*names, "and back to the first"],
                brief=[*names[:_LOOP_RECORDS], f"… {len(names) - _LOOP_RECORDS} more, and back to the first"]
                if len(names) > _LOOP_RECORDS
                else (),
                mark="→",
                level=0 if number < MOST_LOOPS else 1,
                note=f"{more}; -v shows all." if number == MOST_LOOPS - 1 and len(survey.loops) > MOST_LOOPS else "",
            )
        )
    return listings


def headline(analysis: Analysis) -> str:
    """The verdict in one sentence or two: whether the cache is used at all, and what the next export costs."""
    refused = [(finding.refused_by, finding) for finding in analysis.findings if finding.refused_by]
    if not analysis.documents:
        return "There is no cache yet."
    empty = not analysis.survey.order
    if refused:
        rest = "It has no record that a build could use." if empty else next_export(analysis, "to export its records")
        worst = max(refused, key=lambda pair: pair[0] == EVERY)
        return f"{_refusal(*worst)} {rest}"
    if empty:
        return "This cache is empty: it has no record that a build could use."
    complete = analysis.check is None or len(analysis.check.rules) == len(RULES)
    fine = "This cache is fine. " if analysis.verdict == "ok" and complete else ""
    export = fine + next_export(analysis, "for the next export")
    said = next((finding for finding in analysis.findings if finding.headline), None)
    if said is None:
        return export
    where = f"{printable(said.source)}: " if len(analysis.documents) > 1 else ""
    consequence = where + said.headline
    return f"{consequence} {export}" if said is analysis.findings[0] else f"{export} {consequence}"


def _refusal(refused_by: Span, finding: Finding) -> str:
    """Which releases refuse the cache, and because of which rule."""
    who = "BuildKit refuses" if refused_by == EVERY else f"BuildKit {refused_by} refuse"
    return f"{who} to import this cache ({finding.name})."


def next_export(analysis: Analysis, purpose: str) -> str:
    """What the next export costs, for each regime that is judged."""
    survey = analysis.survey
    loop_check = survey.loop_check
    marshal = cost.seconds(survey.marshal_steps, SECONDS_PER_MARSHAL_STEP)
    parts = []
    if LOOP_CHECK.concerns(analysis.buildkit):
        releases = str(analysis.buildkit or LOOP_CHECK)
        check = cost.seconds(loop_check.middle.calls, SECONDS_PER_CALL[1])
        also = " and marshaling its results" if marshal is None or (check is not None and marshal > check + 1) else ""
        time = taking(_sum(check, marshal))
        parts.append(f"BuildKit {releases} would need {calls(loop_check)}{also}{time} {purpose}")
    rewritten = REWRITTEN.concerns(analysis.buildkit)
    if rewritten or not parts:
        releases = str(analysis.buildkit or REWRITTEN)
        walk = cost.seconds(survey.walk.steps, SECONDS_PER_WALK_STEP) if rewritten else 0.0
        time = duration(_sum(walk, marshal))
        parts.append(f"{releases}: {time}" if parts else f"BuildKit {releases} would need {time} {purpose}")
    return f"{'; '.join(parts)}."


def _sum(*seconds: float | None) -> float | None:
    return None if None in seconds else sum(second for second in seconds if second is not None)


def calls(loop_check: cost.LoopCheckCost) -> str:
    """The loop-check calls, with the word that says how well they are known."""
    fewest, middle, most = loop_check.orders[0].calls, loop_check.middle.calls, loop_check.orders[-1].calls
    if count(fewest) == count(most):
        return plural(middle, "check") if loop_check.exact else f"about {plural(middle, 'check')}"
    return f"{count_range(fewest, most)} checks, usually {count(middle)}"


def judgement(analysis: Analysis, check: Check) -> str:
    """Whether a check failed and why; with several sources, also where, and whether all could be read."""
    failing = analysis.failing
    known = sum(finding.known for finding in analysis.findings)
    rest = f" ({plural(known, 'finding')} known from the baseline)" if known else ""
    unread = sources.incomplete(analysis)
    if not failing:
        new = "new " if known else ""
        level = (
            f"no {new}errors" if check.fail_on is Severity.ERROR else f"nothing of severity {check.fail_on} or worse"
        )
        if unread:
            return f"Check not complete: {unread}; {level} in the others{rest}."
        return f"Check passed: {level}{rest}."
    also = f" The check is not complete: {unread}." if unread else ""
    return f"Check failed: {', '.join(sources.causes(analysis))}{rest}.{also}"


def _notes(analysis: Analysis) -> list[str]:
    """What has to be known about how the sources were read, each once."""
    several = len(analysis.sources) > 1
    notes = [f"{read.source}: {note}" if several else note for read in analysis.inputs for note in read.notes]
    distinct = list(dict.fromkeys(notes))
    more = [f"{plural(len(distinct) - _NOTES, 'more note')} of this kind."] if len(distinct) > _NOTES else []
    return distinct[:_NOTES] + more


def _missing(analysis: Analysis) -> str:
    """The sources that do not exist yet; empty if all do."""
    missing = analysis.check.missing if analysis.check else ()
    return f"Not there yet: {', '.join(missing)}." if missing else ""
