"""Reading files without ever waiting for a writer, and replacing them in one step."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.errors import InputError, reason
from cachedoctor.io.interrupts import on_interrupt
from cachedoctor.io.streams import read_all

if TYPE_CHECKING:
    from pathlib import Path


@contextmanager
def opened(path: str | Path, *, what: str = "it", hint: str = "") -> Iterator[BinaryIO]:
    """A regular file, open for reading; a pipe or a device is refused, since reading it could wait forever.

    Raises `InputError` if it cannot be opened or read, `missing` if there is no such file. The message calls the file
    `what`, and adds `hint` if it is not a regular file.
    """
    try:
        with _open_regular(os.fspath(path), hint) as file:
            yield file
    except OSError as error:
        raise InputError(
            f"cannot read {what}: {reason(error)}", missing=isinstance(error, FileNotFoundError)
        ) from error


def read_bounded(path: str | Path, limit: int, *, what: str = "it") -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises `InputError` as `opened` does, and if the file is larger.
    """
    with opened(path, what=what) as file:
        return read_all(file, limit)


def is_folder(path: str | Path) -> bool:
    """Whether a path is a folder; unlike `Path.is_dir`, this raises nothing if that cannot be found out."""
    return os.path.isdir(path)


def one_file(first: str | Path, second: str | Path) -> bool:
    """Whether two names are, or will be, those of one file."""
    try:
        return os.path.realpath(first) == os.path.realpath(second) or os.path.samefile(first, second)
    except (OSError, ValueError):
        return False


def _open_regular(path: str, hint: str) -> BinaryIO:
    if "\0" in path:
        raise OSError(errno.EINVAL, "a file name cannot contain a NUL")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(f"it is neither a regular file nor a folder{hint}")
    return file


def write_atomically(path: str | Path, data: bytes, check: Callable[[bytes], None] = lambda read_back: None) -> None:
    """Write to a temporary file beside `path`, sync it, read it back, and rename it to `path`.

    `check` is given what was read back, and raises an exception to reject it. Raises `OSError`, and whatever `check`
    raises; `path` is then unchanged.

    Anything but a regular file, such as a pipe or `/dev/stdout`, cannot be replaced, and is written to directly.
    """
    from pathlib import Path

    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            check(data)
            # Opened without waiting for a reader: writing to a pipe that nobody has open is an error.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb") as file:
                os.set_blocking(file.fileno(), True)
                file.write(data)
            return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:40]}.{os.urandom(8).hex()}")
    with on_interrupt(temporary.unlink):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
    _sync(target.parent)


@contextmanager
def folder_atomically(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to write to, which is synced and takes its place, with what it replaces, at the end.

    If an exception leaves the context, or the process is interrupted in it, `path` is unchanged. Raises `OSError`.
    """
    from pathlib import Path
    from shutil import rmtree

    target = Path(os.path.realpath(path))
    name = f".{target.name[:40]}.{os.urandom(8).hex()}"
    temporary, old = target.with_name(name), target.with_name(f"{name}.old")

    def clean() -> None:
        rmtree(temporary, ignore_errors=True)
        if old.exists() and not target.exists():
            old.rename(target)

    with on_interrupt(clean):
        temporary.mkdir()
        try:
            yield temporary
            for written in (*temporary.rglob("*"), temporary):
                _sync(written)
            if target.exists():
                target.rename(old)
            temporary.rename(target)
        finally:
            clean()
    rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of a new file."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
