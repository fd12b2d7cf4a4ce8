"""The page of `analyze` and `check`."""

from __future__ import annotations

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.numbers import count, plural
from cachedoctor.report import Part
from cachedoctor.report import analysis_tables as tables
from cachedoctor.report import analysis_words as words
from cachedoctor.report.analysis_document import document
from cachedoctor.report.page import Entry, Foreign, Line, Listing, Page, Section, Steps, Tone
from cachedoctor.rules import Finding
from cachedoctor.text import short

PARTS = frozenset({Part.WORDS, Part.DOCUMENT, Part.FINDINGS})
MOST_LOOPS = 3
"""Loops that are shown unless every detail is asked for."""
_LOOP_RECORDS = 12
"""Records of a loop that are shown unless every detail is asked for."""


def page(analysis: Analysis) -> Page:
    """What an analysis has to say."""
    return Page(
        command="check" if analysis.check else "analyze",
        headline=_headline(analysis),
        entries=[_entry(finding, analysis) for finding in analysis.findings],
        sections=_sections(analysis) if analysis.documents else (),
        document=lambda: document(analysis),
        analysis=analysis,
    )


def _headline(analysis: Analysis) -> list[Line]:
    lines = []
    if analysis.check:
        tone = Tone.ERROR if analysis.failing else Tone.OK
        lines.append(Line(words.judgement(analysis, analysis.check), tone))
    lines.append(Line(words.headline(analysis), Tone(analysis.verdict)))
    if absent := words.absent(analysis):
        lines.append(Line(absent))
    return lines


def _entry(finding: Finding, analysis: Analysis) -> Entry:
    source = ""
    if len(analysis.documents) > 1 and finding.source:
        source = Foreign(finding.source)
    elif analysis.check and len(analysis.sources) > 1:
        source = words.TOGETHER
    return Entry(
        tone=Tone(finding.severity),
        label=str(finding.severity),
        title=f"{finding.rule} {finding.name}",
        affects=finding.affects,
        source=source,
        remark=words.KNOWN if finding.known else "",
        known=finding.known,
        body=(finding.message,),
        details=(_records(finding),) if finding.records else (),
        help=(Steps(finding.help),),
    )


def _records(finding: Finding) -> str:
    listed = [str(record) if isinstance(record, int) else short(record) for record in finding.records]
    more = f" and {count(finding.count - len(listed))} more" if finding.count > len(listed) else ""
    return f"{finding.noun.capitalize()}s: {', '.join(listed)}{more}"


def _sections(analysis: Analysis) -> list[Section]:
    asked = {finding.table for finding in analysis.findings}
    return [
        *_loops(analysis),
        tables.judged(analysis),
        tables.limits(analysis),
        tables.costs(analysis),
        tables.hotspots(analysis, level=0 if "hotspots" in asked else 1),
        tables.graph(analysis),
        tables.inputs(analysis),
    ]


def _loops(analysis: Analysis) -> list[Listing]:
    """The loops of the merged graph; how much of each is shown depends on the verbosity."""
    survey = analysis.survey
    listings = []
    for number, loop in enumerate(survey.loops):
        records = [survey.merged.records[item] for item in loop.example]
        names = [
            f"{survey.name(record)} {analysis.labels.get(survey.graph.digests[record], '')}".rstrip()
            for record in records
        ]
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
