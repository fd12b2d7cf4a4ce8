"""The report of a profile for a terminal: the cause first, then what to do, then where the time goes."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cachedoctor.diagnosis.causes import Cause
from cachedoctor.diagnosis.diagnose import Diagnosis, Finding
from cachedoctor.pprof.top import HEAD, Top
from cachedoctor.report.interface import Style
from cachedoctor.report.profiled import words
from cachedoctor.report.screen import drawn, print_table, screen
from cachedoctor.text import printable

_NAME = len(HEAD) + 2


class Report:
    """Sixteen colours of the user's own theme at most, and none is needed to understand it."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """Lines of at most `style.width` columns; names of functions are cut to it unless every detail is asked for."""
        console = screen(style)
        known = diagnosis.main.cause is not Cause.OTHER
        console.print(Text(words.headline(diagnosis), style="bold red" if known else "bold yellow"))
        for finding in diagnosis.findings:
            told = diagnosis.remaining is not None and finding is diagnosis.main
            self._finding(console, finding, with_end=not told)
        if style.verbosity >= 0:
            if words.daemon(diagnosis):
                console.print()
                console.print(Text(words.daemon(diagnosis)))
            estimated = " (estimated from a table)" if diagnosis.estimated else ""
            print_table(console, "Where the time goes" + estimated, words.phases(diagnosis))
            print_table(console, "Cache exports under way", words.exports(diagnosis.exports))
            print_table(console, "What goroutines of builds wait for", words.waits(diagnosis.waits))
            self._top(console, diagnosis.top, style)
        return drawn(console)

    @staticmethod
    def _finding(console: Console, finding: Finding, *, with_end: bool) -> None:
        console.print()
        if finding.cause is not Cause.OTHER:
            console.print(Text.assemble((str(finding.cause), "bold"), f" (affects: {finding.affects})"))
            console.print(Padding(Text(finding.explanation), (0, 0, 0, 2)))
            if with_end:
                console.print(Padding(Text(f"Does it end? {finding.ends}"), (0, 0, 0, 2)))
        number = 0
        for title, steps in (("Now", finding.now), ("For good", finding.for_good)):
            console.print(Padding(Text(title, style="bold"), (0, 0, 0, 2)))
            for step in steps:
                number += 1
                line = Table.grid(padding=(0, 1))
                line.add_row(Text(f"{number}."), Text(step))
                console.print(Padding(line, (0, 0, 0, 2)))

    @staticmethod
    def _top(console: Console, top: Top, style: Style) -> None:
        console.print()
        width = None if style.verbosity > 0 else style.width
        for line in _lines(top, width):
            console.print(Text(line), no_wrap=True, overflow="ignore", crop=False)


def _lines(top: Top, width: int | None) -> list[str]:
    """The table as pprof prints it, its names cut to a width: first their folders go, then what is too long."""
    lines = [printable(line) for line in (*top.heading, HEAD)]
    for row, summed in top.summed():
        line = printable(top.line(row, summed))
        if width and len(line) > width:
            line = line[:_NAME] + words.shortened(line[_NAME:])
        lines.append(line if not width or len(line) <= width else f"{line[: width - 1]}…")
    return lines
