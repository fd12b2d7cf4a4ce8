"""How much memory is left, so that an input that is too large ends in a message and not in a killed process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

ROOT = "/"
FREE_BYTES = 128 << 20
"""Bytes of memory that are used without asking whether they are available."""


class Crowded(MemoryError):
    """Something takes more than its share of memory (`sharing`), and may fit once nothing else is being read."""


class _Share:
    def __init__(self, left: int) -> None:
        self.left = left


_share: ContextVar[_Share | None] = ContextVar("share", default=None)


def share_of(readers: int) -> int:
    """The bytes that each of so many readers may take, so that all together take half of what is left.

    The other half is for what is kept of those that were read before.
    """
    known = [left for left in (available(), address_space()) if left is not None]
    return min(known) // (2 * readers) if known else FREE_BYTES


@contextmanager
def sharing(most: int) -> Iterator[None]:
    """While the context lasts, this thread may take so many bytes: `claim` raises `Crowded` beyond them."""
    token = _share.set(_Share(most))
    try:
        yield
    finally:
        _share.reset(token)


def claim(size: int) -> None:
    """Take bytes of the share of this thread, if it has only a share. Raises `Crowded` if they are more than is left.

    Nothing is given back, since a source is read in a moment and then forgotten.
    """
    if share := _share.get():
        if size > share.left:
            raise Crowded
        share.left -= size


def unclaimed(limit: int) -> int:
    """The bytes up to `limit` that are left of the share of this thread; all of them if it does not share."""
    share = _share.get()
    return min(limit, share.left) if share else limit


def is_shared() -> bool:
    """Whether this thread may only take a share."""
    return _share.get() is not None


def lacking(need: int) -> int | None:
    """The bytes of memory that are left, if fewer than `need`; `None` if there are enough, or if it is unknown."""
    left = available() if need > FREE_BYTES else None
    return left if left is not None and left < need else None


def available(root: str | os.PathLike[str] = ROOT) -> int | None:
    """Bytes that this process can still allocate without swapping, `None` if unknown.

    This is what the machine has left (`MemAvailable`) or, if less, what a control group of the process has left. Pages
    that cache files count as left, since the kernel reclaims them first.
    """
    known = [*_of_machine(os.fspath(root)), *_of_groups(os.fspath(root))]
    return max(0, min(known)) if known else None


def address_space() -> int | None:
    """Bytes of address space that this process can still get (`ulimit -v`), `None` if unlimited or unknown."""
    try:
        import resource
    except ImportError:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(ROOT, "proc/self/statm").partition(" ")[0]
    if most == resource.RLIM_INFINITY or not pages.isdecimal():
        return None
    return max(0, most - int(pages) * resource.getpagesize())


def _of_machine(root: str) -> Iterator[int]:
    if match := re.search(r"^MemAvailable: +(\d+) kB", _text(root, "proc/meminfo"), re.MULTILINE):
        yield int(match[1]) * 1024


def _of_groups(root: str) -> Iterator[int]:
    """What is left in each control group that limits the process, including the outer ones (cgroups(7), v1 and v2)."""
    for line in _text(root, "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            mount, prefix = "sys/fs/cgroup", ""
            limit, usage = "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount, prefix = "sys/fs/cgroup/memory", "total_"
            limit, usage = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        names = [name for name in path.split("/") if name]
        for depth in range(len(names), -1, -1):
            group = "/".join([mount, *names[:depth]])
            most, used = _text(root, group, limit).strip(), _text(root, group, usage).strip()
            if most.isdecimal() and used.isdecimal():
                cached = _text(root, group, "memory.stat")
                kept = re.findall(rf"^{prefix}(?:in)?active_file (\d+)$", cached, re.MULTILINE)
                yield int(most) - int(used) + sum(map(int, kept))


def _text(*parts: str) -> str:
    """The text of a file, empty if it cannot be read. Without pathlib, which takes longer to import than this runs."""
    with suppress(OSError, ValueError), open(os.path.join(*parts)) as file:
        return file.read()
    return ""
