"""JSON from outside, and the few types that are expected in it."""

from __future__ import annotations

from typing import Any

from cachedoctor.errors import InputError, reading
from cachedoctor.io.json import parse as parse_json
from cachedoctor.io.memory import address_space, lacking

FREE_VALUES = 100_000
"""Objects and arrays that may be in any document."""
BYTES_PER_VALUE = 6
"""Past these, how many bytes each must have on average: records whose digests have three letters have more."""
MOST_VALUES = 16_000_000
"""Objects and arrays of one document: a cache config of the most bytes that are read has fewer."""

_BUFFER = 12
"""Bytes of addresses that orjson sets aside for each byte of a document; few of them are touched."""

# Bytes that each of these letters stands for once the document is parsed, read and analysed: objects, arrays, half a
# string, whatever else is in a list. Measured with CPython 3.11.
_WEIGHTS = ((b"{", 240), (b"[", 72), (b'"', 36), (b",", 48))
_OTHERS = bytes(set(range(256)) - set(b'{[",'))


def parse(data: bytes, source: str, where: str = "") -> Any:
    """The parsed document. Raises `InputError` with the byte at which it is no JSON, and where it is too much.

    Raises `MemoryError` where there is none left.
    """
    weigh(data, source, where)
    with reading(source, where):
        return parse_json(data)


def weigh(data: bytes, source: str, where: str = "") -> None:
    """Refuse what would fill memory, by the letters of the document; those in strings make the estimate too high."""
    # One pass that keeps these letters alone is faster than four that count them.
    letters = data.translate(None, _OTHERS)
    counts = {letter: letters.count(letter) for letter, _ in _WEIGHTS}
    values = counts[b"{"] + counts[b"["]
    if values > MOST_VALUES:
        raise InputError(f"more than {MOST_VALUES:,} objects and arrays, which is refused", where, source=source)
    if values > FREE_VALUES and values * BYTES_PER_VALUE > len(data):
        raise InputError(
            f"{values:,} objects and arrays in {len(data):,} bytes, which no cache has; refused", where, source=source
        )
    need = len(data) + sum(weight * counts[letter] for letter, weight in _WEIGHTS)
    rooms = [(need, "memory", lacking(need))]
    # Where orjson gets its buffer and then no memory for an object, it ends the process (3.13, SIGSEGV).
    rooms += [(need + _BUFFER * len(data), "address space", address_space())]
    for size, kind, left in rooms:
        if left is not None and size > left:
            problem = f"reading it takes about {size >> 20:,} MiB of {kind}, and {left >> 20:,} MiB are left"
            raise InputError(problem, where, source=source)


def field(parent: Any, name: str, kind: type, source: str, where: str) -> Any:
    """A field of an object, `None` where it is absent or null. Raises `InputError` for another type."""
    value = expect(parent, dict, source, where).get(name)
    return None if value is None else expect(value, kind, source, f"{where}.{name}")


_NAMES = {dict: "an object", list: "an array", str: "a string", int: "an integer", float: "a number", bool: "a boolean"}


def expect(value: Any, kind: type, source: str, where: str) -> Any:
    """The value, if it is exactly of this type (a boolean is no integer). Raises `InputError` otherwise."""
    if type(value) is not kind:
        found = _NAMES.get(type(value), "null")
        raise InputError(f"expected {_NAMES[kind]}, found {found}", where, source=source)
    return value
