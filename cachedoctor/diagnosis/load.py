"""Evidence from files, standard input, and what daemons send."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from typing import BinaryIO

from cachedoctor.diagnosis.daemon import MOST_BYTES, Answer
from cachedoctor.diagnosis.evidence import Evidence, read
from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import opened
from cachedoctor.io.streams import Readable, read_all, unpack

_ADDRESS = re.compile(r"[\w.-]+:\d{1,5}(/\S*)?")


def load(source: str, *, sample_type: str | None = None, stdin: BinaryIO | None = None) -> Evidence:
    """What a file holds, or `-` for standard input (`stdin`, by default the process's own).

    Raises `InputError` for anything that cannot be read, in bounded time and memory.
    """
    if source == "-":
        return _of_stream(stdin or sys.stdin.buffer, source, sample_type)
    with reading(source):
        try:
            with opened(source, hint="; pass - to read a pipe") as file:
                return _of_stream(file, source, sample_type)
        except InputError as error:
            if error.missing and _ADDRESS.fullmatch(source):
                raise InputError(f"{error.problem}; of a daemon, give http://{source}") from error
            raise


def load_answer(answer: Answer, sample_type: str | None = None) -> Evidence:
    """What a daemon sent. Raises `InputError`."""
    return _of_stream(BytesIO(answer.data), answer.url, sample_type)


def _of_stream(stream: Readable, source: str, sample_type: str | None) -> Evidence:
    with reading(source):
        _, whole, _ = unpack(stream)
        data = read_all(whole, MOST_BYTES)
    return read(data, source, sample_type)
