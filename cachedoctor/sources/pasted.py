"""JSON as people paste it into issues: with comments, code fences, or text around it."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_BYTES = 16 << 20
"""Bytes of a text in which JSON is looked for."""

_FENCE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})[^`\n]*")
_START = re.compile(r'^[ \t]*([{\[])(?=[ \t]*(?:["{\[\]}/#]|\r?$))', re.MULTILINE)
"""The first line of JSON: unlike a line of a log such as `[INFO] …`, it has what JSON may have behind its bracket."""
_TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*+"?'
    r"|//[^\n]*+|#[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/)?"
    r"|\.{2,}|…|[{\[\]}]"
)
"""A string, a comment, a mark for what was left out, or a bracket."""
_LAST_COMMA = re.compile(r'("(?:[^"\\\n]|\\.)*+"?)|,(?=\s*+[\]}])')
"""A string, or a comma that nothing follows."""
_LEFT_OUT = re.compile(
    r"\.{2,}|…|\b(?:snip\w*|omitted|omit|truncated?|elided|left out|cut|redacted|\d+ more|and more|etc)\b",
    re.IGNORECASE,
)
"""What a comment says that stands for a part of the document."""


class Pasted(NamedTuple):
    """JSON that was found in a text."""

    data: bytes
    """Without comments and whatever is around it; not yet parsed."""
    is_cut: bool
    """Whether parts of it were left out, going by marks such as `// ...`."""


def find(data: bytes) -> Pasted | None:
    """The JSON in a text; `None` if there is none, if it never ends, or if there could be several. O(bytes)."""
    if len(data) > MOST_BYTES:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    blocks = [found for block in _blocks(text) if (found := _json(block))]
    return blocks[0] if len(blocks) == 1 else None


def begins_in(data: bytes) -> bool:
    """Whether JSON seems to begin somewhere in a text, perhaps without an end."""
    return _START.search(data.decode(errors="replace")) is not None


def _blocks(text: str) -> list[str]:
    """The fenced blocks of a text in markdown; the text itself if it has no fences."""
    blocks: list[list[str]] = []
    inside = False
    for line in text.split("\n"):
        if _FENCE.fullmatch(line.rstrip()):
            inside = not inside
            blocks += [[]] if inside else []
        elif inside:
            blocks[-1].append(line)
    return ["\n".join(block) for block in blocks] or [text]


def _json(text: str) -> Pasted | None:
    start = _START.search(text)
    if start is None:
        return None
    kept: list[str] = []
    depth = is_cut = 0
    position = start.start(1)
    for token in _TOKEN.finditer(text, position):
        kept.append(text[position : token.start()])
        position = token.end()
        found = token[0]
        if found in "{[":
            depth += 1
        elif found in "]}":
            depth -= 1
        if found in "{}[]" or found[0] == '"':
            kept.append(found)
        else:
            is_cut |= _LEFT_OUT.search(found) is not None
        if not depth:
            if _START.search(text, position):
                return None
            return Pasted(_LAST_COMMA.sub(lambda match: match[1] or "", "".join(kept)).encode(), bool(is_cut))
    return None
