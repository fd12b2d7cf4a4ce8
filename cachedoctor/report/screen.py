"""The screen that reports for a terminal are drawn on."""

from __future__ import annotations

from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cachedoctor.report.interface import Style
from cachedoctor.report.tables import Data
from cachedoctor.text import printable


def screen(style: Style) -> Console:
    """A console in memory that takes nothing for markup, and has sixteen colours or none."""
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


def drawn(console: Console) -> str:
    """What was drawn on it, line by line, without blanks at the ends."""
    file = console.file
    assert isinstance(file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def print_table(console: Console, title: str, data: Data) -> None:
    """A table below its title; nothing where it has no rows."""
    if not data.rows:
        return
    console.print()
    console.print(Text(title, style="bold"))
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_header=bool(data.heads))
    for index, head in enumerate(data.heads or data.rows[0]):
        right = index in data.right
        table.add_column(
            head if data.heads else "", justify="right" if right else "left", overflow="fold", no_wrap=right
        )
    for row in data.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(Padding(table, (0, 0, 0, 2)))
