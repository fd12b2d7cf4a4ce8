"""Blobs in files: an OCI image layout folder, read and written, and files that lie beside a manifest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from cachedoctor.buildkit import CACHE_CONFIG, INDEX
from cachedoctor.cacheconfig import CacheConfig, nested_too_deep
from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import is_folder, read_bounded, write_atomically
from cachedoctor.io.interrupts import on_interrupt
from cachedoctor.sources.descriptors import (
    REF_NAME,
    Descriptor,
    descriptors_of,
    how_to_get,
    is_digest,
    known_descriptors,
    new_manifest,
    split,
    verify,
)
from cachedoctor.sources.document import MOST_MANIFEST_BYTES, CacheDocument, Check, Location, Sizes, Writer, digest_of
from cachedoctor.sources.json import parse, typed
from cachedoctor.sources.oci import layout_documents

MOST_FILES = 100_000
"""Blobs of a layout that are searched for a manifest that is not where it should be."""

_FILES = frozenset({"blobs", "oci-layout"})
"""What may be in a layout without an index."""
_BEFORE_EXPORT = _FILES | {"ingest", "lost+found", ".gitkeep", ".keep"}
"""What may be in a folder to which no cache has been exported yet; an export creates `ingest` first."""


class FolderStore:
    """Blobs below one folder; links that lead out of it are refused."""

    def __init__(self, folder: str | Path, patterns: tuple[str, ...] = ("blobs/{algorithm}/{encoded}",)) -> None:
        self._root = os.path.realpath(folder)
        self._patterns = patterns

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        name = self._existing(digest)
        if name is None:
            algorithm, encoded = split(digest)
            raise InputError("named by a manifest, but not there", f"blobs/{algorithm}/{encoded}")
        data = self.file(name, limit)
        verify(data, digest, size)
        return data

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        return self._existing(digest) is not None

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        folder = Path(self._root, "blobs/sha256")
        with suppress(OSError):
            for path in sorted(islice(folder.iterdir(), MOST_FILES)):
                if smallest <= path.lstat().st_size <= largest and is_digest(f"sha256:{path.name}"):
                    yield f"sha256:{path.name}"

    def sizes(self, digests: Sequence[str]) -> Sizes:
        """See `BlobStore.sizes`."""
        found = {digest: size for digest in digests if (size := self._size(digest)) is not None}
        return Sizes("folder", found)

    def _size(self, digest: str) -> int | None:
        """The bytes of a blob, -1 behind a link that leads out of the folder; `None` if there is none."""
        for name in self._names(digest):
            path = f"{self._root}/{name}"
            with suppress(FileNotFoundError, NotADirectoryError):
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode):
                    if not is_below(os.path.realpath(path), self._root):
                        return -1
                    status = Path(path).stat()
                if stat.S_ISREG(status.st_mode):
                    return status.st_size
        return None

    def _existing(self, digest: str) -> str | None:
        paths = ((name, Path(self._root, name)) for name in self._names(digest))
        return next((name for name, path in paths if os.path.lexists(path) and not is_folder(path)), None)

    def _names(self, digest: str) -> Iterator[str]:
        algorithm, encoded = split(digest)
        return (pattern.format(algorithm=algorithm, encoded=encoded) for pattern in self._patterns)

    def file(self, name: str, limit: int) -> bytes:
        """A file of the folder. Raises `InputError`."""
        path = os.path.realpath(Path(self._root, name))
        if not is_below(path, self._root):
            raise InputError("a link that leads out of the layout", name)
        with reading(where=name):
            return read_bounded(path, limit)


class BesideStore(FolderStore):
    """Files beside a manifest: those of the layout that it lies in, or files named by their digests."""

    def __init__(self, path: str) -> None:
        folder = Path(os.path.realpath(path)).parent
        self._in_layout = folder.parent.name == "blobs"
        patterns = ("blobs/{algorithm}/{encoded}", "{encoded}", "{encoded}.json", "{algorithm}:{encoded}")
        super().__init__(folder.parent.parent if self._in_layout else folder, patterns)

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        if not self.has(digest):
            raise _alone(digest)
        return super().read(digest, size, limit)

    def sizes(self, digests: Sequence[str]) -> Sizes:
        """See `BlobStore.sizes`: a manifest with its config, and no other blob beside it, was fetched by hand."""
        sizes = super().sizes(digests)
        if self._in_layout or sizes.found:
            return sizes
        return sizes._replace(unknown=frozenset(digests), why="only the config is beside the manifest")


class NowhereStore:
    """No blobs at all: a manifest from standard input has nothing beside it."""

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        raise _alone(digest)

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        return False

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        return iter(())

    def sizes(self, digests: Sequence[str]) -> Sizes | None:
        """See `BlobStore.sizes`."""
        return None


def _alone(digest: str) -> InputError:
    return InputError(
        f"a manifest or index without the config that it names; {how_to_get(digest)}, or put it beside the manifest, "
        "in a file named by the digits of its digest"
    )


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or something in it; neither may have links in it."""
    return os.path.commonpath((path, folder)) == folder


