"""Streams of bytes: decompressed while they are read, and never past a limit."""

from __future__ import annotations

import codecs
from typing import Protocol

from cachedoctor.errors import InputError
from cachedoctor.io.memory import claim, unclaimed

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""The byte order marks that Windows shells write, each with the encoding that it announces."""
HEAD = 512
"""Bytes that are enough to detect what a stream contains: a whole tar header."""
FREE_BYTES = 16 << 20
"""Bytes that any compressed stream may unpack to, however small it is."""
FREE_TAR_BYTES = 1 << 30
"""The same for a compressed tar: one of its layers, which are skipped, may be a large file of zeros."""
HIGHEST_RATIO = 200
"""Beyond these, how many bytes each compressed byte may unpack to."""
MOST_BYTES = 64 << 30
"""Bytes that any stream may unpack to."""
MOST_PACKED = 2
"""How many times a stream may be compressed."""

_GZIP = b"\x1f\x8b"
_USTAR = b"ustar"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Bytes that are decompressed in one go, so that the result has at most 64 MiB: four bytes of zstd can expand
# to 128 KiB, and one byte of gzip to 1032.
_CHUNKS = {"gzip": 1 << 16, "zstd": 2048}


class Readable(Protocol):
    """Anything that bytes can be read from."""

    def read(self, count: int, /) -> bytes:
        """The next `count` bytes, or fewer; none at the end."""


class Replayed:
    """A stream whose head has already been read."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = head
        self._rest = rest

    def read(self, count: int) -> bytes:
        """The head first, then the rest."""
        if not self._head:
            return self._rest.read(count)
        part, self._head = self._head[:count], self._head[count:]
        return part


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class Unpacked:
    """A compressed stream, decompressed while it is read.

    There may be several members, with zeros between them (RFC 1952, RFC 8878). `read` raises `InputError` if the data
    is damaged or cut short, or unpacks to more than a limit.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream = stream
        self._name = name
        self._decompressor: _Decompressor | None = None
        self._rest = b""
        self._ready = bytearray()
        self._taken = 0
        self._given = 0
        self._free = FREE_BYTES

    def allow_layers(self) -> None:
        """Allow as many bytes as a tar may have, most of which are skipped."""
        self._free = FREE_TAR_BYTES

    def read(self, count: int) -> bytes:
        """At most `count` decompressed bytes, none at the end."""
        while len(self._ready) < count and self._fill():
            pass
        data = bytes(self._ready[:count])
        del self._ready[:count]
        return data

    def _fill(self) -> bool:
        data = self._rest or self._stream.read(_CHUNKS[self._name])
        self._rest = b""
        if not data:
            if self._decompressor:
                raise self._fail("the data is cut short")
            return False
        self._taken += len(data)
        if not self._decompressor:
            data = data.lstrip(b"\0")
            if not data:
                return True
            self._decompressor = _decompressor(self._name)
        self._decompress(self._decompressor, data)
        return True

    def _decompress(self, decompressor: _Decompressor, data: bytes) -> None:
        try:
            out = decompressor.decompress(data)
        except _error(self._name) as error:
            raise self._fail("damaged data") from error
        if decompressor.eof:
            self._rest = decompressor.unused_data
            self._taken -= len(self._rest)
            self._decompressor = None
        self._given += len(out)
        if self._given > MOST_BYTES or self._given > self._free + HIGHEST_RATIO * self._taken:
            raise self._fail(f"unpacks to more than {self._given:,} bytes, which is refused")
        self._ready += out

    def _fail(self, problem: str) -> InputError:
        return InputError(problem, f"{self._name} byte {self._taken}")


def _decompressor(name: str) -> _Decompressor:
    if name == "gzip":
        import zlib

        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()


def _error(name: str) -> type[Exception]:
    if name == "gzip":
        import zlib

        return zlib.error
    import zstandard

    return zstandard.ZstdError


def unpack(stream: Readable) -> tuple[bytes, Readable, bool]:
    """Undo gzip and zstd, which are detected by their magic numbers.

    Returns the first `HEAD` bytes of the content, a stream of all of it, and whether it was compressed. Raises
    `InputError` if it is compressed more than `MOST_PACKED` times; so does reading the stream if the data is damaged
    or unpacks to too much.
    """
    for packed in range(MOST_PACKED + 1):
        head = read_fully(stream, HEAD)
        if isinstance(stream, Unpacked) and head[257:262] == _USTAR:
            stream.allow_layers()
        whole = Replayed(head, stream)
        name = "gzip" if head.startswith(_GZIP) else "zstd" if head.startswith(_ZSTD) else None
        if name is None:
            return head, whole, packed > 0
        stream = Unpacked(whole, name)
    raise InputError(f"compressed more than {MOST_PACKED} times over")


def encoding_of(head: bytes) -> str | None:
    """The encoding that a byte order mark announces, `None` if there is none."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def read_fully(stream: Readable, size: int) -> bytes:
    """The next `size` bytes, or all that are left if there are fewer."""
    parts = []
    while size and (part := stream.read(min(size, 16 << 20))):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_all(stream: Readable, limit: int) -> bytes:
    """The whole rest of a stream. Raises `InputError` if it has more than `limit` bytes, and `memory.Crowded`."""
    data = read_fully(stream, unclaimed(limit) + 1)
    if len(data) > limit:
        raise InputError(f"more than {limit:,} bytes, which is refused")
    claim(len(data))
    return data
