"""A tar as `tarfile` may read it: forwards only, and no header without bounds."""

from __future__ import annotations

from typing import BinaryIO

from cachedoctor.errors import InputError
from cachedoctor.io.streams import MOST_BYTES, Readable, read_fully

MOST_HEADER_BYTES = 1 << 20
"""Bytes of all headers of one member."""
_SKIP = 1 << 20


class Tape:
    """A stream with the methods that `tarfile` asks for.

    `tarfile` believes the sizes in headers: it would read an extended header of any length into memory, and go back
    for a negative one. What it reads is counted until `member` is called, and `seek` goes forwards only. `file` is the
    same stream where it can seek, so that layers are skipped and not read.
    """

    def __init__(self, stream: Readable, file: BinaryIO | None, source: str) -> None:
        self._stream = stream
        self._file = file
        self._source = source
        self._position = 0
        self._headers = 0

    def tell(self) -> int:
        """The byte of the archive that comes next."""
        return self._position

    def read(self, count: int) -> bytes:
        """Read headers. Raises `InputError` where there are too many."""
        self._headers += count
        if self._headers > MOST_HEADER_BYTES:
            raise self._fail(f"a header of more than {MOST_HEADER_BYTES:,} bytes")
        return self.content(count)

    def content(self, count: int) -> bytes:
        """Read the content of a member."""
        data = read_fully(self._stream, count)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Skip to a byte of the archive. Raises `InputError` for one that was passed."""
        if position < self._position:
            raise self._fail("a header with an impossible size")
        if position > MOST_BYTES:
            raise self._fail(f"an archive of more than {MOST_BYTES:,} bytes")
        if self._file:
            self._file.seek(position)
            self._position = position
        while self._position < position and self.content(min(_SKIP, position - self._position)):
            pass

    def member(self) -> None:
        """Begin to count the headers of another member."""
        self._headers = 0

    def _fail(self, problem: str) -> InputError:
        return InputError(f"damaged tar: {problem}", f"byte {self._position}", source=self._source)
