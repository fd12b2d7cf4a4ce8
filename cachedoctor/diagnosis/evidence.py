"""What was read: a profile, a goroutine dump, or a table, told apart by content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.errors import InputError
from cachedoctor.pprof import goroutines, pasted, table
from cachedoctor.pprof.goroutines import Goroutine
from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.table import Table

EXPECTED = (
    "expected a pprof profile (profile.proto, gzipped or not), a goroutine dump (debug=1 or debug=2), or the text of "
    "`go tool pprof -top`"
)
MOST_TEXT_BYTES = 64 << 20
HEAD = 1 << 16
"""Bytes at the start that tell text from a protobuf."""
_OLD_TEXT = (b"heap profile:", b"--- mutex:", b"--- contention:", b"threadcreate profile:")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was read. At least one of `profile` and `table` is there."""

    source: str
    profile: Profile | None = None
    table: Table | None = None
    goroutines: Sequence[Goroutine] = ()
    """Where it is a goroutine dump."""
    warning: str = ""
    """What of it could not be read, empty where nothing is missing."""

    @property
    def kind(self) -> str:
        """`cpu`, `heap`, `goroutine`, …; of a table its sample type."""
        return self.profile.kind if self.profile else self._read.sample_type

    @property
    def sample_type(self) -> str:
        """What the values count."""
        return self.profile.sample_type.type if self.profile else self._read.sample_type

    @property
    def unit(self) -> str:
        """The unit of all values."""
        return self.profile.sample_type.unit if self.profile else self._read.top.unit

    @property
    def total(self) -> int:
        """All values together."""
        return self.profile.total if self.profile else self._read.top.total

    @property
    def duration_seconds(self) -> float | None:
        """How long it was taken for, `None` where that is not known."""
        return self.profile.duration_seconds if self.profile else self._read.duration_seconds

    @property
    def functions(self) -> Sequence[str]:
        """The functions that occur in it."""
        return self.profile.names if self.profile else [row.function for row in self._read.top.rows]

    @property
    def _read(self) -> Table:
        assert self.table
        return self.table


def read(data: bytes, source: str, sample_type: str | None = None) -> Evidence:
    """What these bytes, no longer compressed, hold. Raises `InputError`."""
    if not data[:HEAD].strip():
        raise InputError(f"empty; {EXPECTED}", source=source)
    if pasted.is_text(data[:HEAD]):
        return _of_text(data, source)
    from cachedoctor.pprof.decode import decode

    profile = decode(data, source, sample_type)
    found = goroutines.from_profile(profile) if profile.kind == "goroutine" else ()
    return Evidence(source, profile, goroutines=found)


def _of_text(data: bytes, source: str) -> Evidence:
    if len(data) > MOST_TEXT_BYTES:
        raise InputError(f"more than {MOST_TEXT_BYTES:,} bytes of text, which is refused", source=source)
    lines = pasted.lines(data, source)
    if table.is_table(lines):
        found = table.read(lines, source)
        skipped = f"{found.skipped:,} lines of the table could not be read" if found.skipped else ""
        return Evidence(source, table=found, warning=skipped)
    if goroutines.is_grouped(lines):
        dump = goroutines.grouped(lines, source)
        lost = goroutines.missing(lines, dump)
        return _of_dump(dump, source, f"the dump is cut short: {lost:,} goroutines are missing" if lost else "")
    if goroutines.is_listed(lines):
        straight = pasted.outdented(lines, "goroutine ")
        cut = "the dump seems to be cut short: its last goroutine has no end" if goroutines.is_cut(straight) else ""
        return _of_dump(goroutines.listed(straight, source), source, cut)
    raise InputError(f"{_what(data.lstrip())}; {EXPECTED}", source=source)


def _of_dump(dump: Sequence[Goroutine], source: str, warning: str) -> Evidence:
    return Evidence(source, goroutines.profile_of(dump, source), goroutines=dump, warning=warning)


def _what(data: bytes) -> str:
    if data.startswith(_OLD_TEXT):
        return "a profile as text (debug=1), which only goroutine dumps are read from: fetch it without debug=1"
    if data.startswith((b"{", b"[")):
        return "JSON, perhaps a cache, which cachedoctor analyze reads"
    if data.startswith(b"<"):
        return "HTML"
    return "text that is none of what is read"
