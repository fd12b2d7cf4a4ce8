"""JSON from outside, and the few types that are expected in it."""

from __future__ import annotations

from typing import Any

import orjson

from cachedoctor.errors import InputError


def parse(data: bytes, source: str, where: str = "") -> Any:
    """The parsed document. Raises `InputError` with the byte at which it is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        offset, reason = _place(data, error)
        cut = "; it seems to be cut short" if offset >= len(data.rstrip()) else ""
        at = f"{where}: byte {offset}" if where else f"byte {offset}"
        raise InputError(source, at, f"expected JSON: {reason}{cut}") from error


def _place(data: bytes, error: orjson.JSONDecodeError) -> tuple[int, str]:
    """The byte at which the data is no JSON, and why; orjson counts characters, and none where the data is no UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError as not_utf8:
        return not_utf8.start, "no UTF-8"
    return len(text[: error.pos].encode()), error.msg.partition(":")[0]


def field(parent: Any, name: str, kind: type, source: str, where: str) -> Any:
    """A field of an object, `None` where it is absent or null. Raises `InputError` for another type."""
    value = expect(parent, dict, source, where).get(name)
    return None if value is None else expect(value, kind, source, f"{where}.{name}")


_NAMES = {dict: "an object", list: "an array", str: "a string", int: "an integer", float: "a number", bool: "a boolean"}


def expect(value: Any, kind: type, source: str, where: str) -> Any:
    """The value, if it is exactly of this type (a boolean is no integer). Raises `InputError` otherwise."""
    if type(value) is not kind:
        found = _NAMES.get(type(value), "null")
        raise InputError(source, where, f"expected {_NAMES[kind]}, found {found}")
    return value
