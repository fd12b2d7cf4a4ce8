"""Reading files without waiting for anybody, and writing them so that a reader finds the whole or nothing."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | Path, data: bytes, check: Callable[[bytes], None] = lambda read_back: None) -> None:
    """Write to a temporary file beside `path`, sync it, read it back, and rename it.

    Raises `OSError`, and whatever `check` raises of what was read back; then `path` is as before.

    Something that is no regular file, such as a pipe or `/dev/stdout`, cannot be replaced and is written to.
    """
    target = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            check(data)
            # Without waiting for somebody to read: a pipe that nobody has open is an error.
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_NONBLOCK), "wb") as file:
                file.write(data)
            return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        check(temporary.read_bytes())
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those that a new file gets."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def open_regular(path: str, hint: str = "; pass - to read a pipe") -> BinaryIO:
    """Open a regular file, and never wait for a pipe or a device. Raises `OSError`, with `hint` for what is none."""
    if "\0" in path:
        raise OSError(errno.EINVAL, "no file name has a NUL in it")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(f"it is neither a regular file nor a folder{hint}")
    return file