def layout_tags(folder: str) -> list[str]:
    """The tags of an OCI layout folder, in the order of its index, each once. Raises `InputError`."""
    if not Path(folder, "index.json").exists():
        return []
    with reading(where="index.json"):
        listed = descriptors_of(parse(FolderStore(folder).file("index.json", MOST_MANIFEST_BYTES)))
    return list(dict.fromkeys(tag for descriptor in listed for tag in sorted(descriptor.tags)))


def folder_documents(folder: str, tag: str | None, platform: str | None) -> list[CacheDocument]:
    """The caches of an OCI layout folder (OCI image spec, "Image Layout").

    Raises `InputError`, which is `missing` if no cache has been exported to the folder yet.
    """
    store = FolderStore(folder)
    if Path(folder, "index.json").exists():
        index = store.file("index.json", MOST_MANIFEST_BYTES)
        return layout_documents(index, store, tag, platform, lists_tags=True)
    if _is_unused(Path(folder)):
        raise InputError("an empty folder: no cache has been exported to it yet", missing=True)
    raise InputError("a folder without index.json is not an OCI image layout")


def unpacked_image(folder: str) -> str | None:
    """The `manifest.json` of a folder in which an archive of `docker save`, or a copy by skopeo (`dir:`), was unpacked.

    `None` if this is a layout, or anything else.
    """
    path = Path(folder, "manifest.json")
    return str(path) if path.is_file() and not os.path.lexists(Path(folder, "index.json")) else None


def _is_unused(folder: Path) -> bool:
    """Whether a folder has nothing in it that an export would not have created before anything else, and no blob."""
    names = {path.name for path in islice(folder.iterdir(), len(_BEFORE_EXPORT) + 1)}
    return names <= _BEFORE_EXPORT and not any(path.is_file() for path in islice(folder.glob("blobs/*/*"), 1))


def tag_of(document: CacheDocument) -> str:
    """The tag that a document has in its layout folder, `latest` if it has none. Raises `InputError`."""
    with reading(document.source, "index.json"):
        index = parse(FolderStore(layout_folder(document)).file("index.json", MOST_MANIFEST_BYTES))
    digest = document.named_digest or document.manifest_digest
    tags = [_tags(descriptor) for descriptor in index["manifests"] if descriptor.get("digest") == digest]
    return next((min(found) for found in tags if found), "latest")


