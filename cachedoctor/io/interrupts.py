"""Ctrl-C ends the process quietly, at any moment, and leaves nothing half-written behind.

Kept free of imports that take time: it is the first thing that the command does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 130
"""The exit code that shells give to a process that SIGINT ended."""

_cleanups: list[Callable[[], object]] = []


def install() -> None:
    """End on SIGINT without unwinding.

    A `KeyboardInterrupt` in the middle of an import, a destructor or an extension module is printed, swallowed or
    crashes; the handler runs what was registered with `on_interrupt` and ends the process instead.
    """
    signal.signal(signal.SIGINT, _end)


@contextmanager
def on_interrupt(cleanup: Callable[[], object]) -> Iterator[None]:
    """Have `cleanup` called if the process is interrupted inside the `with` block. It must not take long."""
    _cleanups.append(cleanup)
    try:
        yield
    finally:
        _cleanups.remove(cleanup)


def _end(signum: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for cleanup in reversed(_cleanups):
        with suppress(Exception):
            cleanup()
    os._exit(INTERRUPTED)
