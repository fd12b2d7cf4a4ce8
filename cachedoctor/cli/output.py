"""Where reports, progress and errors go."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from cachedoctor.report import Style

NARROWEST = 40
PROGRESS_AFTER = 1.0
"""Seconds before progress is shown."""


class Output:
    """Standard output, or a file that is whole or not there."""

    def __init__(self, path: str | None, *, no_color: bool, verbosity: int) -> None:
        self.path = path
        self.no_color = no_color
        self.verbosity = verbosity

    @property
    def style(self) -> Style:
        """The width of the terminal (`COLUMNS` wins), and colours only on one that shows them."""
        from cachedoctor.report import Style

        terminal = self.path is None and sys.stdout.isatty()
        color = terminal and not self.no_color and os.environ.get("TERM") != "dumb"
        width = max(NARROWEST, shutil.get_terminal_size((80, 24)).columns)
        return Style(width=width, color=color, verbosity=self.verbosity)

    def spare(self, sources: Iterable[str], what: str = "cache") -> None:
        """End where the report would be written over one of the sources."""
        if self.path and any(same_file(self.path, source) for source in sources):
            fail(f"{self.path}: is the {what} itself; write the report elsewhere")

    def write(self, text: str) -> None:
        """Write the whole report; what the encoding of the terminal lacks is replaced."""
        if self.path is None:
            encoding = sys.stdout.encoding or "utf-8"
            try:
                sys.stdout.buffer.write(text.encode(encoding, "backslashreplace"))
                sys.stdout.buffer.flush()
            except OSError as error:
                # What is left in the buffer would fail once more when the interpreter ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                fail(f"cannot write the report: {error.strerror or error}")
            return
        from cachedoctor.files import write_atomically

        try:
            write_atomically(self.path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            fail(f"{self.path}: cannot write the report: {error.strerror or error}")


def same_file(first: str, second: str) -> bool:
    """Whether both are there, and are one file."""
    try:
        return Path(first).samefile(second)
    except (OSError, ValueError):
        return False


def warn(message: str) -> None:
    """One line on standard error."""
    from cachedoctor.text import printable

    encoding = sys.stderr.encoding or "utf-8"
    line = f"cachedoctor: {printable(message)}\n"
    sys.stderr.buffer.write(line.encode(encoding, "backslashreplace"))
    sys.stderr.flush()


def fail(message: str) -> NoReturn:
    """End with one line on standard error and exit code 2."""
    warn(message)
    sys.exit(2)


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the current step on standard error once it takes long, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
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
        from cachedoctor.text import printable

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
