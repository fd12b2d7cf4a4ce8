"""Ctrl-C ends the process quietly, at any moment, and leaves nothing half-written behind.

It is the first thing that the command does, so this module imports nothing that Python has not loaded anyway: an
interrupt before the handler is in place shows a traceback.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
else:
    # What `signal` itself is made from, without the time to make enumerations of its numbers.
    import _signal as signal

INTERRUPTED = 130
"""The exit code that shells give to a process that SIGINT ended."""

_cleanups: list[Callable[[], object]] = []


def install() -> None:
    """End on SIGINT without unwinding.

    A `KeyboardInterrupt` in the middle of an import, a destructor or an extension module is printed, swallowed or
    crashes. The handler runs what was registered with `on_interrupt` and ends the process instead.
    """
    signal.signal(signal.SIGINT, _end)


def finish() -> None:
    """Ignore SIGINT from now on: all is written, and an interpreter that ends would die of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class on_interrupt:  # noqa: N801
    """A context, used like a function: `cleanup` is called if the process is interrupted in it. It must be quick."""

    def __init__(self, cleanup: Callable[[], object]) -> None:
        self._cleanup = cleanup

    def __enter__(self) -> None:
        _cleanups.append(self._cleanup)

    def __exit__(self, *error: object) -> None:
        _cleanups.remove(self._cleanup)


def _end(signum: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for cleanup in reversed(_cleanups):
        # Whatever one cleanup does, the others have their turn.
        try:  # noqa: SIM105
            cleanup()
        except Exception:
            pass
    os._exit(INTERRUPTED)
