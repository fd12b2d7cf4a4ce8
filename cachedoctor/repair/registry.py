"""Writing a repaired cache to a registry: config and manifest are uploaded, layers stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.errors import InputError
from cachedoctor.repair.destination import Check, descriptors, manifest_of
from cachedoctor.sources import Access, CacheDocument, digests
from cachedoctor.sources.registry.client import Registry
from cachedoctor.sources.registry.reference import SCHEME, Reference, parse

DEADLINE = 300.0
"""Seconds for all requests that writing takes, and one more for each layer, since each is asked for."""
USUAL_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
"""What BuildKit's layers are unless told otherwise; taken where neither a manifest nor the config says."""


@dataclass(frozen=True, slots=True)
class RegistryDestination:
    """A tag of a repository, which is put last."""

    target: str
    reference: Reference
    documents: Sequence[CacheDocument]
    access: Access
    force: bool

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
        tag = self.reference.names
        if not self.force and registry.fetch(tag) is not None:
            raise registry.problem(f"there is a tag {tag!r} already; --force moves it")
        layers = self._layers(registry, config)
        made = manifest_of(self.documents[0].kind, layers, data)
        manifest = orjson.dumps(made)
        config_digest, manifest_digest = digests.of(data), digests.of(manifest)
        if registry.blob_size(config_digest) is None:
            registry.push_blob(config_digest, data)
        registry.push_manifest(manifest_digest, manifest, made["mediaType"])
        check(_read_back(registry, config_digest, len(data)))
        self._same(registry, manifest_digest, manifest)
        registry.push_manifest(tag, manifest, made["mediaType"])
        self._same(registry, tag, manifest)

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
            if origin.host != self.reference.host:
                elsewhere = (
                    f"; it is in another registry, {origin.host}, and layers are not copied: skopeo copy does that"
                )
            elif origin.repository != self.reference.repository:
                if registry.mount(blob, origin.repository) and (size := registry.blob_size(blob)) is not None:
                    return size
                elsewhere = f"; the registry does not mount it from {origin.repository}, and layers are not copied"
        raise registry.problem(f"layer {blob} is not in {self.reference.repository}{elsewhere or _NOT_UPLOADED}")


_NOT_UPLOADED = "; layers are not uploaded, only config and manifest: name the repository that has them"


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
        raise InputError(target, "", f"{what}; name one: {SCHEME}HOST[:PORT]/REPO:TAG")
    return RegistryDestination(target, reference, documents, access, force)
