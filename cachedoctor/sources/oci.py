"""From a descriptor to the cache configs behind it: manifests, indexes and images in any store of blobs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from msgspec import structs

from cachedoctor.buildkit import CACHE_CONFIG, INDEX, INLINE_CACHE, MANIFEST_LIST
from cachedoctor.cacheconfig import decode, decode_inline
from cachedoctor.errors import InputError, NoCacheError, reading
from cachedoctor.io.memory import claim
from cachedoctor.numbers import plural
from cachedoctor.sources.descriptors import (
    Descriptor,
    ImageConfig,
    Manifest,
    descriptors_of,
    is_digest,
    manifest_of,
)
from cachedoctor.sources.document import (
    MOST_CONFIG_BYTES,
    MOST_MANIFEST_BYTES,
    BlobStore,
    CacheDocument,
    config_document,
    digest_of,
)
from cachedoctor.sources.json import parse, typed, weigh
from cachedoctor.sources.presence import look, remarks
from cachedoctor.text import cut

MOST_MANIFESTS = 1_000
"""Manifests and indexes that are read for one source."""
MOST_IMAGE_BYTES = 32 << 20
"""Bytes of all image configs that are read for one source; one that several manifests name counts each time."""
DEEPEST_INDEX = 4
"""How deep indexes may be nested."""

DEFAULT_TAG = "latest"
"""The tag that builds read and write in a layout unless they say another (BuildKit `client.parseCacheOptions`)."""
_SHOWN = 10
"""Tags that a message lists, and letters of each: those that a tag of a registry may have."""
_LETTERS = 128
_FORMS_DIFFER_BY = 256
"""Bytes by which an image manifest and the index of the same descriptors differ at most, and then some."""

ADD_INLINE = "to put one into it, build it with: docker buildx build --cache-to type=inline"
"""What to do with an image that has no cache in it."""

Raw = Mapping[str, Any]


class Resolver:
    """Follows the descriptors of one source down to the cache configs behind them."""

    def __init__(self, store: BlobStore, platform: str | None) -> None:
        self._store = store
        self._platform = platform
        self._seen: set[str] = set()
        self._other_platforms: set[str] = set()
        self._pending: list[tuple[Descriptor, int]] = []
        self._documents: list[CacheDocument] = []
        self._images = 0
        self._image_bytes = 0
        self._missing = ""

    def follow(self, wanted: Iterable[Descriptor]) -> list[CacheDocument]:
        """The cache configs behind these descriptors, in their order.

        Raises `InputError` if there are none, or if anything on the way is missing or malformed.
        """
        self._pending = [(descriptor, 1) for descriptor in wanted][::-1]
        return self._finish()

    def follow_document(self, parsed: Any, size: int) -> list[CacheDocument]:
        """The same for a manifest or index that is not in the store: its parsed JSON, and its bytes."""
        self._visit(manifest_of(parsed), parsed, size, depth=1)
        return self._finish()

    def _finish(self) -> list[CacheDocument]:
        while self._pending:
            descriptor, depth = self._pending.pop()
            digest = descriptor.digest
            if digest in self._seen or (depth > 1 and self._is_missing(digest)):
                continue
            self._seen.add(digest)
            if len(self._seen) > MOST_MANIFESTS:
                raise InputError(f"more than {MOST_MANIFESTS:,} manifests")
            data = self._store.read(digest, descriptor.size, MOST_MANIFEST_BYTES)
            with reading(where=digest):
                parsed = parse(data)
                manifest = manifest_of(parsed)
            self._visit(manifest, parsed, len(data), digest=digest, platform=descriptor.platform, depth=depth)
        if not self._documents:
            raise (InputError if self._missing else NoCacheError)(self._why_nothing())
        return self._documents

    def _why_nothing(self) -> str:
        if self._missing:
            return (
                f"no cache in it, and the index names {self._missing}, which is not there; run cachedoctor analyze "
                "docker://REF to read all of it"
            )
        if self._other_platforms:
            others = ", ".join(sorted(self._other_platforms)[:20])
            return f"no image for platform {self._platform!r} in it; there is {others}"
        if self._images:
            return f"an image without any build cache: neither a cache config nor an inline cache in it; {ADD_INLINE}"
        return "an index without any build cache: neither a cache config nor an inline cache in it"

    def _is_missing(self, digest: str) -> bool:
        """Whether an index names a manifest that is not there: an image may have been copied for one platform only."""
        if self._store.has(digest):
            return False
        self._missing = digest
        return True

    def _visit(
        self, manifest: Manifest, parsed: Raw, size: int, *, digest: str = "", platform: str = "", depth: int
    ) -> None:
        """Find the cache in a manifest or index of `size` bytes, or note what has to be visited instead."""
        if manifest.manifests is None:
            self._visit_image(manifest, parsed, size, digest, platform)
            return
        listed = zip(manifest.manifests, parsed["manifests"], strict=True)
        blobs = {descriptor.digest: raw for descriptor, raw in listed if descriptor.media_type != CACHE_CONFIG}
        configs = [descriptor for descriptor in manifest.manifests if descriptor.media_type == CACHE_CONFIG]
        if configs:
            kind = "manifest-list" if manifest.media_type == MANIFEST_LIST else "index"
            self._add_config(configs[0], kind, size, digest, blobs)
        elif depth > DEEPEST_INDEX:
            raise InputError(f"more than {DEEPEST_INDEX} indexes nested in each other", digest)
        else:
            below = [descriptor for descriptor in manifest.manifests if not descriptor.is_attestation]
            self._pending += [(descriptor, depth + 1) for descriptor in reversed(below)]

    def _visit_image(self, manifest: Manifest, parsed: Raw, size: int, digest: str, platform: str) -> None:
        config = manifest.config
        assert config is not None
        layers = [descriptor.digest for descriptor in manifest.layers or ()]
        blobs = dict(zip(layers, parsed.get("layers") or (), strict=True))
        if config.media_type == CACHE_CONFIG:
            self._add_config(config, "image-manifest", size, digest, blobs)
            return
        self._images += 1
        if platform and self._is_other(platform):
            return
        data = self._store.read(config.digest, config.size, MOST_IMAGE_BYTES)
        self._image_bytes += len(data)
        if self._image_bytes > MOST_IMAGE_BYTES:
            raise InputError(f"more than {MOST_IMAGE_BYTES:,} bytes of image configs")
        with reading(where=config.digest):
            document = inline_document(typed(parse(data), ImageConfig), layers, config.digest, size, platform)
        if document is not None and not self._is_other(document.platform):
            self._add(document, digest, blobs)

    def _is_other(self, platform: str) -> bool:
        """Whether an image is for another platform than the wanted one; such platforms are noted."""
        if self._platform is None or matches(platform, self._platform):
            return False
        self._other_platforms.add(platform)
        return True

    def _add_config(self, config: Descriptor, kind: str, size: int, digest: str, blobs: Mapping[str, Raw]) -> None:
        if not is_digest(config.digest):
            raise InputError(f"{config.digest[:80]!r} is not a digest, but the manifest names its cache config by it")
        # A registry need not send what does not fit.
        claim(config.size or 0)
        data = self._store.read(config.digest, config.size, MOST_CONFIG_BYTES)
        with reading(where=config.digest):
            weigh(data)
            document = config_document(data, decode(data))
        self._add(replace(document, kind=kind, manifest_size=size, blobs=frozenset(blobs)), digest, blobs)

    def _add(self, document: CacheDocument, digest: str, blobs: Mapping[str, Raw]) -> None:
        presence = look(self._store, blobs)
        found = replace(document, manifest_digest=digest, descriptors=blobs, presence=presence, notes=remarks(presence))
        self._documents.append(found)


def inline_document(
    image: ImageConfig, layers: Sequence[str], digest: str, manifest_size: int | None, platform: str = ""
) -> CacheDocument | None:
    """The inline cache of an image, `None` if it has none: its layers are the image's own, `layers` of its manifest.

    Raises `InputError` if the records are not base64, not JSON, or have values of wrong types.
    """
    if not image.records:
        return None
    with reading(where=f"$.{INLINE_CACHE}"):
        try:
            data = base64.b64decode(image.records, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("expected base64") from error
        weigh(data)
    unpacked = len(image.unpacked_layers)
    if unpacked != len(layers):
        raise InputError(
            f"BuildKit ignores this cache: {unpacked} layers in rootfs, {len(layers)} in the manifest", "$"
        )
    return CacheDocument(
        source="",
        kind="inline",
        config=decode_inline(data, layers, f"$.{INLINE_CACHE}"),
        digest=digest,
        size=len(data),
        manifest_size=manifest_size,
        blobs=None if manifest_size is None else frozenset(layers),
        platform=platform or str(image),
    )


def matches(platform: str, wanted: str) -> bool:
    """Whether a platform is the wanted one; variants are compared only if both have one."""
    has, wants = platform.split("/"), wanted.split("/")
    return has[:2] == wants[:2] and (len(has) < 3 or len(wants) < 3 or has[2:] == wants[2:])


def layout_documents(
    index: bytes, store: BlobStore, tag: str | None, platform: str | None, *, lists_tags: bool = False
) -> list[CacheDocument]:
    """The cache configs that a layout's `index.json` leads to (OCI image spec, "Image Layout").

    `lists_tags` says whether `check --all-tags` finds its tags. Raises `InputError`, which is `missing` if it lists
    nothing yet.
    """
    with reading(where="index.json"):
        # BuildKit creates the file before it writes to it (`ociindex.StoreIndex.Put`).
        parsed = parse(index) if index.strip() else {}
        listed = descriptors_of(parsed)
        if not listed:
            raise InputError("lists no manifest: no cache has been exported to it yet", missing=True)
        is_cache = any(descriptor.media_type == CACHE_CONFIG for descriptor in listed)
        wanted = [] if is_cache else tagged(listed, tag)
    if is_cache:
        return Resolver(store, platform).follow_document(parsed, len(index))
    notes = () if tag is not None else left_out(listed, wanted, lists_tags=lists_tags)
    return [
        replace(document, other_tags=_other_tags(document, listed), notes=(*document.notes, *notes))
        for document in _found(wanted, store, platform)
    ]


def _found(wanted: Sequence[Descriptor], store: BlobStore, platform: str | None) -> list[CacheDocument]:
    if len(wanted) == 1 and not store.has(wanted[0].digest):
        other = _other_form(wanted[0], store)
        if other is not None:
            documents = Resolver(store, platform).follow([other])
            return [replace(document, named_digest=wanted[0].digest) for document in documents]
    return Resolver(store, platform).follow(wanted)


def _other_tags(document: CacheDocument, listed: Sequence[Descriptor]) -> tuple[str, ...] | None:
    """The tags of a layout in which builds look for `latest` in vain, `None` otherwise (`CacheDocument.other_tags`).

    Images are not imported with `type=local`, nor is what `docker save` wrote.
    """
    tags = {tag for descriptor in listed for tag in descriptor.tags}
    if document.kind == "inline" or DEFAULT_TAG in tags or any(descriptor.is_named for descriptor in listed):
        return None
    return tuple(sorted(tags))


def tagged(listed: Sequence[Descriptor], tag: str | None) -> list[Descriptor]:
    """The descriptors of a layout's `index.json` that have this tag; by default `latest`, or the only ones there are.

    Raises `InputError` with the existing tags if there is no such tag, or if one has to be chosen.
    """
    existing = sorted({name for descriptor in listed for name in descriptor.tags})
    names = _names(existing)
    if tag is not None:
        chosen = [descriptor for descriptor in listed if tag in descriptor.tags]
        if not chosen:
            raise InputError(f"no tag {tag!r} in it; there is {names or 'none'}", missing=True)
        return chosen
    if len(existing) <= 1 or len({descriptor.digest for descriptor in listed}) == 1:
        return list(listed)
    chosen = [descriptor for descriptor in listed if DEFAULT_TAG in descriptor.tags]
    if not chosen:
        raise InputError(f"several tags in it, and none is {DEFAULT_TAG}; choose one with --tag: {names}")
    return chosen


def left_out(
    listed: Sequence[Descriptor], chosen: Sequence[Descriptor], *, lists_tags: bool = False
) -> tuple[str, ...]:
    """That only `latest` was read, and which tags lead to something else; nothing if none does."""
    read = {descriptor.digest for descriptor in chosen}
    others = sorted({tag for descriptor in listed if descriptor.digest not in read for tag in descriptor.tags})
    if not others:
        return ()
    were = f"{plural(len(others), 'other')} {'was' if len(others) == 1 else 'were'} not: {_names(others)}"
    every = ", and cachedoctor check --all-tags reads all" if lists_tags else ""
    return (f"Only the tag {DEFAULT_TAG} was read; {were}. --tag NAME reads another{every}.",)


def _names(tags: Sequence[str]) -> str:
    names = ", ".join(cut(tag, _LETTERS) for tag in tags[:_SHOWN])
    return f"{names} and {len(tags) - _SHOWN:,} more" if len(tags) > _SHOWN else names


def _other_form(named: Descriptor, store: BlobStore) -> Descriptor | None:
    """The image manifest in a layout whose tag has the digest of the same manifest written as an index.

    BuildKit v0.21.1 makes such layouts with `type=local,image-manifest=true`: it stores the image manifest, and tags
    the digest of an index of the same layers and config.
    """
    if named.size is None:
        return None
    for digest in store.of_size(named.size - _FORMS_DIFFER_BY, named.size + _FORMS_DIFFER_BY):
        data = store.read(digest, None, MOST_MANIFEST_BYTES)
        with suppress(InputError, TypeError, AttributeError, KeyError):
            manifest = parse(data)
            as_index = {
                "schemaVersion": manifest["schemaVersion"],
                "mediaType": INDEX,
                "manifests": [*manifest["layers"], manifest["config"]],
            }
            if digest_of(orjson.dumps(as_index)) == named.digest:
                return structs.replace(named, given_digest=digest, size=len(data))
    return None
