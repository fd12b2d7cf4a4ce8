"""A page drawn for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from cachedoctor.report.page import Entry, Listing, Page, Section, Style, Table, Tone, Verbatim
from cachedoctor.text import printable

_COLORS = {
    Tone.PLAIN: "",
    Tone.OK: "bold green",
    Tone.NOTE: "bold blue",
    Tone.WARNING: "bold yellow",
    Tone.ERROR: "bold red",
}


def draw(page: Page, style: Style) -> str:
    """The page, line by line, without blanks at the ends of lines."""
    console = _console(style)
    for line in page.headline:
        console.print(Text(printable(line.text), style=_COLORS[line.tone]))
    for section in page.overview:
        if style.verbosity >= max(0, section.level):
            _print_section(console, section, style)
    for entry in page.shown(style.verbosity):
        if style.verbosity >= 0 or entry.tone is not Tone.NOTE:
            _print_entry(console, entry, style)
    for section in page.sections:
        if style.verbosity >= max(0, section.level):
            _print_section(console, section, style)
    file = console.file
    assert isinstance(file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _console(style: Style) -> Console:
    """A console in memory that takes nothing for markup, and has sixteen colors or none."""
    return Console(
        file=StringIO(),
        width=style.width,
        force_terminal=style.color,
        color_system="standard" if style.color else None,
        no_color=not style.color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2))


def _print_entry(console: Console, entry: Entry, style: Style) -> None:
    console.print()
    if entry.title:
        console.print(_heading(entry))
    for paragraph in (*entry.body, *(entry.details if style.verbosity > 0 else ())):
        console.print(_indented(Text(printable(paragraph))))
    brief = entry.tone is Tone.NOTE and style.verbosity <= 0
    number = 0
    for group in entry.help:
        if group.title:
            console.print(_indented(Text(group.title, style="bold")))
        _print_steps(console, group.steps[:1] if brief else group.steps, number, alone=_is_alone(entry, brief))
        number += len(group.steps)


def _is_alone(entry: Entry, brief: bool) -> bool:
    return brief or sum(len(group.steps) for group in entry.help) == 1


def _print_steps(console: Console, steps: Sequence[str], number: int, *, alone: bool) -> None:
    for index, step in enumerate(steps, number + 1):
        line = Grid.grid(padding=(0, 1))
        text, _, command = step.partition("\n")
        line.add_row(Text("→" if alone else f"{index}."), Text(printable(text)))
        console.print(_indented(line))
        if command:
            # Whole, so that it can be copied.
            console.print(Text(f"     {printable(command)}"), no_wrap=True, overflow="ignore", crop=False)


def _heading(entry: Entry) -> Text:
    text = Text()
    if entry.label:
        text.append(f"{entry.label} ", style=_COLORS[entry.tone])
    text.append(entry.title, style="bold")
    if entry.affects:
        text.append(f" ({entry.affects})")
    if entry.source:
        text.append(f" in {printable(entry.source)}")
    if entry.remark:
        text.append(f", {printable(entry.remark)}")
    return text


def _print_section(console: Console, section: Section, style: Style) -> None:
    if isinstance(section, Table):
        _print_table(console, section, style)
    elif isinstance(section, Listing):
        _print_listing(console, section, style)
    else:
        _print_verbatim(console, section, style)


def _print_table(console: Console, table: Table, style: Style) -> None:
    if not table.rows:
        return
    console.print()
    console.print(Text(table.title, style="bold"))
    grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=bool(table.heads))
    for index, head in enumerate(table.heads or table.rows[0]):
        right = index in table.right
        heading = head if table.heads else ""
        grid.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in table.shown(style.verbosity):
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console.print(_indented(grid))
    if table.note:
        console.print(_indented(Text(table.note, style="italic")))


def _print_listing(console: Console, listing: Listing, style: Style) -> None:
    if not listing.lines:
        return
    console.print()
    console.print(Text(listing.title, style="bold"))
    for line in listing.shown(style.verbosity):
        text = Text(printable(f"{listing.mark} {line}".strip()))
        if listing.mark:
            console.print(Text("  ") + text, no_wrap=True, overflow="ellipsis")
        else:
            console.print(_indented(text))
    if listing.note and style.verbosity <= 0:
        console.print(_indented(Text(listing.note)))


def _print_verbatim(console: Console, section: Verbatim, style: Style) -> None:
    console.print()
    if section.title:
        console.print(Text(section.title, style="bold"))
    for line in section.lines(None if style.verbosity > 0 else style.width):
        console.print(Text(printable(line)), no_wrap=True, overflow="ignore", crop=False)
