"""What the JSON documents of all commands have in common."""

from __future__ import annotations

from typing import Any

from cachedoctor import __version__
from cachedoctor.numbers import digits, log10

SCHEMA_VERSION = 1


def head(command: str) -> dict[str, Any]:
    """The keys that every document begins with."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "tool": {"name": "cachedoctor", "version": __version__},
    }


def clean(text: str) -> str:
    """Text that UTF-8 can hold: a file name may have bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def number(value: int) -> dict[str, Any]:
    """A count that may outgrow 64 bits."""
    return {"value": digits(value), "log10": log10(value)}
