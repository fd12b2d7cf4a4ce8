"""GitHub-flavored markdown, to be pasted into an issue.

Every foreign or composed text is escaped, so that nothing in it is markup, HTML, a mention or a link.
"""

from __future__ import annotations

import re

from cachedoctor.report import Part
from cachedoctor.report.page import Entry, Foreign, Listing, Page, Section, Style, Table, Verbatim
from cachedoctor.text import printable

NEEDS = Part.WORDS

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$&])")
_MARK = re.compile(r"^(\s*\d*)([#+=.)-])")
_ACTIVE = re.compile(r"(@|#(?=\d)|:(?=//)|\bwww(?=\.))")


def render(page: Page, style: Style) -> str:
    """Headings, lists and tables; only the verbosity of the style counts."""
    first, *others = page.headline
    blocks = [f"**cachedoctor {page.command}:** {escape(first.text)}"]
    blocks += [line(sentence.text) for sentence in others]
    for section in page.overview:
        if style.verbosity >= max(0, section.level):
            blocks += _section(section, style)
    for entry in page.shown(style.verbosity):
        blocks += _entry(entry)
    for section in page.sections:
        if style.verbosity >= max(0, section.level):
            blocks += _section(section, style)
    return "\n\n".join(blocks) + "\n"


def _entry(entry: Entry) -> list[str]:
    blocks = []
    if entry.title:
        heading = " ".join(filter(None, (entry.label, entry.title)))
        source = f" in {code(entry.source) if isinstance(entry.source, Foreign) else escape(entry.source)}"
        remark = f", {escape(entry.remark)}" if entry.remark else ""
        blocks.append(f"### {escape(heading)}{source if entry.source else ''}{remark}")
    affects = f" Affects: {escape(entry.affects)}." if entry.affects else ""
    blocks += [f"{line(text)}{affects if not index else ''}" for index, text in enumerate(entry.body)]
    steps = [step for group in entry.help for step in group.steps]
    if steps:
        blocks.append("\n".join(f"{number}. {_step(step)}" for number, step in enumerate(steps, 1)))
    return blocks


def _step(step: str) -> str:
    """A step, with its command below it."""
    text, _, command = step.partition("\n")
    return f"{escape(text)}\\\n   {code(command)}" if command else escape(text)


def _section(section: Section, style: Style) -> list[str]:
    if isinstance(section, Table):
        return _table(section, style)
    if isinstance(section, Listing):
        return _listing(section, style)
    return _verbatim(section)


def _table(table: Table, style: Style) -> list[str]:
    if not table.rows:
        return []
    width = len(table.rows[0])
    marks = ["---:" if index in table.right else "---" for index in range(width)]
    rows = [
        [code(cell) if isinstance(cell, Foreign) else escape(cell) for cell in row]
        for row in table.shown(style.verbosity)
    ]
    lines = [f"| {' | '.join(row)} |" for row in (list(table.heads) or [""] * width, marks, *rows)]
    note = [line(table.note)] if table.note else []
    return [f"### {escape(table.title)}", "\n".join(lines), *note]


def _listing(listing: Listing, style: Style) -> list[str]:
    if not listing.lines:
        return []
    lines = [f"- {line(text)}" for text in listing.shown(style.verbosity)]
    note = [line(listing.note)] if listing.note and style.verbosity <= 0 else []
    return [f"### {escape(listing.title)}", "\n".join(lines), *note]


def _verbatim(section: Verbatim) -> list[str]:
    lines = [printable(text) for text in section.lines(None)]
    fence = "`" * max(3, 1 + max((len(run) for text in lines for run in re.findall("`+", text)), default=0))
    title = [f"### {escape(section.title)}"] if section.title else []
    return [*title, "\n".join([fence, *lines, fence])]


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
