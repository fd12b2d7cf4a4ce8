"""The formats of reports: one module each, found by listing this folder.

A format is a module with `NEEDS`, the part of a page that it renders, and `render(page, style)`, which gives the whole
report with a line break at its end, in which foreign text is escaped for the format. Its docstring says what it is for.
What takes time to import is imported in its functions.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection
from importlib import import_module
from typing import Protocol, cast

from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style

_FIRST = ("text", "json", "markdown")
"""The formats that every command has, in the order in which help lists them; the others follow by name."""


class Format(Protocol):
    """What a module of this package has."""

    NEEDS: Part
    __doc__: str | None

    def render(self, page: Page, style: Style) -> str:
        """The whole report. Raises `InputError` if what was read does not have what the format shows."""


def named(name: str) -> Format:
    """The format of this name."""
    return cast(Format, import_module(f"{__name__}.{name}"))


def fits(name: str, parts: Collection[Part]) -> bool:
    """Whether there is a format of this name that can render a page with these parts."""
    return name in _listed() and named(name).NEEDS in parts


def names(parts: Collection[Part]) -> list[str]:
    """The formats that can render a page with these parts."""
    fitting = [name for name in _listed() if named(name).NEEDS in parts]
    return sorted(fitting, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))


def _listed() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")]
