"""What holds for every report: it says something, and what is foreign in it stays data."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar
from xml.etree import ElementTree

_T = TypeVar("_T")
# What moves a terminal's cursor, or turns the direction of what follows.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_JSON = frozenset({"json", "sarif", "gitlab"})


def one_of(choices: Sequence[_T], data: bytes) -> _T:
    """One of them, always the same for the same input: all of them in each execution would be slow."""
    return choices[zlib.crc32(data) % len(choices)]


def check_report(format: str, text: str) -> None:
    """Raise `AssertionError` where a report is empty, no document of its format, or not fit for a terminal."""
    assert text.endswith("\n") or format in ("github", "folded")
    found = _UNPRINTABLE.search(text)
    assert not found, (format, found)
    if format in _JSON:
        json.loads(text)
    elif format in ("junit", "svg"):
        ElementTree.fromstring(text.encode())
