"""Writing a repaired cache to a registry: config and manifest are uploaded, layers stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from cachedoctor.buildkit import CACHE_CONFIG, DOCKER_MANIFEST, IMAGE_MANIFEST, INDEX, LAYER, MANIFEST_LIST
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.errors import InputError
from cachedoctor.sources.descriptors import known_descriptors, new_manifest, split
from cachedoctor.sources.document import Access, CacheDocument, Check, Location, Writer, digest_of
from cachedoctor.sources.registry.client import Repository
from cachedoctor.sources.registry.connections import RegistryError, Unanswered
from cachedoctor.sources.registry.reference import Reference

DEADLINE = 300.0
"""Seconds for all requests of one writing, plus one for each layer, since each is asked for."""

_IMAGES = {IMAGE_MANIFEST, INDEX, DOCKER_MANIFEST, MANIFEST_LIST}
_NOT_UPLOADED = "; layers are not uploaded, only config and manifest: name the repository that has them"


class RegistryWriter(Writer):
    """Writes to a tag of a repository; the tag is put last."""

    def __init__(
        self,
        location: Location,
        reference: Reference,
        documents: Sequence[CacheDocument],
        origins: Sequence[Reference | None],
        access: Access,
        *,
        force: bool,
    ) -> None:
        """`origins` has for each of the documents where it was read in a registry, `None` if it was read elsewhere."""
        super().__init__(location)
        self._reference = reference
        self._documents = documents
        self._origins = origins
        self._access = access
        self._force = force

    def put(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Writer.put`: the manifest is put under its digest, read back, and only then tagged."""
        repository = Repository(self._reference, self._access, DEADLINE + len(config.blobs))
        with repository.transport.opened():
            self._put(repository, config, data, check)

    def _put(self, repository: Repository, config: CacheConfig, data: bytes, check: Check) -> None:
        self._check_tag(repository)
        document = new_manifest(self._documents[0].kind, self._layers(repository, config), data)
        manifest = orjson.dumps(document)
        config_digest, manifest_digest = digest_of(data), digest_of(manifest)
        if repository.blob_size(config_digest) is None:
            repository.push_blob(config_digest, data)
        repository.push_manifest(manifest_digest, manifest, document["mediaType"])
        answer = repository.blob(config_digest, len(data))
        if answer.status != 200:
            raise repository.unexpected(answer, f"reading {config_digest} back")
        check(answer.body)
        _compare(repository, manifest_digest, manifest)
        self._put_tag(repository, manifest, document["mediaType"])

    def _put_tag(self, repository: Repository, manifest: bytes, media_type: str) -> None:
        """Put the tag; before each attempt, check again what it holds. Raises `InputError`."""
        tag, written = self._reference.name, digest_of(manifest)
        sent = False

        def check() -> None:
            nonlocal sent
            held = self._check_tag(repository, written if sent else "")
            # An attempt whose answer was lost may have put it; what it replaced is what was there before that.
            self.replaced = self.replaced if sent and held == written else held
            sent = True

        try:
            repository.push_manifest(tag, manifest, media_type, check)
        except Unanswered as error:
            if not sent:
                raise
            problem = f"{error.problem}; {tag!r} may have been moved nonetheless, {self._history()}"
            raise RegistryError(problem) from error
        try:
            _compare(repository, tag, manifest)
        except InputError as error:
            raise RegistryError(f"{error.problem}; {tag!r} has been moved, {self._history()}") from error

    def _history(self) -> str:
        return f"and held {self.replaced} before" if self.replaced else "and did not exist before"

    def _check_tag(self, repository: Repository, written: str = "") -> str | None:
        """The digest that the tag holds, `None` if there is no such tag; `written` is one that we may have put there.

        Raises `InputError` if it must not be replaced: without `force`, if it does not hold a cache, and if it is the
        tag of a source and has been moved since it was read.
        """
        tag = self._reference.name
        fetched = repository.fetch(tag)
        held = fetched.digest if fetched else None
        if held == written:
            return held
        if fetched and not self._force:
            raise RegistryError(f"there is a tag {tag!r} already; use --force to move it")
        if fetched and not is_cache(fetched.data):
            raise RegistryError(f"{tag!r} holds an image, or something else that is not just a cache; name another tag")
        for document, origin in zip(self._documents, self._origins, strict=True):
            read = document.manifest_digest
            if origin and origin.read_tag == tag and self._is_home(origin) and held != read:
                now = f"holds {held}" if held else "does not exist any more"
                raise RegistryError(f"{tag!r} has moved since it was read: it {now}, and {read} was read; run it again")
        return held

    def _is_home(self, origin: Reference) -> bool:
        """Whether a source is in the repository that is written to."""
        return origin.is_beside(self._reference) and origin.repository == self._reference.repository

    def _layers(self, repository: Repository, config: CacheConfig) -> list[dict[str, Any]]:
        """The descriptor of each layer, all of which are then in the repository. Raises `InputError`."""
        known = known_descriptors(self._documents)
        layers: dict[str, dict[str, Any]] = {}
        for blob, fields in zip(config.blobs, config.layer_fields, strict=True):
            if blob in layers:
                continue
            split(blob)
            size = self._provide_layer(repository, blob)
            layers[blob] = known.get(blob) or _descriptor(blob, fields or {}, size)
            listed = layers[blob].get("size")
            if size >= 0 and isinstance(listed, int) and listed != size:
                raise RegistryError(f"layer {blob} has {size:,} bytes there, expected {listed:,}")
        return list(layers.values())

    def _provide_layer(self, repository: Repository, blob: str) -> int:
        """Make sure that the repository has a layer, by mounting it if need be; returns its size, -1 if unknown."""
        size = repository.blob_size(blob)
        if size is not None:
            return size
        hint = _NOT_UPLOADED
        for document, origin in zip(self._documents, self._origins, strict=True):
            if origin is None or blob not in (document.blobs or ()):
                continue
            if not origin.is_beside(self._reference):
                hint = f"; it is in another registry, {origin.registry}, and layers are not copied: use skopeo copy"
            elif origin.repository != self._reference.repository:
                if repository.mount(blob, origin.repository):
                    size = repository.blob_size(blob)
                if size is not None:
                    return size
                hint = f"; the registry does not mount it from {origin.repository}, and layers are not copied"
            else:
                hint = ", although the manifest lists it; --verify-blobs leaves out results whose layers are gone"
        raise RegistryError(f"layer {blob} is not in {self._reference.repository}{hint}")


