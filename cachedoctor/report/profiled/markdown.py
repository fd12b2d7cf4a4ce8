"""The report of a profile as GitHub-flavoured markdown, to be pasted into an issue."""

from __future__ import annotations

from cachedoctor.diagnosis.causes import Cause
from cachedoctor.diagnosis.diagnose import Diagnosis, Finding
from cachedoctor.pprof import units
from cachedoctor.pprof.top import Top
from cachedoctor.report.formats.markdown import escape, line, table
from cachedoctor.report.interface import Style
from cachedoctor.report.profiled import words
from cachedoctor.report.tables import Data, Foreign


class Report:
    """Every foreign or composed text is escaped, so that nothing in it is markup, HTML, a mention or a link."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """Headings, lists and tables; only the verbosity of the style counts."""
        lines = [f"**cachedoctor: {diagnosis.main.cause}.** {escape(words.headline(diagnosis))}", ""]
        for finding in diagnosis.findings:
            lines += [
                f"### {finding.cause}",
                "",
                f"{escape(finding.explanation)}{_scope(finding)}",
                "",
                *(f"{number}. {escape(step)}" for number, step in enumerate(finding.help, 1)),
                "",
            ]
        if style.verbosity >= 0:
            if words.daemon(diagnosis):
                lines += [escape(words.daemon(diagnosis)), ""]
            lines += table("Where the time goes", words.phases(diagnosis))
            lines += table("Cache exports under way", words.exports(diagnosis.exports))
            lines += table("What goroutines of builds wait for", words.waits(diagnosis.waits))
            lines += table("Functions", _functions(diagnosis.top))
            lines += [f"{line(one)}  " for one in diagnosis.top.heading]
        return "\n".join(lines).rstrip("\n ") + "\n"


def _scope(finding: Finding) -> str:
    if finding.cause is Cause.OTHER:
        return ""
    return f" Affects: {escape(finding.affects)}. {escape(finding.ends)}"


def _functions(top: Top) -> Data:
    rows = [
        (
            top.value(row.flat),
            units.percentage(row.flat, top.total).strip(),
            units.percentage(summed, top.total).strip(),
            top.value(row.cum),
            units.percentage(row.cum, top.total).strip(),
            Foreign(f"{row.function} ({row.inline})" if row.inline else row.function),
        )
        for row, summed in top.summed()
    ]
    return Data(("flat", "flat%", "sum%", "cum", "cum%", "function"), rows, frozenset(range(5)))
