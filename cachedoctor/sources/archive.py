"""An OCI image layout in a tar archive."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from cachedoctor.errors import InputError
from cachedoctor.io.streams import Readable
from cachedoctor.sources import digests
from cachedoctor.sources.interface import MOST_CONFIG_BYTES, CacheDocument
from cachedoctor.sources.oci import layout_documents
from cachedoctor.sources.tape import Tape

MOST_MEMBERS = 100_000
MOST_KEPT_BYTES = 768 << 20
"""Bytes of JSON that are kept from one archive; layers are passed over."""


class ArchiveStore:
    """The JSON documents among the blobs of a tar, read in one pass. Links and devices are passed over."""

    def __init__(self, stream: Readable, file: BinaryIO | None, source: str) -> None:
        self._source = source
        self._files: dict[str, bytes] = {}
        self._folder = ""
        tape = Tape(stream, file, source)
        kept = 0
        for member in _members(tape, source):
            if member.isreg() and not member.issparse() and member.size <= MOST_CONFIG_BYTES:
                kept += self._keep(tape, member)
            if kept > MOST_KEPT_BYTES:
                raise InputError(f"more than {MOST_KEPT_BYTES:,} bytes of JSON in it", member.name, source=source)

    def _keep(self, tape: Tape, member: tarfile.TarInfo) -> int:
        """Keep a member that can be a manifest or a config; the bytes that this takes."""
        name = posixpath.normpath(member.name)
        if posixpath.basename(name) == "index.json" and name != "index.json":
            self._folder = posixpath.dirname(name)
        if name != "index.json" and not digests.is_one(name.removeprefix("blobs/").replace("/", ":")):
            return 0
        first = tape.content(min(1, member.size))
        if first not in (b"{", b"["):
            return 0
        self._files[name] = first + tape.content(member.size - 1)
        if len(self._files[name]) < member.size:
            raise InputError("the archive is cut short", member.name, source=self._source)
        return member.size

    def index(self) -> bytes:
        """The layout's `index.json`. Raises `InputError` where there is none."""
        found = self._files.get("index.json")
        if found is None:
            hint = f"; there is one in its folder {self._folder!r}: pack what is in that" if self._folder else ""
            raise InputError(f"a tar archive without index.json is no OCI image layout{hint}", source=self._source)
        return found

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        algorithm, encoded = digests.split(digest, self._source)
        return f"blobs/{algorithm}/{encoded}" in self._files

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        for name, data in sorted(self._files.items()):
            digest = f"sha256:{name.removeprefix('blobs/sha256/')}"
            if smallest <= len(data) <= largest and digests.is_one(digest):
                yield digest

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        algorithm, encoded = digests.split(digest, self._source)
        name = f"blobs/{algorithm}/{encoded}"
        data = self._files.get(name)
        if data is None:
            raise InputError("not in the archive, or no JSON, and the manifest names it", name, source=self._source)
        if len(data) > limit:
            raise InputError(f"more than {limit:,} bytes", name, source=self._source)
        digests.verify(data, digest, size, self._source)
        return data


def _members(tape: Tape, source: str) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar, one after the other. Raises `InputError`."""
    try:
        # tarfile needs no more of a file than Tape has.
        with tarfile.TarFile(fileobj=cast(BinaryIO, tape), errors="surrogateescape") as archive:
            for _ in range(MOST_MEMBERS):
                tape.member()
                member = archive.next()
                if member is None:
                    return
                yield member
    # A damaged extended header fails in whatever tarfile does with its numbers.
    except (tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, LookupError) as error:
        raise InputError(
            "a damaged tar archive, or one that is cut short", f"byte {tape.tell()}", source=source
        ) from error
    raise InputError(f"more than {MOST_MEMBERS:,} files in the archive", source=source)


def is_tar(head: bytes) -> bool:
    """Whether these bytes start a tar archive: its first header, with its checksum."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def archive_documents(
    stream: Readable, file: BinaryIO | None, source: str, tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches of a layout in a tar; `file` is the stream itself where it can seek. Raises `InputError`."""
    store = ArchiveStore(stream, file, source)
    return layout_documents(store.index(), store, source, tag, platform)
