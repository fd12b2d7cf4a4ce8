"""What is diagnosed: a profile, a goroutine dump or a table, from a file or a daemon."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.diagnosis.crash_marks import crash_marks, names_daemon
from cachedoctor.diagnosis.daemon import MOST_BYTES, Answer
from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import opened
from cachedoctor.io.streams import Readable, encoding_of, read_all, unpack
from cachedoctor.io.wrappings import unwrapped
from cachedoctor.numbers import plural
from cachedoctor.pprof import goroutines, stacks, table
from cachedoctor.text import cut, printable

if TYPE_CHECKING:
    from cachedoctor.pprof.goroutines import Goroutine
    from cachedoctor.pprof.profile import Profile
    from cachedoctor.pprof.table import Table

EXPECTED = (
    "expected a pprof profile (profile.proto, gzipped or not), a goroutine dump (debug=1 or debug=2), a crash trace, "
    "or the text of `go tool pprof -top`"
)
MOST_TEXT_BYTES = 64 << 20
MOST_LINES = 3_000_000
"""Lines of one text: even a goroutine dump of `MOST_TEXT_BYTES` has fewer, since its lines have some fifty bytes."""
LONGEST_EXAMPLE = 100
"""Letters of a line that could not be read, in the warning about it."""
HEAD = 1 << 16
"""Bytes at the start that show whether it is text or protobuf."""
_OLD_TEXT = ("heap profile:", "--- mutex:", "--- contention:", "threadcreate profile:")
_DAEMON = r"(?:buildkitd|dockerd|docker\.service|buildx_buildkit\w*)\b"
# Without a stack, only what a Go program prints, or a line that names the daemon, tells of its end.
_DIED = re.compile(
    r"fatal error: (?:stack overflow|concurrent map|all goroutines|runtime|unexpected signal)|goroutine stack exceeds"
    rf"|unexpected fault address|\[signal SIG|[Kk]illed process \d+ \({_DAEMON}|(?i:oom).*\b{_DAEMON}"
    rf"|\b{_DAEMON}.*(?:OOMKilled|signal: killed|status=9/KILL)"
)
_ADDRESS = re.compile(r"[\w.-]+:\d{1,5}(/\S*)?")
MARKS = re.compile(f"{goroutines.MARKS.pattern}|(?i:{table.MARKS.pattern})|{stacks.MARKS.pattern}")
_BUILD_LOG = re.compile(
    r"^(?:\S+ )?(?:#\d+ (?:\[|DONE|CACHED|ERROR|exporting|importing|\d+\.\d+ )|=> (?:\[|CACHED|exporting|importing)"
    r"|.*failed to solve: |ERROR: )",
    re.MULTILINE,
)
_DOCKERFILE = re.compile(r"\A(?:\s*#[^\n]*\n|\s*ARG [^\n]*\n|\s*\n)*\s*FROM \S+", re.IGNORECASE)


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
    whole: bool = True
    """Whether everything was read that the text should have: only then it shows that something is *not* under way."""
    crash: Sequence[str] = ()
    """Lines about a crash or a signal, such as `fatal error: stack overflow`, in the order of the text.

    The first of `goroutines` is then the one that crashed, or that got the signal.
    """
    died: Sequence[str] = ()
    """Those lines that only a process prints that dies, and what killed it."""
    errors: Sequence[tuple[str, ...]] = ()
    """Stacks, leaf first, that BuildKit added to an error message: what failed, not what is running."""

    @property
    def kind(self) -> str:
        """`cpu`, `heap`, `goroutine`, …; for a table its sample type."""
        if self.profile:
            return self.profile.kind
        return "heap" if self.unit == "bytes" else self._table.sample_type

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
    lines = unwrapped(_decoded(data), MARKS)
    if len(lines) > MOST_LINES:
        raise InputError(f"more than {MOST_LINES:,} lines of text, which is refused")
    evidence = _of_lines(lines, source)
    if evidence is None:
        raise InputError(f"{_guess(data)}; {EXPECTED}")
    return evidence


def _decoded(data: bytes) -> str:
    encoding = encoding_of(data) or "utf-8"
    text = data.decode(encoding, "replace" if encoding == "utf-16" else "backslashreplace")
    if text.count("\n") > MOST_LINES:
        raise InputError(f"more than {MOST_LINES:,} lines of text, which is refused")
    return text


def _of_lines(lines: Sequence[str], source: str) -> Evidence | None:
    """The evidence in the lines of a text, `None` if there is none. Raises `InputError`."""
    if table.is_table(lines):
        top = table.read(lines)
        skipped = f"{plural(top.skipped, 'line')} of the table could not be read" if top.skipped else ""
        return Evidence(source, table=top, warning=skipped)
    if goroutines.is_listed(lines):
        return _of_dump(lines, source)
    if goroutines.is_grouped(lines):
        dump = goroutines.grouped(lines)
        missing = goroutines.missing(lines, dump)
        warning = f"the dump is cut short: it lacks {plural(missing, 'goroutine')}" if missing else ""
        return _of_goroutines(dump, source, warning)
    found = stacks.read(lines)
    if found is None:
        return _of_dump(lines, source)
    if found.goroutines:
        # Stacks of threads are never all that a daemon does.
        return replace(_of_goroutines(found.goroutines, source), whole=False)
    return Evidence(source, found.profile, found.table)


def _of_goroutines(dump: Sequence[Goroutine], source: str, warning: str = "") -> Evidence:
    return Evidence(source, goroutines.profile_of(dump), goroutines=dump, warning=warning, whole=not warning)


def _of_dump(lines: Sequence[str], source: str) -> Evidence | None:
    """The evidence in goroutines one by one, in a crash trace, or in the stack of an error."""
    dump = goroutines.dump(lines)
    died = crash_marks(lines)
    dies = any(map(_DIED.search, dump.marks)) or any(map(names_daemon, died))
    if not dump.goroutines and not dump.errors and not dies:
        return None
    warnings = []
    if dump.unread:
        example = cut(printable(dump.example), LONGEST_EXAMPLE)
        warnings.append(f"{dump.unread:,} of {plural(dump.lines, 'line')} could not be read, the first: {example}")
    if not dump.goroutines and not dump.marks:
        warnings.append("this is the stack of an error: it shows what failed, not what the daemon is doing")
    if dump.shortened:
        warnings.append(f"{dump.shortened:,} of {plural(dump.lines, 'line')} are cut off within a function's name")
    if dump.cut:
        warnings.append("the dump seems to be cut short: its last goroutine is incomplete")
    kind = "goroutine" if dump.goroutines or dump.marks or died else "error"
    listed = dump.goroutines if kind == "goroutine" else [goroutines.Goroutine(stack) for stack in dump.errors]
    return Evidence(
        source,
        goroutines.profile_of(listed, kind),
        goroutines=dump.goroutines,
        warning="; ".join(warnings),
        whole=not warnings and goroutines.is_listed(lines),
        crash=dump.marks,
        died=died,
        errors=dump.errors,
    )


def _guess(data: bytes) -> str:
    """What a text that cannot be read may be."""
    text = data.decode(errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith(_OLD_TEXT):
        return "a profile as text (debug=1); only goroutines and heap can be read as text, so fetch it without debug=1"
    if text.startswith(("{", "[")):
        return "JSON, perhaps a cache: cachedoctor analyze reads caches"
    if text.startswith("<"):
        return "HTML"
    if _DOCKERFILE.match(text):
        return "a Dockerfile, which does not show what a daemon does"
    if _BUILD_LOG.search(text[:HEAD]) or _BUILD_LOG.search(text[-HEAD:]):
        return "a build log, which does not show what the daemon does; take a goroutine dump of it"
    return "text of an unknown kind"
