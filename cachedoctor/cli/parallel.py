"""Several sources at the same time: threads, since reading is mostly waiting for a network or a disk.

Judging stays in one process. A hundred usual caches take 3 s of it; two processes took 1.6 s for that (measured on two
cores, with `spawn`, which is all that macOS and Windows have), but each has to import everything again, holds caches of
its own in memory, and has to be ended by Ctrl-C. Reading the hundred from a registry takes about as long as judging
them, and happens meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

MOST_READERS = 8
"""Sources that are read, or have been read and wait to be judged, at the same time: what a registry can take.

Each takes at most its share of memory: see `io.memory.sharing`.
"""
_STACK_BYTES = 8 << 20
"""The usual stack of a main thread. With musl, other threads have 128 KiB, too little for deeply nested JSON."""
_POLL_SECONDS = 0.5
"""How long to wait at most before Python looks for Ctrl-C: on Windows, it cannot interrupt a wait."""

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(work: Callable[[S], T], items: Sequence[S]) -> Iterator[tuple[int, T | BaseException]]:
    """The position of each item, and what `work` returns or raises for it, as soon as it is done.

    What has not been taken from here yet counts as in work, so that no more than `MOST_READERS` results wait. The
    threads do not keep the process from ending.
    """
    results: SimpleQueue[tuple[int, T | BaseException]] = SimpleQueue()
    room = threading.Semaphore(MOST_READERS)
    todo = iter(enumerate(items))
    lock = threading.Lock()

    def run() -> None:
        while True:
            room.acquire()
            with lock:
                position, item = next(todo, (-1, None))
            if position < 0 or item is None:
                return
            try:
                results.put((position, work(item)))
            except BaseException as error:
                results.put((position, error))

    _start(run, min(MOST_READERS, len(items)))
    for _ in items:
        yield _next(results)
        room.release()


def _start(run: Callable[[], None], threads: int) -> None:
    usual = threading.stack_size(_STACK_BYTES)
    try:
        for _ in range(threads):
            threading.Thread(target=run, daemon=True).start()
    finally:
        threading.stack_size(usual)


def _next(results: SimpleQueue[T]) -> T:
    while True:
        try:
            return results.get(timeout=_POLL_SECONDS)
        except Empty:
            continue
