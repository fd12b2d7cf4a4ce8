"""The screen that reports for a terminal are drawn on."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from cachedoctor.report.interface import Style


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
