"""What is diagnosed: a profile, a goroutine dump or a table, from a file or a daemon."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.diagnosis.crash_marks import crash_marks, names_daemon
from cachedoctor.diagnosis.daemon import MOST_BYTES, Answer
from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import opened
from cachedoctor.io.streams import Readable, encoding_of, read_all, unpack
from cachedoctor.numbers import plural

if TYPE_CHECKING:
    from cachedoctor.pprof.goroutines import Goroutine
    from cachedoctor.pprof.profile import Profile
    from cachedoctor.pprof.table import Table

EXPECTED = (
    "expected a pprof profile (profile.proto, gzipped or not), a goroutine dump (debug=1 or debug=2), or the text of "
    "`go tool pprof -top`"
)
MOST_TEXT_BYTES = 64 << 20
MOST_LINES = 3_000_000
"""Lines of one text: even a goroutine dump of `MOST_TEXT_BYTES` has fewer, since its lines have some fifty bytes."""
HEAD = 1 << 16
"""Bytes at the start that show whether it is text or protobuf."""
_OLD_TEXT = (b"heap profile:", b"--- mutex:", b"--- contention:", b"threadcreate profile:")
_ADDRESS = re.compile(r"[\w.-]+:\d{1,5}(/\S*)?")
# A quotation mark, the name of a container, a time: what mail, docker compose and kubectl write before each line.
_PREFIX = re.compile(
    r"\A(?:> ?)*(?:[\w./-]{1,80} +\| ?)?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)? ?)?"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was read. It has a `profile`, a `table`, or both."""

    source: str
    profile: Profile | None = None
    table: Table | None = None
    goroutines: Sequence[Goroutine] = ()
    """The goroutines, if it is a goroutine dump."""
    warning: str = ""
    """What of it could not be read, empty if nothing is missing."""
    marks: Sequence[str] = ()
    """Lines that only a process prints that dies, and what killed it."""

    @property
    def kind(self) -> str:
        """`cpu`, `heap`, `goroutine`, …; for a table its sample type."""
        return self.profile.kind if self.profile else self._table.sample_type

    @property
    def sample_type(self) -> str:
        """What the values count."""
        return self.profile.sample_type.type if self.profile else self._table.sample_type

    @property
    def unit(self) -> str:
        """The unit of all values."""
        return self.profile.sample_type.unit if self.profile else self._table.top.unit

    @property
    def total(self) -> int:
        """The sum of all values."""
        return self.profile.total if self.profile else self._table.top.total

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, `None` if unknown."""
        return self.profile.duration_seconds if self.profile else self._table.duration_seconds

    @property
    def functions(self) -> Sequence[str]:
        """The functions in it."""
        return self.profile.names if self.profile else [row.function for row in self._table.top.rows]

    @property
    def _table(self) -> Table:
        assert self.table
        return self.table


def load(source: str, *, sample_type: str | None = None, stdin: BinaryIO | None = None) -> Evidence:
    """The evidence in a file, or from standard input (`stdin`, by default that of the process) if `source` is `-`.

    `sample_type` is what to count in a profile, by default what the profile itself asks for. Raises `InputError` for
    anything that cannot be read, in bounded time and memory.
    """
    if source == "-":
        return _from_stream(stdin or sys.stdin.buffer, source, sample_type)
    try:
        with reading(source), opened(source, hint="; pass - to read a pipe") as file:
            return _from_stream(file, source, sample_type)
    except InputError as error:
        if error.missing and _ADDRESS.fullmatch(source):
            hint = f"to fetch it from a daemon, use http://{source}"
            raise InputError(f"{error.problem}; {hint}", source=source) from error
        raise


def load_answer(answer: Answer, sample_type: str | None = None) -> Evidence:
    """The evidence that a daemon sent. Raises `InputError`."""
    return _from_stream(BytesIO(answer.data), answer.url, sample_type)


def _from_stream(stream: Readable, source: str, sample_type: str | None) -> Evidence:
    with reading(source):
        _, whole, _ = unpack(stream)
        return read(read_all(whole, MOST_BYTES), source, sample_type)


def read(data: bytes, source: str, sample_type: str | None = None) -> Evidence:
    """The evidence in these bytes, which are no longer compressed. Raises `InputError`."""
    if not data[:HEAD].strip():
        raise InputError(f"empty; {EXPECTED}")
    if _is_text(data[:HEAD]):
        return _from_text(data, source)
    from cachedoctor.pprof.decode import decode

    profile = decode(data, sample_type)
    if profile.kind != "goroutine":
        return Evidence(source, profile)
    from cachedoctor.pprof.goroutines import from_profile

    return Evidence(source, profile, goroutines=from_profile(profile))


def _is_text(head: bytes) -> bool:
    # The lengths and numbers in a profile.proto are control characters.
    return bool(encoding_of(head)) or not any(byte < 0x20 and byte not in b"\t\n\r\x0c\x1b" for byte in head)


def _from_text(data: bytes, source: str) -> Evidence:
    if len(data) > MOST_TEXT_BYTES:
        raise InputError(f"more than {MOST_TEXT_BYTES:,} bytes of text, which is refused")
    from cachedoctor.pprof import goroutines, table

    lines = _lines(data)
    marks = crash_marks(lines)
    if table.is_table(lines):
        top = table.read(lines)
        skipped = f"{plural(top.skipped, 'line')} of the table could not be read" if top.skipped else ""
        return Evidence(source, table=top, warning=skipped)
    if goroutines.is_grouped(lines):
        dump = goroutines.grouped(lines)
        missing = goroutines.missing(lines, dump)
        warning = f"the dump is cut short: it lacks {plural(missing, 'goroutine')}" if missing else ""
    elif goroutines.is_listed(lines):
        dump = goroutines.listed(lines)
        cut = goroutines.is_cut(lines)
        warning = "the dump seems to be cut short: its last goroutine is incomplete" if cut else ""
    elif any(map(names_daemon, marks)):
        dump, warning = [], ""
    else:
        raise InputError(f"{_guess(data.lstrip())}; {EXPECTED}")
    return Evidence(source, goroutines.profile_of(dump), goroutines=dump, warning=warning, marks=marks)


def _lines(data: bytes) -> list[str]:
    """The lines of a text, without what programs and people put before each line, but with its indentation."""
    encoding = encoding_of(data) or "utf-8"
    lines = data.decode(encoding, "replace" if encoding == "utf-16" else "backslashreplace").splitlines()
    if len(lines) > MOST_LINES:
        raise InputError(f"more than {MOST_LINES:,} lines of text, which is refused")
    return [_PREFIX.sub("", line, count=1).rstrip() for line in lines]


def _guess(data: bytes) -> str:
    """What a text that cannot be read may be."""
    if data.startswith(_OLD_TEXT):
        return "a profile as text (debug=1); only goroutine dumps can be read as text, so fetch it without debug=1"
    if data.startswith((b"{", b"[")):
        return "JSON, perhaps a cache: cachedoctor analyze reads caches"
    if data.startswith(b"<"):
        return "HTML"
    return "text of an unknown kind"