class LayoutWriter(Writer):
    """Writes config, manifest and layers into an OCI layout folder, and last a tag into `index.json`."""

    def __init__(
        self, location: Location, folder: Path, tag: str, documents: Sequence[CacheDocument], *, force: bool
    ) -> None:
        """`documents` are those that the cache was made from. Raises `InputError` if one is not from a layout."""
        super().__init__(location)
        self._folder = folder
        self._tag = tag
        self._force = force
        self._documents = documents
        self._origins = [layout_folder(document) for document in documents]

    @property
    def path(self) -> str:
        """The folder with the tag."""
        return f"{self.location.prefix}{self._folder}:{self._tag}"

    def put(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Writer.put`."""
        index = self._index()
        known = known_descriptors(self._documents)
        blobs = list(dict.fromkeys(config.blobs))
        manifest = new_manifest(self._documents[0].kind, [known[blob] for blob in blobs], data)
        encoded = orjson.dumps(manifest)
        folder = self._folder / "blobs/sha256"
        folder.mkdir(parents=True, exist_ok=True)
        if not (self._folder / "oci-layout").exists():
            write_atomically(self._folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for blob in blobs:
            self._provide_layer(blob, known[blob].get("size"))
        for content in (data, encoded):
            write_atomically(folder / digest_of(content).removeprefix("sha256:"), content)
        store = FolderStore(self._folder)
        check(store.read(digest_of(data), len(data), len(data)))
        store.read(digest_of(encoded), len(encoded), MOST_MANIFEST_BYTES)
        tagged = {
            "mediaType": manifest["mediaType"],
            "digest": digest_of(encoded),
            "size": len(encoded),
            "annotations": {REF_NAME: self._tag},
        }
        others = [kept for descriptor in index["manifests"] for kept in _without(descriptor, self._tag)]
        write_atomically(self._folder / "index.json", orjson.dumps(index | {"manifests": [*others, tagged]}))

    def _index(self) -> dict[str, Any]:
        """The layout's `index.json`, or a new one. Raises `InputError` if it must not be changed."""
        if not (self._folder / "index.json").exists():
            others = self._folder.is_dir() and any(path.name not in _FILES for path in self._folder.iterdir())
            if others and not self._force:
                raise InputError("a folder with other files in it, and not a layout; use --force to write there")
            return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        with reading(where="index.json"):
            index = parse(FolderStore(self._folder).file("index.json", MOST_MANIFEST_BYTES))
            if not _is_index(index) or nested_too_deep(index):
                raise InputError("expected an OCI index")
            if any(descriptor.get("mediaType") == CACHE_CONFIG for descriptor in index["manifests"]):
                raise InputError("is itself a cache, and not a list of tags; write it to another folder")
            if not self._force and any(self._tag in _tags(descriptor) for descriptor in index["manifests"]):
                raise InputError(f"has a tag {self._tag!r} already; use --force to move it")
        return dict(index)

    def _provide_layer(self, blob: str, size: object) -> None:
        """Make sure that the layout has a layer, as a hard link if possible. Raises `InputError` and `OSError`.

        One that does not have the bytes that its descriptor says is not it.
        """
        algorithm, encoded = split(blob)
        name = f"blobs/{algorithm}/{encoded}"
        target = self._folder / name
        if _is_whole(target, size):
            return
        for document, folder in zip(self._documents, self._origins, strict=True):
            origin = os.path.realpath(folder / name)
            if not _is_whole(Path(origin), size):
                continue
            if not is_below(origin, os.path.realpath(folder)):
                raise InputError("a link that leads out of the layout", name, source=document.source)
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(Path(origin), target)
            return
        raise InputError(
            "a layer that is not there; -o FILE writes the cache config alone", name, source=self._documents[0].source
        )


def _is_whole(blob: Path, size: object) -> bool:
    return blob.is_file() and (not isinstance(size, int) or blob.stat().st_size == size)


def layout_folder(document: CacheDocument) -> Path:
    """The layout folder that a document was read from. Raises `InputError` if it is from elsewhere."""
    folder = document.location.layout if document.location else None
    if document.kind not in ("image-manifest", "index", "manifest-list") or folder is None or not folder.is_dir():
        raise InputError(
            "the layers of a layout can only be taken from the layout folder of a cache, not from a registry, a tar, "
            "an inline cache or a config; write the cache config to a file instead",
            source=document.source,
        )
    return folder


def _is_index(parsed: Any) -> bool:
    listed = parsed.get("manifests") if isinstance(parsed, dict) else None
    return isinstance(listed, list) and all(isinstance(descriptor, dict) for descriptor in listed)


def _tags(descriptor: dict[str, Any]) -> frozenset[str]:
    """The tags of a descriptor, by the same rule as when it is read."""
    return typed(descriptor, Descriptor).tags


def _without(descriptor: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    """The descriptor without a tag: nothing is left if it has no other."""
    tags = _tags(descriptor)
    if tag not in tags:
        return [descriptor]
    return [descriptor | {"annotations": {REF_NAME: other}} for other in sorted(tags - {tag})]


def _link_or_copy(origin: Path, target: Path) -> None:
    with suppress(OSError):
        os.link(origin, target)
        return
    from shutil import copyfile

    part = target.with_name(f".{target.name}.{os.getpid()}")
    with on_interrupt(part.unlink):
        try:
            copyfile(origin, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