def is_cache(manifest: bytes) -> bool:
    """Whether a manifest or index is only a cache: not an image that somebody runs, and not an index of images."""
    try:
        document = orjson.loads(manifest)
        if document.get("manifests") is None:
            return bool(document["config"]["mediaType"] == CACHE_CONFIG)
        types = {descriptor["mediaType"] for descriptor in document["manifests"]}
        return CACHE_CONFIG in types and not types & _IMAGES and not {"config", "layers"} & document.keys()
    except (ValueError, TypeError, LookupError, AttributeError):
        return False


def _descriptor(blob: str, fields: dict[str, Any], size: int) -> dict[str, Any]:
    """A descriptor for a layer that no manifest lists, from what the config says about it."""
    annotations = fields.get("annotations")
    media_type = annotations.get("mediaType") if isinstance(annotations, dict) else None
    if size < 0:
        raise RegistryError(f"the registry does not say the size of layer {blob}, nor does the source")
    return {"mediaType": media_type if isinstance(media_type, str) else LAYER, "digest": blob, "size": size}


def _compare(repository: Repository, name: str, manifest: bytes) -> None:
    """Raise `InputError` if a tag or digest does not hold this manifest."""
    answer = repository.manifest(name, len(manifest))
    if answer.status != 200:
        raise repository.unexpected(answer, f"reading {name} back")
    if answer.body != manifest:
        raise RegistryError(f"{name} is not what was written: somebody else wrote it, or the registry changed it")
