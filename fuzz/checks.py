"""What must hold for every report: it is not empty, and text from outside stays data."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar
from xml.etree import ElementTree

_T = TypeVar("_T")
# Characters that move a terminal's cursor or change the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_JSON = frozenset({"json", "sarif", "gitlab"})


def one_of(choices: Sequence[_T], data: bytes) -> _T:
    """One of the choices, always the same for the same input: trying all of them each time would be slow."""
    return choices[zlib.crc32(data) % len(choices)]


def check_report(format: str, text: str) -> None:
    """Raise `AssertionError` if a report is empty, invalid in its format, or not safe to print."""
    assert text.endswith("\n") or format in ("github", "folded")
    unprintable = _UNPRINTABLE.search(text)
    assert not unprintable, (format, unprintable)
    if format in _JSON:
        json.loads(text)
    elif format in ("junit", "svg"):
        ElementTree.fromstring(text.encode())
