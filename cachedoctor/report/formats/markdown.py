"""The report as GitHub-flavoured markdown, to be pasted into an issue."""

from __future__ import annotations

import re

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.report import tables, words
from cachedoctor.report.interface import Style
from cachedoctor.rules import Finding
from cachedoctor.text import printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$&])")
_MARK = re.compile(r"^(\s*\d*)([#+=.)-])")
_ACTIVE = re.compile(r"(@|#(?=\d)|:(?=//)|\bwww(?=\.))")


class Report:
    """Every foreign or composed text is escaped, so that nothing in it is markup, HTML, a mention or a link."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """Headings, lists and tables; only the verbosity of the style counts."""
        lines = [f"**cachedoctor: {analysis.verdict}.** {escape(words.headline(analysis))}", ""]
        if analysis.check:
            lines = [f"**{escape(words.judgement(analysis, analysis.check))}**", "", *lines]
        if absent := words.absent(analysis):
            lines += [escape(absent), ""]
        for finding in analysis.findings:
            lines += [
                f"### {finding.severity} {finding.rule} {finding.name}{_place(finding, analysis)}",
                "",
                f"{escape(finding.message)} Affects: {escape(finding.affects)}.",
                "",
                *(f"{number}. {escape(step)}" for number, step in enumerate(finding.help, 1)),
                "",
            ]
        if style.verbosity >= 0 and analysis.documents:
            for title, data in (
                ("Judged", tables.judged(analysis)),
                ("Limits", tables.limits(analysis)),
                ("Cost of the next export", tables.costs(analysis)),
                ("Hotspots of the loop check", tables.hotspots(analysis)),
                ("Graph", tables.graph(analysis)),
                ("Read", tables.inputs(analysis)),
            ):
                lines += table(title, data)
        return "\n".join(lines).rstrip("\n") + "\n"


def _place(finding: Finding, analysis: Analysis) -> str:
    place = ""
    if len(analysis.documents) > 1 and finding.source:
        place = f" in {code(finding.source)}"
    elif analysis.check and len(analysis.sources) > 1:
        place = f" in {words.TOGETHER}"
    return f"{place}, {words.KNOWN}" if finding.known else place


def escape(text: str) -> str:
    """Text as markdown shows it, without markup, HTML, links, mentions and references to issues."""
    return _ACTIVE.sub("\\1\u2060", _SPECIAL.sub(r"\\\1", printable(text)))


def line(text: str) -> str:
    """The same at the beginning of a line, where a mark could begin a heading, a list or a rule."""
    return _MARK.sub(r"\1\\\2", escape(text))


def code(text: str) -> str:
    """Text as a code span in a cell of a table, to be copied as it is."""
    shown = printable(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if "`" in shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown.strip() else escape(shown)


def table(title: str, data: tables.Data) -> list[str]:
    if not data.rows:
        return []
    width = len(data.rows[0])
    heads = data.heads or ("",) * width
    marks = ["---:" if index in data.right else "---" for index in range(width)]
    rows = [[code(cell) if isinstance(cell, tables.Foreign) else escape(cell) for cell in row] for row in data.rows]
    lines = [f"| {' | '.join(row)} |" for row in (list(heads), marks, *rows)]
    return [f"### {title}", "", *lines, ""]
