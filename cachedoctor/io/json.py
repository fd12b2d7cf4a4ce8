"""JSON text parsed, or refused with the byte at which it is not JSON."""

from __future__ import annotations

from typing import Any

import orjson

from cachedoctor.errors import InputError


def parse(data: bytes) -> Any:
    """The parsed document. Raises `InputError` with the byte at which it is not JSON.

    Raises `MemoryError` if memory runs out.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("Not enough memory"):
            raise MemoryError from error
        offset, reason = _location(data, error)
        cut = "; it seems to be cut short" if offset >= len(data.rstrip()) else ""
        raise InputError(f"expected JSON: {reason}{cut}", f"byte {offset}") from error


def _location(data: bytes, error: orjson.JSONDecodeError) -> tuple[int, str]:
    """The byte at which the data is not JSON, and why.

    orjson counts characters, and gives no position where the data is not UTF-8.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as not_utf8:
        return not_utf8.start, "not UTF-8"
    return len(text[: error.pos].encode()), error.msg.rpartition(": line ")[0] or error.msg
