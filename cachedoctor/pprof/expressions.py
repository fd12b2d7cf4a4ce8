"""Regular expressions from users and from files: RE2, as pprof has it, and linear whatever they are."""

from __future__ import annotations

from typing import Protocol


class Expression(Protocol):
    """What can be looked for."""

    def search(self, text: str, /) -> object:
        """Something true where it matches anywhere."""


def compiled(text: str) -> Expression:
    """An expression that can be searched for. Raises `ValueError` where it is none."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        made: Expression = re2.compile(text, options)
    except re2.error as error:
        raise ValueError("it is no regular expression") from error
    return made
