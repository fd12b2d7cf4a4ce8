"""What every command shows: a page, which the formats render, and nothing of how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cachedoctor.analysis.analyze import Analysis
    from cachedoctor.builds.build import Location


class Tone(StrEnum):
    """How bad a text is."""

    PLAIN = "plain"
    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Foreign(str):
    """A text that comes from a file or a registry, to be shown as it is and copied."""

    __slots__ = ()


class Style(NamedTuple):
    """How a page for people looks."""

    width: int = 80
    """Columns of the terminal."""
    color: bool = False
    verbosity: int = 0
    """-1 for the verdict and the findings alone, 0 for the usual, 1 for every detail."""


class Line(NamedTuple):
    """A sentence of the headline."""

    text: str
    tone: Tone = Tone.PLAIN


class Steps(NamedTuple):
    """What to do, in order. What stands in a step behind a line break is a command to type."""

    steps: Sequence[str]
    title: str = ""


class Entry(NamedTuple):
    """A finding or a cause: what it is, why, and what to do. Foreign text in it is not escaped."""

    tone: Tone
    title: str
    """The id and name of a rule, or a cause such as `loop-check`; empty if the headline already says it."""
    label: str = ""
    """Stands before the title: `error`."""
    affects: str = ""
    """The releases of BuildKit that it affects."""
    source: str = ""
    """What it was found in; empty if that goes without saying."""
    remark: str = ""
    known: bool = False
    """Whether a baseline has it, so that it is worth a remark and no more."""
    body: Sequence[str] = ()
    """Paragraphs."""
    details: Sequence[str] = ()
    """More of them, for those who want every detail."""
    help: Sequence[Steps] = ()
    lines: Sequence[Location] = ()
    """The lines of the Dockerfile that cause it, most first."""

    @property
    def sentence(self) -> str:
        """What it is and what helps most, in one line."""
        first = next((group.steps[0] for group in self.help if group.steps), "")
        return " ".join(filter(None, (*self.body[:1], *first.split("\n"))))


class Table(NamedTuple):
    """Rows below a title, left out if there are none. Cells from outside are `Foreign`."""

    title: str
    heads: Sequence[str]
    """Column heads; none for a list of facts."""
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    """The columns that are numbers."""
    note: str = ""
    level: int = 0
    """The verbosity from which it is shown."""
    brief: Sequence[Sequence[str]] = ()
    """Fewer rows, shown instead unless every detail is asked for; empty to show all."""

    def shown(self, verbosity: int) -> Sequence[Sequence[str]]:
        """The rows for a verbosity."""
        return self.rows if verbosity > 0 or not self.brief else self.brief


class Listing(NamedTuple):
    """Lines below a title, left out if there are none."""

    title: str
    lines: Sequence[str]
    brief: Sequence[str] = ()
    """Fewer lines, shown instead unless every detail is asked for; empty to show all."""
    mark: str = ""
    """Stands before each line, such as an arrow."""
    note: str = ""
    """Shown below unless every detail is asked for."""
    level: int = 0

    def shown(self, verbosity: int) -> Sequence[str]:
        """The lines for a verbosity."""
        return self.lines if verbosity > 0 or not self.brief else self.brief


class Verbatim(NamedTuple):
    """Lines that are shown as they are, such as a table of pprof."""

    title: str
    lines: Callable[[int | None], Sequence[str]]
    """The lines for a width in columns, `None` for any."""
    level: int = 0


Section = Table | Listing | Verbatim


class Stacks(NamedTuple):
    """The stacks of a profile."""

    title: str
    source: str
    stacks: Callable[[], Iterable[tuple[Sequence[str], int]]]
    """Each distinct stack, from the root to the leaf, with its value."""
    value: Callable[[int], str]
    """A value with its unit."""
    total: int


class Page(NamedTuple):
    """All that a command has to say."""

    command: str
    headline: Sequence[Line]
    """The answer first."""
    entries: Sequence[Entry]
    sections: Sequence[Section]
    document: Callable[[], dict[str, Any]]
    analysis: Analysis | None = None
    """Where the findings are from, `None` if there are none."""
    stacks: Stacks | None = None
    overview: Sequence[Section] = ()
    """Sections that come before the entries."""
    brief: Sequence[Entry] | None = None
    """Fewer entries, shown to people instead unless every detail is asked for; `None` to show all."""

    def shown(self, verbosity: int) -> Sequence[Entry]:
        """The entries that people see at a verbosity."""
        return self.entries if verbosity > 0 or self.brief is None else self.brief
