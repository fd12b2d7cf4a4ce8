"""JSON from outside: weighed before it is parsed, and checked against the types that are expected."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from cachedoctor.errors import InputError
from cachedoctor.io.json import parse as parse_json
from cachedoctor.io.memory import Crowded, address_space, claim, is_shared, lacking

FREE_VALUES = 100_000
"""Objects and arrays that any document may have."""
BYTES_PER_VALUE = 6
"""Beyond these, how many bytes each must take on average: even records whose digests have three letters take more."""
MOST_VALUES = 16_000_000
"""Objects and arrays of one document: the largest cache config that may be read has fewer."""

_BUFFER = 12
"""Bytes of address space that orjson reserves for each byte of a document; few of them are used."""

# Bytes of memory that each of these characters costs once the document is parsed, read and analyzed: objects,
# arrays, half a string, other items of a list. Measured with CPython 3.11.
_WEIGHTS = ((b"{", 240), (b"[", 72), (b'"', 36), (b",", 48))
_OTHERS = bytes(set(range(256)) - set(b'{[",'))

# What msgspec says about a value of a wrong type, and the types in it in words.
_MISMATCH = r"Expected `([^`]*)`, got `([^`]*)`"
_PATH = r"(?s)(.*) - at `([^`]*)`"
_WORDS = {
    "object": "an object",
    "array": "an array",
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
}

_COMPACT = re.compile(rb'[^"\s]*+(?:"(?:[^"\\]|\\.)*+"[^"\s]*+)*+')
"""The beginning of JSON up to the first space between two values, or the last string that is cut."""
_CONSISTENT = 4096
"""Bytes after which a program that writes spaces has written one."""

T = TypeVar("T")


def parse(data: bytes) -> Any:
    """The parsed document.

    Raises `InputError` with the byte at which it is not JSON, and if parsing it takes too much memory; raises
    `MemoryError` if there is none left.
    """
    weigh(data)
    return parse_json(data)


def is_compact(data: bytes) -> bool:
    """Whether valid JSON has no spaces or line breaks between its values, as programs write it.

    Blanks at the end do not count, which `analyze --report` fills a file with. This takes next to no time: strings may
    have spaces, so these are only looked at in the beginning.
    """
    if any(space in data for space in (b"\n", b"\r", b"\t")):
        return False
    head = data[:_CONSISTENT].rstrip(b" ")
    match = _COMPACT.match(head)
    assert match
    return head[match.end() : match.end() + 1] in (b"", b'"')


def typed(value: Any, kind: type[T], path: str = "$") -> T:
    """A parsed document as a `msgspec.Struct` or another type. Fields that the struct does not have are ignored.

    Raises `InputError` with the JSON path of the first value of a wrong type; `path` is that of `value`.
    """
    from msgspec import ValidationError, convert

    try:
        return convert(value, kind)
    except ValidationError as error:
        problem, below = str(error), "$"
        if match := re.fullmatch(_PATH, problem):
            problem, below = match[1], match[2]
        if match := re.fullmatch(_MISMATCH, problem):
            problem = f"expected {_in_words(match[1])}, found {_in_words(match[2])}"
        raise InputError(problem, path + below.removeprefix("$")) from error


def _in_words(kind: str) -> str:
    first = kind.partition(" | ")[0]
    return _WORDS.get(first, first)


def weigh(data: bytes) -> None:
    """Refuse what would fill memory, judging by its characters; those inside strings make the estimate too high.

    Raises `InputError`, and `memory.Crowded` if it may fit when nothing else is read at the same time.
    """
    # One pass that keeps only these characters is faster than four that count them.
    kept = data.translate(None, _OTHERS)
    counts = {character: kept.count(character) for character, _ in _WEIGHTS}
    values = counts[b"{"] + counts[b"["]
    if values > MOST_VALUES:
        raise InputError(f"more than {MOST_VALUES:,} objects and arrays, which is refused")
    if values > FREE_VALUES and values * BYTES_PER_VALUE > len(data):
        raise InputError(f"{values:,} objects and arrays in {len(data):,} bytes, which no cache has; refused")
    need = len(data) + sum(weight * counts[character] for character, weight in _WEIGHTS)
    spacious = need + _BUFFER * len(data)
    space = address_space()
    claim(need if space is None else spacious)
    # If orjson gets its buffer, and then no memory for an object, it crashes (3.13, SIGSEGV).
    for size, kind, left in ((need, "memory", lacking(need)), (spacious, "address space", space)):
        if left is not None and size > left:
            if is_shared():
                raise Crowded
            raise InputError(f"reading it takes about {size >> 20:,} MiB of {kind}, and {left >> 20:,} MiB are left")
