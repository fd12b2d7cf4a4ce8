"""Writing a repaired cache to a registry: config and manifest are uploaded, layers stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cachedoctor.cacheconfig import MEDIA_TYPE, CacheConfig
from cachedoctor.errors import InputError
from cachedoctor.sources import Access, CacheDocument, digests
from cachedoctor.sources.destination import IMAGE_MANIFEST, INDEX, MANIFEST_LIST, Check, descriptors, manifest_of
from cachedoctor.sources.registry.client import Registry
from cachedoctor.sources.registry.reference import SCHEME, Reference, parse
from cachedoctor.sources.registry.session import Unanswered

DEADLINE = 300.0
"""Seconds for all requests that writing takes, and one more for each layer, since each is asked for."""
USUAL_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
"""What BuildKit's layers are unless told otherwise; taken where neither a manifest nor the config says."""


@dataclass(slots=True)
class RegistryDestination:
    """A tag of a repository, which is put last. Not frozen: what was replaced is known only once it is written."""

    target: str
    reference: Reference
    documents: Sequence[CacheDocument]
    access: Access
    force: bool
    replaced: str | None = field(default=None, init=False)
    """See `Destination.replaced`."""

    @property
    def path(self) -> str:
        """The target as it was named."""
        return self.target

    def write(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Destination.write`: the manifest is put by its digest, read back, and then tagged."""
        registry = Registry(self.reference, self.target, self.access, DEADLINE + len(config.blobs))
        with registry.session.opened():
            self._write(registry, config, data, check)

    def _write(self, registry: Registry, config: CacheConfig, data: bytes, check: Check) -> None:
        self._look(registry)
        layers = self._layers(registry, config)
        made = manifest_of(self.documents[0].kind, layers, data)
        manifest = orjson.dumps(made)
        config_digest, manifest_digest = digests.of(data), digests.of(manifest)
        if registry.blob_size(config_digest) is None:
            registry.push_blob(config_digest, data)
        registry.push_manifest(manifest_digest, manifest, made["mediaType"])
        check(_read_back(registry, config_digest, len(data)))
        self._same(registry, manifest_digest, manifest)
        self._tag(registry, manifest, made["mediaType"])

    def _tag(self, registry: Registry, manifest: bytes, media_type: str) -> None:
        """Put the tag, looking before each attempt at what it holds. Raises `InputError`."""
        tag = self.reference.names
        written = digests.of(manifest)
        sent = False

        def look() -> None:
            nonlocal sent
            held = self._look(registry, written if sent else "")
            # A lost attempt may have put it already; what was there before that is what was replaced.
            self.replaced = self.replaced if sent and held == written else held
            sent = True

        try:
            registry.push_manifest(tag, manifest, media_type, look)
        except Unanswered as error:
            if not sent:
                raise
            raise registry.problem(
                f"{error.problem}; {tag!r} may have been moved nonetheless, {self._before()}"
            ) from error
        try:
            self._same(registry, tag, manifest)
        except InputError as error:
            raise registry.problem(f"{error.problem}; {tag!r} has been moved, {self._before()}") from error

    def _before(self) -> str:
        return f"and held {self.replaced} before" if self.replaced else "and was not there before"

    def _look(self, registry: Registry, own: str = "") -> str | None:
        """The digest that the tag holds, where that may be replaced or is `own`; `None` where there is no such tag.

        Raises `InputError` where it may not: without `force`, where it holds no cache, or where it is the tag of a
        source and has been moved since.
        """
        tag = self.reference.names
        found = registry.fetch(tag)
        digest = found.digest if found else None
        if digest == own:
            return digest
        if found and not self.force:
            raise registry.problem(f"there is a tag {tag!r} already; --force moves it")
        if found and not _is_cache(found.data):
            raise registry.problem(f"{tag!r} holds an image or something else that is no cache alone; name another tag")
        for read in self._read_by_tag():
            if digest != read:
                now = f"holds {digest}" if digest else "is not there any more"
                raise registry.problem(
                    f"{tag!r} has moved since it was read: it {now}, and {read} was read; run it again"
                )
        return digest

    def _read_by_tag(self) -> list[str]:
        """The digests of those sources that were read by the very tag that is written."""
        return [
            document.manifest_digest
            for document in self.documents
            if document.tag == self.reference.names and self._is_home(document)
        ]

    def _is_home(self, document: CacheDocument) -> bool:
        """Whether a document of a registry is of the repository that is written to."""
        source = parse(document.source)
        return source.is_beside(self.reference) and source.repository == self.reference.repository

    @staticmethod
    def _same(registry: Registry, name: str, manifest: bytes) -> None:
        response = registry.manifest(name, len(manifest))
        if response.status_code != 200:
            raise registry.unexpected(response, f"reading {name} back")
        if response.content != manifest:
            raise registry.problem(
                f"{name} is not what was written: somebody else wrote it, or the registry changed it"
            )

    def _layers(self, registry: Registry, config: CacheConfig) -> list[Any]:
        """The descriptor of each layer, all of which are in the target then. Raises `InputError`."""
        known = descriptors(self.documents)
        made: dict[str, Any] = {}
        for blob, fields in zip(config.blobs, config.layer_fields, strict=True):
            if blob in made:
                continue
            digests.split(blob, self.target)
            size = self._have(registry, blob)
            made[blob] = known.get(blob) or _descriptor(registry, blob, fields or {}, size)
            listed = made[blob].get("size")
            if size >= 0 and isinstance(listed, int) and listed != size:
                raise registry.problem(f"layer {blob} has {size:,} bytes there, expected {listed:,}")
        return list(made.values())

    def _have(self, registry: Registry, blob: str) -> int:
        """See that the repository has a layer, mounting it from the source's where it has not; gives its size."""
        size = registry.blob_size(blob)
        if size is not None:
            return size
        elsewhere = ""
        for document in self.documents:
            if blob not in (document.blobs or ()) or not document.source.startswith(SCHEME):
                continue
            origin = parse(document.source)
            if not origin.is_beside(self.reference):
                there = f"it is in another registry, {origin.registry}"
                elsewhere = f"; {there}, and layers are not copied: skopeo copy does that"
            elif origin.repository != self.reference.repository:
                if registry.mount(blob, origin.repository) and (size := registry.blob_size(blob)) is not None:
                    return size
                elsewhere = f"; the registry does not mount it from {origin.repository}, and layers are not copied"
        raise registry.problem(f"layer {blob} is not in {self.reference.repository}{elsewhere or _NOT_UPLOADED}")


_RUNNABLE = {IMAGE_MANIFEST, INDEX, MANIFEST_LIST, "application/vnd.docker.distribution.manifest.v2+json"}
_NOT_UPLOADED = "; layers are not uploaded, only config and manifest: name the repository that has them"


def _is_cache(manifest: bytes) -> bool:
    """Whether a manifest or index is of a cache alone: no image that somebody runs, and no index of images."""
    try:
        document = orjson.loads(manifest)
        if document.get("manifests") is None:
            return bool(document["config"]["mediaType"] == MEDIA_TYPE)
        types = {one["mediaType"] for one in document["manifests"]}
        return MEDIA_TYPE in types and not types & _RUNNABLE and not {"config", "layers"} & document.keys()
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _descriptor(registry: Registry, blob: str, fields: dict[str, Any], size: int) -> dict[str, Any]:
    """A descriptor for a layer of a config without a manifest."""
    annotations = fields.get("annotations")
    media_type = annotations.get("mediaType") if isinstance(annotations, dict) else None
    if size < 0:
        raise registry.problem(f"the registry does not tell the size of layer {blob}, nor does the source")
    return {"mediaType": media_type if isinstance(media_type, str) else USUAL_LAYER, "digest": blob, "size": size}


def _read_back(registry: Registry, digest: str, size: int) -> bytes:
    response = registry.blob(digest, size)
    if response.status_code != 200:
        raise registry.unexpected(response, f"reading {digest} back")
    data: bytes = response.content
    return data


def registry_destination(
    target: str, documents: Sequence[CacheDocument], access: Access, *, force: bool
) -> RegistryDestination:
    """The place that `docker://HOST[:PORT]/REPO:TAG` names. Raises `InputError` where it names no tag, or a digest."""
    reference = parse(target)
    if reference.digest or not reference.tag:
        what = "a digest cannot be written to" if reference.digest else "names no tag"
        raise InputError(f"{what}; name one: {SCHEME}HOST[:PORT]/REPO:TAG", source=target)
    return RegistryDestination(target, reference, documents, access, force)
