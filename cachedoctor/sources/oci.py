"""Manifests, indexes and images: from a descriptor to the cache configs behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from cachedoctor.cacheconfig import MEDIA_TYPE, MOST_NESTED, decode, nested_too_deep
from cachedoctor.errors import InputError, reading
from cachedoctor.sources import digests, inline
from cachedoctor.sources.interface import MOST_CONFIG_BYTES, MOST_MANIFEST_BYTES, BlobStore, CacheDocument
from cachedoctor.sources.json import expect, field, parse, weigh

MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MOST_MANIFESTS = 1_000
"""Manifests and indexes that are read for one source."""
MOST_IMAGE_BYTES = 32 << 20
"""Bytes of all image configs that are read for one source, each time that a manifest names one."""
DEEPEST_INDEX = 4
"""Indexes that may be nested in each other."""

_FORMS_DIFFER_BY = 256
"""Bytes by which an image manifest and the index of the same descriptors may differ, amply."""
_REF_NAME = "org.opencontainers.image.ref.name"
_IMAGE_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor (OCI image spec, "OCI Content Descriptors") with what is needed of it."""

    digest: str
    size: int | None
    media_type: str
    platform: str
    names: frozenset[str]
    """Tags that its annotations give it."""
    is_attestation: bool


def descriptor(value: Any, source: str, where: str) -> Descriptor:
    """Read a descriptor. Raises `InputError` for a wrong type."""
    if nested_too_deep(value):
        raise InputError(f"nested more than {MOST_NESTED} deep", where, source=source)
    size = field(value, "size", int, source, where)
    if size is not None and size < 0:
        raise InputError("expected a number of bytes, found a negative one", f"{where}.size", source=source)
    platform = field(value, "platform", dict, source, where) or {}
    named = inline.platform_of(platform, source, f"{where}.platform")
    annotations = field(value, "annotations", dict, source, where) or {}
    ref = field(annotations, _REF_NAME, str, source, f"{where}.annotations") or ""
    image = field(annotations, _IMAGE_NAME, str, source, f"{where}.annotations") or ""
    return Descriptor(
        digest=field(value, "digest", str, source, where) or "",
        size=size,
        media_type=field(value, "mediaType", str, source, where) or "",
        platform=named,
        names=frozenset(filter(None, (ref, image.rpartition(":")[2] if ":" in image else ""))),
        is_attestation=annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        or f"{named}/".startswith("unknown/unknown/"),
    )


def descriptors(index: Any, source: str, where: str) -> list[Descriptor]:
    """The descriptors of an index or manifest list."""
    listed = field(index, "manifests", list, source, where) or []
    return [descriptor(value, source, f"{where}.manifests[{number}]") for number, value in enumerate(listed)]


def tagged(found: Sequence[Descriptor], tag: str | None, source: str) -> list[Descriptor]:
    """Those descriptors of a layout's `index.json` that a tag names; without one `latest`, or what is there alone.

    Raises `InputError`, naming the tags, where there is no such tag or none to choose.
    """
    named = sorted({name for one in found for name in one.names})
    tags = ", ".join(named[:10]) + (f" and {len(named) - 10} more" if len(named) > 10 else "")
    if tag is not None:
        chosen = [one for one in found if tag in one.names]
        if not chosen:
            raise InputError(
                f"no tag {tag!r} in it; there is {tags or 'none'}", "index.json", source=source, missing=True
            )
        return chosen
    if len(named) <= 1 or len({one.digest for one in found}) == 1:
        return list(found)
    chosen = [one for one in found if "latest" in one.names]
    if not chosen:
        raise InputError(f"several tags in it, choose one with --tag: {tags}", "index.json", source=source)
    return chosen


