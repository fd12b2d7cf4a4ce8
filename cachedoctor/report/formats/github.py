"""Workflow commands of GitHub Actions, which become annotations, and then the text report for the log."""

from __future__ import annotations

from cachedoctor.builds.build import Location
from cachedoctor.builds.known import line
from cachedoctor.numbers import count, plural
from cachedoctor.report import Part
from cachedoctor.report.formats import text
from cachedoctor.report.page import Entry, Page, Style, Tone
from cachedoctor.report.places import path_in_repository
from cachedoctor.text import inert, printable

NEEDS = Part.WORDS
MOST = 10
"""Annotations of one kind that GitHub shows for a step."""
_OTHERS = 3
"""More lines of the Dockerfile that an annotation names."""
_COMMANDS = {Tone.ERROR: "error", Tone.WARNING: "warning", Tone.NOTE: "notice"}


def render(page: Page, style: Style) -> str:
    """Annotations first, the worst of them first, one a line; findings that a baseline knows are notices.

    Foreign text in the report cannot become a command.
    """
    lines = []
    for tone, command in _COMMANDS.items():
        entries = [entry for entry in _entries(page) if _tone(entry) is tone]
        shown = entries if len(entries) <= MOST else entries[: MOST - 1]
        lines += [annotation(command, _title(entry), _message(entry), _line(entry)) for entry in shown]
        if len(entries) > len(shown):
            rest = plural(len(entries) - len(shown), "more finding")
            lines.append(annotation(command, "cachedoctor", f"{rest}: see the log of this step."))
    plain = Style(width=style.width, verbosity=style.verbosity)
    return "".join(f"{line}\n" for line in lines) + inert(text.render(page, plain))


def _entries(page: Page) -> list[Entry]:
    """What becomes an annotation: the entries, or the headline if it says it all."""
    if page.analysis is not None or any(entry.title for entry in page.entries):
        return [entry for entry in page.entries if entry.title]
    first = page.headline[0]
    tone = first.tone if first.tone in _COMMANDS else Tone.NOTE
    return [Entry(tone, f"cachedoctor {page.command}", body=(first.text,))]


def _tone(entry: Entry) -> Tone:
    return Tone.NOTE if entry.known else entry.tone


def _title(entry: Entry) -> str:
    source = f" in {entry.source}" if entry.source else ""
    return f"{entry.title}{source}{' (known)' if entry.known else ''}"


def _message(entry: Entry) -> str:
    others = entry.lines[1 : 1 + _OTHERS]
    also = f" Also: {'; '.join(map(line, others))}" if others else ""
    more = f" and {count(len(entry.lines) - 1 - len(others))} more" if len(entry.lines) > 1 + _OTHERS else ""
    return f"{printable(entry.sentence)}{also}{more}"


def _line(entry: Entry) -> Location | None:
    """The line to show an entry at. Nobody has to change a line for a note."""
    return entry.lines[0] if entry.lines and entry.tone is not Tone.NOTE else None


def annotation(command: str, title: str, message: str, line: Location | None = None) -> str:
    """A command as the runner reads it: `toolkit/packages/core`, `escapeData` and `escapeProperty`."""
    place = f"file={_property(path_in_repository(line))},line={line.line},endLine={line.end_line}," if line else ""
    return f"::{command} {place}title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return inert(printable(text)).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
