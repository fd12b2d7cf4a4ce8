"""An OCI image layout in a tar archive."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from cachedoctor.errors import InputError
from cachedoctor.sources import digests
from cachedoctor.sources.interface import MOST_CONFIG_BYTES, CacheDocument
from cachedoctor.sources.oci import layout_documents

MOST_MEMBERS = 100_000
MOST_KEPT_BYTES = 768 << 20
"""Bytes of JSON that are kept from one archive; layers are passed over."""


class ArchiveStore:
    """The JSON documents among the blobs of a tar, read in one pass. Links and devices are passed over."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self._source = source
        self._files: dict[str, bytes] = {}
        kept = 0
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for number, member in enumerate(archive):
                    if number >= MOST_MEMBERS:
                        raise InputError(source, "", f"more than {MOST_MEMBERS:,} files in the archive")
                    if member.isreg() and member.size <= MOST_CONFIG_BYTES:
                        kept += self._keep(archive, member)
                    if kept > MOST_KEPT_BYTES:
                        raise InputError(source, member.name, f"more than {MOST_KEPT_BYTES:,} bytes of JSON in it")
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise InputError(source, "", "a damaged tar archive, or one that is cut short") from error

    def _keep(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
        """Keep a member that may be JSON; the bytes that this takes."""
        name = posixpath.normpath(member.name)
        file = archive.extractfile(member)
        first = file.read(1) if file else b""
        if file is None or first not in (b"{", b"["):
            return 0
        self._files[name] = first + file.read()
        if len(self._files[name]) < member.size:
            raise InputError(self._source, member.name, "the archive is cut short")
        return member.size

    def index(self) -> bytes:
        """The layout's `index.json`. Raises `InputError` where there is none."""
        found = self._files.get("index.json")
        if found is None:
            raise InputError(self._source, "", "a tar archive without index.json is no OCI image layout")
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
            raise InputError(self._source, name, "not in the archive, or no JSON, and the manifest names it")
        if len(data) > limit:
            raise InputError(self._source, name, f"more than {limit:,} bytes")
        digests.verify(data, digest, size, self._source)
        return data


def is_tar(head: bytes) -> bool:
    """Whether these bytes start a tar archive: its first header, with its checksum."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def archive_documents(stream: BinaryIO, source: str, tag: str | None, platform: str | None) -> list[CacheDocument]:
    """The caches of a layout in a tar. Raises `InputError`."""
    store = ArchiveStore(stream, source)
    return layout_documents(store.index(), store, source, tag, platform)
