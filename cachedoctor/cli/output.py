"""Where reports, progress and errors go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from cachedoctor.errors import InputError, reason
from cachedoctor.text import cut, inert, printable

if TYPE_CHECKING:
    from cachedoctor.report.page import Style
    from cachedoctor.sources import Location

NARROWEST = 40
USUAL_WIDTH = 80
LONGEST_LINE = 4096
"""Letters of a warning or a reason: text from the input can be as long as the input."""
PROGRESS_AFTER = 1.0
"""Seconds before progress is shown."""
_WITHOUT_DIGITS = str.maketrans("", "", "0123456789")


class Elsewhere(NamedTuple):
    """Where besides standard error the reason is reported if a command ends with exit code 2."""

    annotation: bool = False
    """Standard output, as an annotation of GitHub Actions."""
    summary: bool = False
    """The file that `GITHUB_STEP_SUMMARY` names."""


NOWHERE = Elsewhere()
elsewhere: ContextVar[Elsewhere] = ContextVar("elsewhere", default=NOWHERE)
"""What `fail` does besides; a command sets it, since most failures come from places that do not know the options."""


class Place(NamedTuple):
    """Something that is read or written, as the user named it, and what people call it."""

    path: str
    what: str
    location: Location | None = None
    """`path` parsed, if it is a reference to a cache."""

    @classmethod
    def of_cache(cls, source: str) -> Place:
        """A cache that is read. If the reference is malformed, the error is left to whoever reads it."""
        from cachedoctor.sources import parse

        with suppress(InputError):
            return cls(source, "cache", parse(source))
        return cls(source, "cache")

    def loses_to(self, path: str) -> bool:
        """Whether writing a file would replace this, or a part of it; only a regular file can be replaced."""
        from pathlib import Path

        from cachedoctor.io.files import one_file

        with suppress(OSError, ValueError):
            if Path(path).exists() and not Path(path).is_file():
                return False
            if self.location:
                return self.location.holds(path)
            return one_file(path, "/dev/stdin" if self.path == "-" else self.path)
        return False


class Output:
    """Standard output, or a file that is either complete or absent."""

    def __init__(self, path: str | None, *, no_color: bool, quiet: bool, verbose: bool) -> None:
        """`path` is what an option names: `-`, like `None`, for standard output."""
        self.path = None if path == "-" else path
        self.no_color = no_color
        self.verbosity = int(verbose) - int(quiet)

    @property
    def style(self) -> Style:
        """The width of the terminal (`COLUMNS` wins), and colors only on one that shows them."""
        terminal = self.path is None and sys.stdout is not None and sys.stdout.isatty()
        color = terminal and not self.no_color and os.environ.get("TERM") != "dumb"
        from cachedoctor.report.page import Style

        return Style(width=max(NARROWEST, _columns()), color=color, verbosity=self.verbosity)

    def spare(self, *reads: Place) -> None:
        """End if the report would overwrite something that is read."""
        if self.path:
            keep_apart(reads, [Place(self.path, "report")])

    def write(self, text: str, *, commands: bool = False) -> None:
        """Write the whole report; characters that the terminal's encoding does not have are escaped.

        `commands` says that it holds commands for the runner of GitHub Actions, and nothing that only looks like one.
        """
        if self.path is None:
            if sys.stdout is None:  # it is closed
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
                fail(f"cannot write the report: {reason(error)}")
            return
        from cachedoctor.io.files import write_atomically

        try:
            write_atomically(self.path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            fail(f"{self.path}: cannot write the report: {reason(error)}")


def _columns() -> int:
    """The width of the terminal as `shutil.get_terminal_size` finds it, without its import of four compressors."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdecimal() and len(columns) < 6 and int(columns):
        return int(columns)
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.stdout.fileno()).columns or USUAL_WIDTH
    return USUAL_WIDTH


def keep_apart(reads: Sequence[Place], writes: Sequence[Place]) -> None:
    """End if something would overwrite what is read, or what else is written.

    A thing may overwrite an older one of its kind.
    """
    for index, write in enumerate(writes):
        for other in (*reads, *writes[:index]):
            if write.what != other.what and other.loses_to(write.path):
                # The summary may be one of these files.
                elsewhere.set(Elsewhere(annotation=elsewhere.get().annotation))
                fail(f"{write.path}: is the {other.what} itself; write the {write.what} elsewhere")


def on_github() -> bool:
    """Whether the runner of GitHub Actions reads what is printed; it obeys commands in it."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def complain(text: str) -> None:
    """Lines on standard error, if it is open; nothing in them is a command to a runner."""
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
    """End with one line on standard error, also reported `elsewhere`, and exit code 2."""
    warn(message)
    report_elsewhere(message)
    sys.exit(2)


def report_elsewhere(message: str) -> None:
    """Give the reason of a failure where people would have looked for the report."""
    also = elsewhere.get()
    message = cut(message, LONGEST_LINE)
    with suppress(OSError, MemoryError):
        if also.annotation and sys.stdout is not None:
            from cachedoctor.report.formats.github import annotation

            line = f"{annotation('error', 'cachedoctor', message)}\n"
            sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
            sys.stdout.flush()
        if also.summary and os.environ.get("GITHUB_STEP_SUMMARY"):
            from cachedoctor.report.formats.markdown import escape

            append_summary(f"**cachedoctor could not judge:** {escape(message)}\n\n")


def append_summary(text: str) -> None:
    """Append to the file that a workflow shows on the page of its run; a failure is only a warning."""
    from pathlib import Path

    path = os.environ["GITHUB_STEP_SUMMARY"]
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        warn(f"{path}: cannot write the step summary: {why}")


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the current step on standard error once it takes long, if that is a terminal."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda step: None
        return
    with _Ticker() as ticker:
        yield ticker.start


class _Ticker:
    """A line that is rewritten in place by a thread, since the steps themselves never pause."""

    def __init__(self) -> None:
        import threading

        self._step = ""
        self._since = monotonic()
        self._stop = threading.Event()
        self._shown = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, step: str) -> None:
        """Show a step; one that only counts on is still the same, so that many short ones are shown, too."""
        last, self._step = self._step, printable(step)[:60]
        if last.translate(_WITHOUT_DIGITS) != self._step.translate(_WITHOUT_DIGITS):
            self._since = monotonic()

    def _run(self) -> None:
        while not self._stop.wait(0.25):
            seconds = monotonic() - self._since
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
