"""Text as people have it: from a log, a terminal, an issue, another system."""

from __future__ import annotations

import re

from cachedoctor.errors import InputError
from cachedoctor.io.streams import encoding_of

MOST_LINES = 3_000_000
"""Of one text: a dump of the most bytes has fewer, since the lines of a goroutine have some fifty bytes."""
# A quotation, the name of a container, a time: what mail, docker compose and kubectl write before each line.
_BEFORE = re.compile(
    r"(?:> ?)*(?:[\w./-]{1,80} +\| ?)?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? ?)?"
)


def is_text(head: bytes) -> bool:
    """Whether bytes are the start of a text."""
    if encoding_of(head):
        return True
    # The lengths and numbers in a profile.proto are control characters.
    return not any(byte < 0x20 and byte not in b"\t\n\r\x0c\x1b" for byte in head)


def lines(data: bytes, source: str) -> list[str]:
    """The lines of a text, without what programs and people put before each of them, but with its indentation.

    Raises `InputError` where there are too many.
    """
    encoding = encoding_of(data) or "utf-8"
    text = data.decode(encoding, "replace" if encoding == "utf-16" else "backslashreplace")
    found = text.splitlines()
    if len(found) > MOST_LINES:
        raise InputError(f"more than {MOST_LINES:,} lines of text, which is refused", source=source)
    return [line[_end(line) :].rstrip() for line in found]


def _end(line: str) -> int:
    found = _BEFORE.match(line)
    return found.end() if found else 0


def outdented(lines: list[str], anchor: str) -> list[str]:
    """The lines without the indentation that the first line with this word at its start has."""
    first = next((line for line in lines if line.lstrip().startswith(anchor)), "")
    indent = first[: len(first) - len(first.lstrip())]
    return [line.removeprefix(indent) for line in lines] if indent else lines
