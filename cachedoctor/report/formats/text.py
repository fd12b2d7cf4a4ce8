"""The report for a terminal: the answer first, then why, then what it costs."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.numbers import count, plural
from cachedoctor.report import tables, words
from cachedoctor.report.interface import Style
from cachedoctor.report.screen import drawn, print_table, screen
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import printable, short

_COLOR = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold blue"}
_VERDICT = {"error": "bold red", "warning": "bold yellow", "ok": "bold green"}
MOST_LOOPS = 3
"""Loops that are drawn unless every detail is asked for."""


class Report:
    """Sixteen colours of the user's own theme at most, and none is needed to understand it."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """Lines of at most `style.width` columns."""
        console = screen(style)
        if analysis.check:
            color = _VERDICT["error" if analysis.failing else "ok"]
            console.print(Text(words.judgement(analysis, analysis.check), style=color))
        console.print(Text(words.headline(analysis), style=_VERDICT[analysis.verdict]))
        if absent := words.absent(analysis):
            console.print(Text(absent))
        if not analysis.documents:
            return drawn(console)
        self._findings(console, analysis, style)
        if style.verbosity >= 0:
            self._loops(console, analysis, style)
            print_table(console, "Judged", tables.judged(analysis))
            print_table(console, "Limits", tables.limits(analysis))
            print_table(console, "Cost of the next export", tables.costs(analysis))
            self._note(console, tables.COST_NOTE)
            if style.verbosity > 0 or any(finding.table == "hotspots" for finding in analysis.findings):
                print_table(console, "Hotspots of the loop check", tables.hotspots(analysis))
            print_table(console, "Graph", tables.graph(analysis))
            print_table(console, "Read", tables.inputs(analysis))
        return drawn(console)

    @staticmethod
    def _findings(console: Console, analysis: Analysis, style: Style) -> None:
        for finding in analysis.findings:
            if finding.severity is Severity.NOTE and style.verbosity < 0:
                continue
            console.print()
            console.print(_heading(finding, analysis))
            console.print(Padding(Text(printable(finding.message)), (0, 0, 0, 2)))
            if style.verbosity > 0 and finding.records:
                console.print(Padding(Text(_records(finding)), (0, 0, 0, 2)))
            steps = finding.help if finding.severity > Severity.NOTE or style.verbosity > 0 else finding.help[:1]
            for number, step in enumerate(steps, 1):
                mark = f"{number}." if len(steps) > 1 else "→"
                line = Table.grid(padding=(0, 1))
                line.add_row(Text(mark), Text(step))
                console.print(Padding(line, (0, 0, 0, 2)))

    @staticmethod
    def _loops(console: Console, analysis: Analysis, style: Style) -> None:
        survey = analysis.survey
        most = len(survey.loops) if style.verbosity > 0 else MOST_LOOPS
        for loop in survey.loops[:most]:
            console.print()
            cycle = [survey.merged.records[item] for item in loop.example]
            title = f"A loop of {plural(len(cycle), 'record')}, each made from the one above"
            console.print(Text(title, style="bold"))
            shown = cycle if style.verbosity > 0 else cycle[:12]
            for record in shown:
                label = printable(analysis.labels.get(survey.graph.digests[record], ""))
                console.print(Text(f"  → {survey.name(record)} {label}".rstrip()), no_wrap=True, overflow="ellipsis")
            end = "and back to the first" if len(shown) == len(cycle) else f"… {len(cycle) - len(shown)} more, and back"
            console.print(Text(f"  → {end}"))
        if len(survey.loops) > most:
            console.print(Text(f"  {plural(len(survey.loops) - most, 'more loop')}; -v shows all."))

    @staticmethod
    def _note(console: Console, note: str) -> None:
        console.print(Padding(Text(note, style="italic"), (0, 0, 0, 2)))


def _heading(finding: Finding, analysis: Analysis) -> Text:
    text = Text()
    text.append(str(finding.severity), style=_COLOR[finding.severity])
    text.append(f" {finding.rule} {finding.name}", style="bold")
    text.append(f" ({finding.affects})")
    if len(analysis.documents) > 1 and finding.source:
        text.append(f" in {printable(finding.source)}")
    elif analysis.check and len(analysis.sources) > 1:
        text.append(f" in {words.TOGETHER}")
    if finding.known:
        text.append(f", {words.KNOWN}")
    return text


def _records(finding: Finding) -> str:
    named = [str(item) if isinstance(item, int) else short(item) for item in finding.records]
    rest = f" and {count(finding.count - len(named))} more" if finding.count > len(named) else ""
    return f"{finding.noun.capitalize()}s: {', '.join(named)}{rest}"
