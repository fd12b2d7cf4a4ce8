"""Where reports, progress and errors go."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cachedoctor.io.files import write_atomically
from cachedoctor.report import Style
from cachedoctor.text import cut, inert, printable

NARROWEST = 40
LONGEST_LINE = 4096
"""Letters of a warning or a reason: foreign words in it may be as long as the whole input."""
PROGRESS_AFTER = 1.0
"""Seconds before progress is shown."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where else than on standard error it is told why a command ends with exit code 2."""

    annotation: bool = False
    """Standard output, as an annotation of GitHub Actions."""
    summary: bool = False
    """The file that `GITHUB_STEP_SUMMARY` names."""


NOWHERE = Elsewhere()
elsewhere: ContextVar[Elsewhere] = ContextVar("elsewhere", default=NOWHERE)
"""What `fail` does besides; a command sets it, since most failures come from places that know no options."""


@dataclass(frozen=True, slots=True)
class Place:
    """Something that is read or written, as it was named, and what it is to people."""

    path: str
    what: str


class Output:
    """Standard output, or a file that is whole or not there."""

    def __init__(self, path: str | None, *, no_color: bool, verbosity: int) -> None:
        self.path = path
        self.no_color = no_color
        self.verbosity = verbosity

    @property
    def style(self) -> Style:
        """The width of the terminal (`COLUMNS` wins), and colours only on one that shows them."""
        terminal = self.path is None and sys.stdout is not None and sys.stdout.isatty()
        color = terminal and not self.no_color and os.environ.get("TERM") != "dumb"
        width = max(NARROWEST, shutil.get_terminal_size((80, 24)).columns)
        return Style(width=width, color=color, verbosity=self.verbosity)

    def spare(self, *reads: Place) -> None:
        """End where the report would be written over something that is read."""
        if self.path:
            keep_apart(reads, [Place(self.path, "report")])

    def write(self, text: str, *, commands: bool = False) -> None:
        """Write the whole report; what the encoding of the terminal lacks is replaced.

        `commands` says that it has commands to the runner of GitHub Actions, and nothing that only looks like one.
        """
        if self.path is None:
            if sys.stdout is None:  # closed: nobody wants to read it
                return
            if on_github() and not commands:
                text = inert(text)
            encoding = sys.stdout.encoding or "utf-8"
            try:
                sys.stdout.buffer.write(text.encode(encoding, "backslashreplace"))
                sys.stdout.buffer.flush()
            except OSError as error:
                # What is left in the buffer would fail once more when the interpreter ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                fail(f"cannot write the report: {error.strerror or error}")
            return
        try:
            write_atomically(self.path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            fail(f"{self.path}: cannot write the report: {error.strerror or error}")


def keep_apart(reads: Sequence[Place], writes: Sequence[Place]) -> None:
    """End where something would be written over what is read, or over what else is written.

    A thing may be written over an older one of its kind.
    """
    for index, one in enumerate(writes):
        for other in (*reads, *writes[:index]):
            if one.what != other.what and _destroys(one.path, other.path):
                # The summary may be one of these files.
                elsewhere.set(Elsewhere(annotation=elsewhere.get().annotation))
                fail(f"{one.path}: is the {other.what} itself; write the {one.what} elsewhere")


def _destroys(target: str, other: str) -> bool:
    """Whether writing the one replaces the other, or a part of it: what is no regular file cannot be replaced."""
    if other.startswith("docker://"):
        return False
    if other == "-":
        other = "/dev/stdin"
    if other.startswith("oci:") and not os.path.lexists(other):
        other = other.removeprefix("oci:")
        other = other if os.path.lexists(other) else other.rpartition(":")[0]
    try:
        path, kept = Path(os.path.realpath(target)), Path(os.path.realpath(other))
        if path.exists() and not path.is_file():
            return False
        if kept.is_dir():
            parts = path.relative_to(kept).parts if path.is_relative_to(kept) else ()
            return parts[:1] == ("blobs",) or parts in (("index.json",), ("oci-layout",))
    except (OSError, ValueError):
        return False
    return one_file(target, other)


def one_file(first: str, second: str) -> bool:
    """Whether two names are those of one file, or will be."""
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    with suppress(OSError, ValueError):
        return Path(first).samefile(second)
    return False


def on_github() -> bool:
    """Whether what is printed is read by the runner of GitHub Actions, which obeys commands in it."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def complain(text: str) -> None:
    """Lines on standard error, as far as there is one; nothing in them is a command to a runner."""
    lines = "".join(f"{printable(cut(line, LONGEST_LINE))}\n" for line in text.split("\n"))
    if sys.stderr is None:
        return
    encoding = sys.stderr.encoding or "utf-8"
    with suppress(OSError):
        sys.stderr.buffer.write((inert(lines) if on_github() else lines).encode(encoding, "backslashreplace"))
        sys.stderr.flush()


def warn(message: str) -> None:
    """One line on standard error."""
    complain(f"cachedoctor: {printable(message)}")


def fail(message: str) -> NoReturn:
    """End with one line on standard error, which is also told `elsewhere`, and exit code 2."""
    warn(message)
    tell_elsewhere(message)
    sys.exit(2)


def tell_elsewhere(reason: str) -> None:
    """Say where reports would have been looked for why there is none."""
    also = elsewhere.get()
    reason = cut(reason, LONGEST_LINE)
    with suppress(OSError, MemoryError):
        if also.annotation and sys.stdout is not None:
            from cachedoctor.report.formats.github import annotation

            line = f"{annotation('error', 'cachedoctor', reason)}\n"
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
            sys.stdout.flush()
        if also.summary and os.environ.get("GITHUB_STEP_SUMMARY"):
            from cachedoctor.report.formats.markdown import escape

            append_summary(f"**cachedoctor could not judge:** {escape(reason)}\n\n")


def append_summary(text: str) -> None:
    """Append to the file that a workflow shows on the page of its run; where that fails there is a warning."""
    path = os.environ["GITHUB_STEP_SUMMARY"]
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        warn(f"{path}: cannot write the step summary: {reason}")


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the current step on standard error once it takes long, where that is a terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda step: None
        return
    with _Ticker() as ticker:
        yield ticker.told


class _Ticker:
    """A line that is rewritten in place by a thread, since the steps themselves never pause."""

    def __init__(self) -> None:
        import threading

        self._step = ""
        self._since = time.monotonic()
        self._stop = threading.Event()
        self._shown = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def told(self, step: str) -> None:
        self._step, self._since = printable(step)[:60], time.monotonic()

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            seconds = time.monotonic() - self._since
            if seconds >= PROGRESS_AFTER:
                self._shown = True
                self._print(f"\r\x1b[K{self._step} … {seconds:.0f} s")

    @staticmethod
    def _print(text: str) -> None:
        with suppress(OSError, UnicodeError):
            sys.stderr.write(text)
            sys.stderr.flush()

    def __enter__(self) -> _Ticker:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._shown:
            self._print("\r\x1b[K")
