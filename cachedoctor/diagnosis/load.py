"""Evidence from files, standard input, and what daemons send."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from typing import BinaryIO

from cachedoctor.diagnosis.daemon import MOST_BYTES, Answer
from cachedoctor.diagnosis.evidence import Evidence, read
from cachedoctor.errors import InputError
from cachedoctor.io.files import open_regular
from cachedoctor.io.streams import Readable, read_all, unpack

_ADDRESS = re.compile(r"[\w.-]+:\d{1,5}(/\S*)?")


def load(source: str, *, sample_type: str | None = None, stdin: BinaryIO | None = None) -> Evidence:
    """What a file holds, or `-` for standard input (`stdin`, by default the process's own).

    Raises `InputError` for anything that cannot be read, in bounded time and memory.
    """
    if source == "-":
        return _of_stream(stdin or sys.stdin.buffer, source, sample_type)
    try:
        with open_regular(source) as file:
            return _of_stream(file, source, sample_type)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        hint = f"; of a daemon, give http://{source}" if _ADDRESS.fullmatch(source) else ""
        raise InputError(f"cannot read it: {reason}{hint}", source=source) from error


def load_answer(answer: Answer, sample_type: str | None = None) -> Evidence:
    """What a daemon sent. Raises `InputError`."""
    return _of_stream(BytesIO(answer.data), answer.url, sample_type)


def _of_stream(stream: Readable, source: str, sample_type: str | None) -> Evidence:
    _, whole, _ = unpack(stream, source)
    return read(read_all(whole, MOST_BYTES, source), source, sample_type)
