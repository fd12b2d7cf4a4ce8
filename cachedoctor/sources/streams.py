"""Bytes that come in one after the other: unpacked as they come, and never more than is borne."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO, cast

from cachedoctor.errors import InputError

HEAD = 512
"""Bytes that tell what a stream is: a whole tar header."""
FREE_BYTES = 64 << 20
"""Bytes that may come out of a compressed stream whatever went in."""
HIGHEST_RATIO = 200
"""Past these, how many bytes may come out for each that went in."""
MOST_BYTES = 64 << 30
"""Bytes that may come out of any stream."""

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
MOST_PACKED = 2
"""How often a stream may be compressed over."""


class Counted(io.RawIOBase):
    """A stream that gives back its head, and counts what is read from it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest
        self.count = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """The head first, then the rest."""
        view = memoryview(cast(bytearray, buffer))
        if self._head:
            part, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            part = self._rest.read(len(view))
        view[: len(part)] = part
        self.count += len(part)
        return len(part)


class Unpacked(io.RawIOBase):
    """The decompressed bytes of a stream, up to a size and a ratio. Raises `InputError` past them."""

    def __init__(self, packed: Counted, unpacker: BinaryIO, source: str) -> None:
        self._packed = packed
        self._unpacker = unpacker
        self._source = source
        self._count = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """Decompress some more."""
        view = memoryview(cast(bytearray, buffer))
        try:
            part = self._unpacker.read(len(view))
        except InputError:
            raise
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise InputError(self._source, f"unpacked byte {self._count}", "damaged or cut short") from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise InputError(self._source, f"unpacked byte {self._count}", "damaged or cut short") from error
        self._count += len(part)
        if self._count > MOST_BYTES or self._count > FREE_BYTES + HIGHEST_RATIO * self._packed.count:
            raise InputError(self._source, "", f"unpacks to more than {self._count:,} bytes, which is refused")
        view[: len(part)] = part
        return len(part)


def unpack(stream: BinaryIO, source: str) -> tuple[bytes, BinaryIO]:
    """Undo gzip and zstd, known by their magic numbers. Returns the head of what is inside, and all of it.

    Raises `InputError` where it is compressed more than `MOST_PACKED` times over; reading what is returned raises it
    where the stream is damaged or too large.
    """
    for _ in range(MOST_PACKED + 1):
        head = _read(stream, HEAD)
        counted = Counted(head, stream)
        whole = cast(BinaryIO, io.BufferedReader(counted, 1 << 20))
        if head.startswith(GZIP):
            import gzip

            unpacker = cast(BinaryIO, gzip.GzipFile(fileobj=whole))
        elif head.startswith(ZSTD):
            import zstandard

            made = zstandard.ZstdDecompressor(max_window_size=1 << 27)
            unpacker = cast(BinaryIO, made.stream_reader(whole, read_across_frames=True))
        else:
            return head, whole
        stream = cast(BinaryIO, io.BufferedReader(Unpacked(counted, unpacker, source), 1 << 20))
    raise InputError(source, "", f"compressed more than {MOST_PACKED} times over")


def _read(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_all(stream: BinaryIO, limit: int, source: str) -> bytes:
    """The whole rest of a stream. Raises `InputError` past the limit."""
    data = _read(stream, limit + 1)
    if len(data) > limit:
        raise InputError(source, "", f"more than {limit:,} bytes of JSON")
    return data
