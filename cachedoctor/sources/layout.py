"""Blobs in files: an OCI image layout folder, or files that lie beside a manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from cachedoctor.errors import InputError
from cachedoctor.io.files import open_regular
from cachedoctor.sources import digests
from cachedoctor.sources.interface import MOST_MANIFEST_BYTES, CacheDocument
from cachedoctor.sources.oci import layout_documents

MOST_FILES = 100_000
"""Blobs of a layout that are looked through where a manifest is not where it should be."""


class FolderStore:
    """Blobs below one folder; links that lead out of it are refused."""

    def __init__(self, folder: str, source: str, patterns: tuple[str, ...] = ("blobs/{algorithm}/{encoded}",)) -> None:
        self._root = os.path.realpath(folder)
        self._source = source
        self._patterns = patterns

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        name = self._name(digest)
        if name is None:
            algorithm, encoded = digests.split(digest, self._source)
            raise InputError("named by a manifest, but not there", f"blobs/{algorithm}/{encoded}", source=self._source)
        data = self.file(name, limit)
        digests.verify(data, digest, size, self._source)
        return data

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        return self._name(digest) is not None

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        folder = Path(self._root, "blobs/sha256")
        with suppress(OSError):
            for path in sorted(islice(folder.iterdir(), MOST_FILES)):
                if smallest <= path.lstat().st_size <= largest and digests.is_one(f"sha256:{path.name}"):
                    yield f"sha256:{path.name}"

    def _name(self, digest: str) -> str | None:
        algorithm, encoded = digests.split(digest, self._source)
        names = (pattern.format(algorithm=algorithm, encoded=encoded) for pattern in self._patterns)
        return next((name for name in names if os.path.lexists(Path(self._root, name))), None)

    def file(self, name: str, limit: int) -> bytes:
        """A file of the folder. Raises `InputError`."""
        path = os.path.realpath(Path(self._root, name))
        if os.path.commonpath((path, self._root)) != self._root:
            raise InputError("a link that leads out of the layout", name, source=self._source)
        try:
            with open_regular(path) as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"cannot read it: {error.strerror or error}", name, source=self._source) from error
        if len(data) > limit:
            raise InputError(f"more than {limit:,} bytes", name, source=self._source)
        return data


def folder_documents(folder: str, source: str, tag: str | None, platform: str | None) -> list[CacheDocument]:
    """The caches of an OCI layout folder (OCI image spec, "Image Layout"). Raises `InputError`."""
    if not Path(folder, "index.json").exists():
        raise InputError("a folder without index.json is no OCI image layout", source=source)
    store = FolderStore(folder, source)
    return layout_documents(store.file("index.json", MOST_MANIFEST_BYTES), store, source, tag, platform)


class NowhereStore:
    """No blobs at all: a manifest from standard input has nothing beside it."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        raise missing(self._source, digest)

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        return False

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        return iter(())


class BesideStore(FolderStore):
    """Files beside a manifest: the layout that it lies in, or files named by their digests."""

    def __init__(self, path: str, source: str) -> None:
        folder = Path(os.path.realpath(path)).parent
        in_layout = folder.parent.name == "blobs"
        patterns = ("blobs/{algorithm}/{encoded}", "{encoded}", "{encoded}.json")
        super().__init__(str(folder.parent.parent if in_layout else folder), source, patterns)

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        if not self.has(digest):
            raise missing(self._source, digest)
        return super().read(digest, size, limit)


def missing(source: str, digest: str) -> InputError:
    """What to say where a manifest stands alone."""
    return InputError(
        f"a manifest or index without the config that it names; pass the OCI layout that holds both or the config blob "
        f"itself, or put that blob beside it, in a file named by the digits of {digest}",
        source=source,
    )
