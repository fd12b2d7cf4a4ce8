"""JSON for scripts and CI jobs: exact counts as strings of digits, digests as they are."""

from __future__ import annotations

import re
from typing import Any

from cachedoctor import __version__
from cachedoctor.numbers import digits, log10
from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style

NEEDS = Part.DOCUMENT
SCHEMA_VERSION = 1

# What orjson leaves as it is and a terminal would obey, or nobody would see: C1 controls, format characters, line
# separators, private ones.
_UNPRINTABLE = (
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ue000-\uf8ff\ufeff\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000f0000-\U0010ffff]"
)


def render(page: Page, style: Style) -> str:
    """One document, indented by two, and a line break; the style makes no difference."""
    return dumps(page.document())


def dumps(value: Any) -> str:
    """A JSON text with everything escaped that could steer a terminal, or the runner of GitHub Actions.

    The runner takes `##[` for a command; in a JSON document it can only be in a string.
    """
    import orjson

    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return re.sub(_UNPRINTABLE, _escaped, text).replace("##[", "#\\u0023[")


def _escaped(match: re.Match[str]) -> str:
    import json

    return json.dumps(match[0])[1:-1]


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
