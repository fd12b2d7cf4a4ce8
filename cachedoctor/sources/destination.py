"""Where a repaired cache is written: a file, an OCI layout with all its layers, or a registry."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from cachedoctor.cacheconfig import MEDIA_TYPE, CacheConfig, nested_too_deep
from cachedoctor.errors import InputError
from cachedoctor.io.files import write_atomically
from cachedoctor.sources import Access, CacheDocument, digests
from cachedoctor.sources.interface import MOST_MANIFEST_BYTES
from cachedoctor.sources.json import parse
from cachedoctor.sources.layout import FolderStore
from cachedoctor.sources.registry import reference

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

_OF_LAYOUT = frozenset({"blobs", "oci-layout"})

Check = Callable[[bytes], None]
"""Raises an exception where what was read back is not what it should be; then nothing is put in its place."""


class Destination(Protocol):
    """A place to write to."""

    @property
    def path(self) -> str:
        """As a user names it."""

    @property
    def replaced(self) -> str | None:
        """After `write`: the digest of the manifest that a registry's tag held before, by which it can be put back."""

    def write(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """Write a cache config with all that belongs to it, checked by reading it back before it takes its place.

        Raises `InputError` where the place cannot be written, or must not be; then it is as before.
        """


@dataclass(frozen=True, slots=True)
class FileDestination:
    """The bare cache config in a file."""

    path: str
    force: bool

    @property
    def replaced(self) -> None:
        """See `Destination.replaced`: told of registries alone."""

    def write(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Destination.write`."""
        if not self.force and os.path.lexists(self.path):
            raise InputError("is there already; --force replaces it", source=self.path)
        try:
            write_atomically(self.path, data, check)
        except OSError as error:
            raise unwritable(self.path, error) from error


@dataclass(frozen=True, slots=True)
class LayoutDestination:
    """An OCI layout folder: config, manifest, layers, and a tag in `index.json`, which is replaced last."""

    folder: str
    tag: str
    force: bool
    sources: Sequence[tuple[CacheDocument, str]]
    """The documents that are repaired, each with the layout folder it came from."""

    @property
    def replaced(self) -> None:
        """See `Destination.replaced`: told of registries alone."""

    @property
    def path(self) -> str:
        """The folder and the tag."""
        return f"oci:{self.folder}:{self.tag}"

    def write(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Destination.write`."""
        index = self._index()
        documents = [document for document, _ in self.sources]
        known = descriptors(documents)
        layers = [known[blob] for blob in dict.fromkeys(config.blobs)]
        manifest = orjson.dumps(manifest_of(documents[0].kind, layers, data))
        try:
            blobs = Path(self.folder, "blobs/sha256")
            blobs.mkdir(parents=True, exist_ok=True)
            if not Path(self.folder, "oci-layout").exists():
                write_atomically(Path(self.folder, "oci-layout"), b'{"imageLayoutVersion":"1.0.0"}')
            for blob in dict.fromkeys(config.blobs):
                self._layer(blob)
            for content in (data, manifest):
                write_atomically(blobs / digests.of(content).removeprefix("sha256:"), content)
            store = FolderStore(self.folder, self.folder)
            check(store.read(digests.of(data), len(data), len(data)))
            store.read(digests.of(manifest), len(manifest), MOST_MANIFEST_BYTES)
            self._name(index, manifest)
            write_atomically(Path(self.folder, "index.json"), orjson.dumps(index))
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def _index(self) -> dict[str, Any]:
        """The layout's `index.json`, or a new one."""
        if not Path(self.folder, "index.json").exists():
            self._keep_out()
            return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        store = FolderStore(self.folder, self.folder)
        index = parse(store.file("index.json", MOST_MANIFEST_BYTES), self.folder, "index.json")
        listed = index.get("manifests") if isinstance(index, dict) else None
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed) or nested_too_deep(index):
            raise InputError("expected an OCI index", "index.json", source=self.folder)
        if not self.force and any(_tag(one) == self.tag for one in listed):
            raise InputError(f"has a tag {self.tag!r} already; --force moves it", "index.json", source=self.folder)
        return dict(index)

    def _keep_out(self) -> None:
        """Raise `InputError` where the folder holds something else than a layout."""
        folder = Path(self.folder)
        if folder.is_dir() and not self.force and any(one.name not in _OF_LAYOUT for one in folder.iterdir()):
            raise InputError("a folder with other files in it, and no layout; --force writes there", source=self.folder)

    def _name(self, index: dict[str, Any], manifest: bytes) -> None:
        named = {
            "mediaType": parse(manifest, self.folder)["mediaType"],
            "digest": digests.of(manifest),
            "size": len(manifest),
            "annotations": {REF_NAME: self.tag},
        }
        index["manifests"] = [one for one in index["manifests"] if _tag(one) != self.tag] + [named]

    def _layer(self, blob: str) -> None:
        """Have the blob in the layout, as a hard link where that can be."""
        algorithm, encoded = digests.split(blob, self.folder)
        target = Path(self.folder, "blobs", algorithm, encoded)
        if target.exists():
            return
        for document, folder in self.sources:
            origin = Path(os.path.realpath(Path(folder, "blobs", algorithm, encoded)))
            if not origin.is_file():
                continue
            if os.path.commonpath((origin, os.path.realpath(folder))) != os.path.realpath(folder):
                raise InputError(
                    "a link that leads out of the layout", f"blobs/{algorithm}/{encoded}", source=document.source
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(origin, target)
            return
        raise InputError("a layer that is not there", f"blobs/{algorithm}/{encoded}", source=self.sources[0][0].source)


def descriptors(documents: Sequence[CacheDocument]) -> dict[str, Any]:
    """The descriptors that manifests have for the layers, by digest; of several the first."""
    known: dict[str, Any] = {}
    for document in documents:
        for blob, one in document.descriptors.items():
            known.setdefault(blob, one)
    return known


def manifest_of(kind: str, layers: Sequence[Any], encoded: bytes) -> dict[str, Any]:
    """A manifest for a cache config, of the kind that a source had, with the descriptors of its layers.

    What had none gets an image manifest, as BuildKit v0.21 and later write.
    """
    own = {"mediaType": MEDIA_TYPE, "digest": digests.of(encoded), "size": len(encoded)}
    if kind not in ("index", "manifest-list"):
        return {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": own, "layers": layers}
    return {"schemaVersion": 2, "mediaType": INDEX if kind == "index" else MANIFEST_LIST, "manifests": [*layers, own]}


def _link_or_copy(origin: Path, target: Path) -> None:
    with suppress(OSError):
        os.link(origin, target)
        return
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copyfile(origin, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _tag(descriptor: dict[str, Any]) -> object:
    annotations = descriptor.get("annotations")
    return annotations.get(REF_NAME) if isinstance(annotations, dict) else None


def unwritable(path: str, error: OSError) -> InputError:
    """What to say where a place cannot be written."""
    return InputError(f"cannot write it: {error.strerror or error}", source=path)


def destination(
    target: str,
    documents: Sequence[CacheDocument],
    *,
    force: bool,
    tag: str | None = None,
    access: Access | None = None,
) -> Destination:
    """The place that `-o` names.

    `docker://HOST[:PORT]/REPO:TAG`, `oci:DIR[:TAG]`, a folder (there already, or with a slash at its end), or a file.
    Raises `InputError` where a layout is asked for, and the documents are not all from layout folders.
    """
    if target.startswith(reference.SCHEME):
        from cachedoctor.sources.registry.destination import registry_destination

        return registry_destination(target, documents, access or Access(), force=force)
    folder = target.removeprefix("oci:")
    if folder == target and not target.endswith("/") and not Path(target).is_dir():
        return FileDestination(target, force)
    if folder != target and not os.path.lexists(folder) and ":" in folder:
        folder, _, named = folder.rpartition(":")
        tag = named or tag
    if not folder:
        raise InputError("names no folder", source=target)
    tag = tag or "latest"
    if not reference.TAG.fullmatch(tag):
        raise InputError(f"{tag[:80]!r} is no tag", source=target)
    sources = [(document, layout_folder(document)) for document in documents]
    return LayoutDestination(folder.rstrip("/") or "/", tag, force, sources)


def tag_of(document: CacheDocument, folder: str) -> str:
    """The tag under which a layout has a document, `latest` where it has none."""
    data = FolderStore(folder, document.source).file("index.json", MOST_MANIFEST_BYTES)
    index = parse(data, document.source, "index.json")
    digest = document.named_digest or document.manifest_digest
    tags = [_tag(one) for one in index["manifests"] if one.get("digest") == digest]
    return next((tag for tag in tags if isinstance(tag, str)), "latest")


def layout_folder(document: CacheDocument) -> str:
    """The layout folder that a document came from. Raises `InputError` where it came from elsewhere."""
    source = document.source.removeprefix("oci:")
    folder = source if Path(source).is_dir() else source.rpartition(":")[0]
    if document.kind not in ("image-manifest", "index", "manifest-list") or not folder or not Path(folder).is_dir():
        raise InputError(
            "layers for a layout are taken from the layout folder of a cache alone, not from a registry, a tar, an "
            "inline cache or a config; write the cache config to a file instead",
            source=document.source,
        )
    return folder