class Resolver:
    """Follows descriptors of one source down to the cache configs behind them."""

    def __init__(self, store: BlobStore, source: str, platform: str | None) -> None:
        self._store = store
        self._source = source
        self._platform = platform
        self._seen: set[str] = set()
        self._platforms: set[str] = set()
        self._pending: list[tuple[Descriptor, int]] = []
        self._found: list[CacheDocument] = []
        self._images = 0
        self._image_bytes = 0
        self._digest = ""
        self._elsewhere = ""

    def follow(self, wanted: Iterable[Descriptor]) -> list[CacheDocument]:
        """The cache configs behind these descriptors, in order.

        Raises `InputError` where there is none, or anything on the way is not as it should be.
        """
        self._pending = [(one, 1) for one in wanted][::-1]
        return self._finish()

    def start_with(self, manifest: Any, data: bytes) -> list[CacheDocument]:
        """The same for a manifest or index that stands alone, already read."""
        self._manifest(manifest, len(data), "$", "", depth=1)
        return self._finish()

    def _finish(self) -> list[CacheDocument]:
        while self._pending:
            one, depth = self._pending.pop()
            if one.digest in self._seen or (depth > 1 and self._is_elsewhere(one)):
                continue
            self._seen.add(one.digest)
            if len(self._seen) > MOST_MANIFESTS:
                raise InputError(f"more than {MOST_MANIFESTS:,} manifests", source=self._source)
            digest = self._digest = one.digest
            data = self._store.read(digest, one.size, MOST_MANIFEST_BYTES)
            self._manifest(parse(data, self._source, digest), len(data), f"{digest}: $", one.platform, depth)
        if self._found:
            return self._found
        if self._elsewhere:
            raise InputError(f"no cache in it, and the index names {self._elsewhere}, not there", source=self._source)
        if self._platforms:
            there = ", ".join(sorted(self._platforms)[:20])
            raise InputError(f"no image for platform {self._platform!r} in it; there is {there}", source=self._source)
        what = "an image" if self._images else "an index"
        raise InputError(
            f"{what} without any build cache: neither a cache config nor an inline cache in it", source=self._source
        )

    def _is_elsewhere(self, one: Descriptor) -> bool:
        """Whether a manifest of an index was left behind: an image may be copied for one platform alone."""
        if self._store.has(one.digest):
            return False
        self._elsewhere = one.digest
        return True

    def _manifest(self, manifest: Any, size: int, where: str, platform: str, depth: int) -> None:
        expect(manifest, dict, self._source, where)
        if manifest.get("manifests") is not None and {"config", "layers"} & manifest.keys():
            raise InputError(
                "both an index and a manifest, which every reader takes otherwise", where, source=self._source
            )
        if manifest.get("manifests") is not None:
            self._index(manifest, size, where, depth)
        elif manifest.get("config") is not None:
            self._image_manifest(manifest, size, where, platform)
        else:
            raise InputError("expected a manifest or an index", where, source=self._source)

    def _index(self, index: Any, size: int, where: str, depth: int) -> None:
        listed = descriptors(index, self._source, where)
        configs = [one for one in listed if one.media_type == MEDIA_TYPE]
        if configs:
            media_type = field(index, "mediaType", str, self._source, where)
            kind = "manifest-list" if media_type == MANIFEST_LIST else "index"
            blobs = {
                one.digest: raw
                for one, raw in zip(listed, index["manifests"], strict=True)
                if one.media_type != MEDIA_TYPE
            }
            self._cache_config(configs[0], kind, size, blobs)
            return
        if depth > DEEPEST_INDEX:
            raise InputError(f"more than {DEEPEST_INDEX} indexes nested in each other", where, source=self._source)
        self._pending += [(one, depth + 1) for one in reversed(listed) if not one.is_attestation]

    def _image_manifest(self, manifest: Any, size: int, where: str, platform: str) -> None:
        config = descriptor(manifest["config"], self._source, f"{where}.config")
        layers = field(manifest, "layers", list, self._source, where) or []
        blobs = [
            descriptor(value, self._source, f"{where}.layers[{number}]").digest for number, value in enumerate(layers)
        ]
        if config.media_type == MEDIA_TYPE:
            self._cache_config(config, "image-manifest", size, dict(zip(blobs, layers, strict=True)))
            return
        self._images += 1
        if self._platform is not None and platform and not matches(platform, self._platform):
            self._platforms.add(platform)
            return
        data = self._store.read(config.digest, config.size, MOST_IMAGE_BYTES)
        self._image_bytes += len(data)
        if self._image_bytes > MOST_IMAGE_BYTES:
            raise InputError(f"more than {MOST_IMAGE_BYTES:,} bytes of image configs", source=self._source)
        image = parse(data, self._source, config.digest)
        found = inline.document(image, blobs, self._source, f"{config.digest}: $", config.digest, size, platform)
        if found is None:
            return
        if self._platform is not None and not matches(found.platform, self._platform):
            self._platforms.add(found.platform)
            return
        listed = dict(zip(blobs, layers, strict=True))
        self._found.append(replace(found, manifest_digest=self._digest, descriptors=listed))

    def _cache_config(self, config: Descriptor, kind: str, size: int, blobs: dict[str, Any]) -> None:
        data = self._store.read(config.digest, config.size, MOST_CONFIG_BYTES)
        weigh(data, self._source, config.digest)
        with reading(self._source, config.digest):
            decoded = decode(data)
        self._found.append(
            CacheDocument(
                source=self._source,
                kind=kind,
                config=decoded,
                digest=config.digest,
                size=len(data),
                manifest_size=size,
                blobs=frozenset(blobs),
                platform="",
                manifest_digest=self._digest,
                descriptors=blobs,
            )
        )


def matches(platform: str, wanted: str) -> bool:
    """Whether a platform is the wanted one; a variant matters only where both name one."""
    has, wants = platform.split("/"), wanted.split("/")
    return has[:2] == wants[:2] and (len(has) < 3 or len(wants) < 3 or has[2:] == wants[2:])


def layout_documents(
    index: bytes, store: BlobStore, source: str, tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The cache configs that a layout's `index.json` leads to (OCI image spec, "Image Layout")."""
    parsed = parse(index, source, "index.json")
    listed = descriptors(parsed, source, "index.json: $")
    if not listed:
        raise InputError("lists no manifest", "index.json", source=source)
    if any(one.media_type == MEDIA_TYPE for one in listed):
        return Resolver(store, source, platform).start_with(parsed, index)
    chosen = tagged(listed, tag, source)
    if len(chosen) == 1 and not store.has(chosen[0].digest):
        instead = _other_form(chosen[0], store, source)
        if instead is not None:
            found = Resolver(store, source, platform).follow([instead])
            return [replace(one, named_digest=chosen[0].digest) for one in found]
    return Resolver(store, source, platform).follow(chosen)


def _other_form(named: Descriptor, store: BlobStore, source: str) -> Descriptor | None:
    """The image manifest that a layout has, where its tag names the same manifest written as an index.

    Such a layout was seen from BuildKit v0.21.1 with `type=local,image-manifest=true`: what it stores is the image
    manifest, what it tags is the digest of an index of the same layers and config, which tells that it is the same.
    """
    if named.size is None:
        return None
    for digest in store.of_size(named.size - _FORMS_DIFFER_BY, named.size + _FORMS_DIFFER_BY):
        data = store.read(digest, None, MOST_MANIFEST_BYTES)
        with suppress(InputError, TypeError, AttributeError, KeyError):
            manifest = parse(data, source)
            as_index = {
                "schemaVersion": manifest["schemaVersion"],
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [*manifest["layers"], manifest["config"]],
            }
            if digests.of(orjson.dumps(as_index)) == named.digest:
                return replace(named, digest=digest, size=len(data))
    return None
