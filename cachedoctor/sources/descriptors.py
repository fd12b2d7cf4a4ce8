"""Digests, descriptors, and the documents made of them: manifests, indexes and image configs (OCI image spec v1.1)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from cachedoctor.buildkit import CACHE_CONFIG, IMAGE_MANIFEST, INDEX, INLINE_CACHE, MANIFEST_LIST
from cachedoctor.cacheconfig import MOST_NESTED, nested_too_deep
from cachedoctor.errors import InputError
from cachedoctor.sources.document import CacheDocument, digest_of
from cachedoctor.sources.json import typed

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that is a tag in a layout's `index.json`."""
LONGEST_PLATFORM = 255

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


def is_digest(text: str) -> bool:
    """Whether this is a digest, of a known algorithm."""
    return _DIGEST.fullmatch(text) is not None


def split(digest: str) -> tuple[str, str]:
    """The algorithm and the encoded part of a digest (OCI image spec, "Digests"). Raises `InputError` for others."""
    if not is_digest(digest):
        raise InputError(f"{digest if len(digest) <= 80 else digest[:77] + '...'!r} is not a digest")
    algorithm, _, encoded = digest.partition(":")
    return algorithm, encoded


def verify(data: bytes, digest: str, size: int | None) -> None:
    """Raise `InputError` if bytes have another digest or, if that is given, another size."""
    algorithm, encoded = split(digest)
    if size is not None and len(data) != size:
        raise InputError(f"expected {size:,} bytes, found {len(data):,}", digest)
    actual = hashlib.new(algorithm, data).hexdigest()
    if actual != encoded:
        raise InputError(f"the content has another digest, {algorithm}:{actual}", digest)


def how_to_get(digest: str) -> str:
    """What to run if there is only a manifest, and the config that it names by this digest is elsewhere."""
    return (
        f"what is needed is the config that it names, {digest}: run cachedoctor analyze docker://REF with the tag or "
        f"digest that it is from, or fetch that blob (crane blob REPO@{digest} > config.json) and analyze it"
    )


class Platform(Struct, frozen=True):
    """A platform, in a descriptor or an image config; all texts may be absent."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None

    def __post_init__(self) -> None:
        if len(str(self)) > LONGEST_PLATFORM:
            raise ValueError(f"expected a platform of at most {LONGEST_PLATFORM} letters")

    def __str__(self) -> str:
        """Such as `linux/arm64`; empty if unknown."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Annotations(Struct, frozen=True):
    """The annotations that matter here."""

    ref_name: str | None = field(default=None, name=REF_NAME)
    image_name: str | None = field(default=None, name="io.containerd.image.name")
    reference_type: Any = field(default=None, name="vnd.docker.reference.type")
    reference_digest: Any = field(default=None, name="vnd.docker.reference.digest")
    predicate_type: Any = field(default=None, name="in-toto.io/predicate-type")


class Descriptor(Struct, frozen=True):
    """A descriptor (OCI image spec, "OCI Content Descriptors"). As in Go, `null` is the same as absent."""

    given_digest: str | None = field(default=None, name="digest")
    given_type: str | None = field(default=None, name="mediaType")
    size: int | None = None
    given_platform: Platform | None = field(default=None, name="platform")
    annotations: Annotations | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 0:
            raise ValueError(f"expected a size of 0 or more bytes, found {self.size}")

    @property
    def digest(self) -> str:
        """Empty if absent."""
        return self.given_digest or ""

    @property
    def media_type(self) -> str:
        """Empty if absent."""
        return self.given_type or ""

    @property
    def platform(self) -> str:
        """Such as `linux/arm64`; empty if absent."""
        return str(self.given_platform or "")

    @property
    def tags(self) -> frozenset[str]:
        """The tags that its annotations give it in a layout's `index.json`."""
        notes = self.annotations or Annotations()
        _, colon, tag = (notes.image_name or "").rpartition(":")
        return frozenset(filter(None, (notes.ref_name, tag if colon else "")))

    @property
    def is_named(self) -> bool:
        """Whether it is in a layout by the full name of an image, as `docker save` and containerd write it."""
        return self.annotations is not None and bool(self.annotations.image_name)

    @property
    def is_attestation(self) -> bool:
        """Whether it is about another image, and not an image itself (BuildKit, "Image attestation storage")."""
        typed_so = self.annotations is not None and self.annotations.reference_type == "attestation-manifest"
        return typed_so or f"{self.platform}/".startswith("unknown/unknown/")

    @property
    def attested(self) -> str:
        """The digest of the image that an attestation is about, empty if absent."""
        digest = self.annotations and self.annotations.reference_digest
        return digest if isinstance(digest, str) else ""

    @property
    def predicate_type(self) -> str:
        """What kind of statement a blob has (in-toto, "predicateType"), empty if absent."""
        kind = self.annotations and self.annotations.predicate_type
        return kind if isinstance(kind, str) else ""


class Manifest(Struct, frozen=True):
    """An image manifest (with `config`) or an index (with `manifests`)."""

    media_type: str | None = field(default=None, name="mediaType")
    manifests: list[Descriptor] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None


class RootFS(Struct, frozen=True):
    """The layers of an image, by the digests of their unpacked content."""

    diff_ids: list[str] | None = None


class ImageConfig(Platform, frozen=True):
    """The config of an image (OCI image spec, "Image Configuration")."""

    records: str | None = field(default=None, name=INLINE_CACHE)
    """The records of an inline cache, in base64."""
    rootfs: RootFS | None = None

    @property
    def unpacked_layers(self) -> list[str]:
        """The digests of the unpacked layers."""
        return (self.rootfs and self.rootfs.diff_ids) or []


def manifest_of(parsed: Any) -> Manifest:
    """Read a manifest or an index from its parsed JSON.

    Raises `InputError` if it is neither, or both, or has values of wrong types.
    """
    document = _typed(parsed)
    if document.manifests is None and document.config is None:
        raise InputError("expected a manifest or an index", "$")
    if document.manifests is not None and {"config", "layers"} & parsed.keys():
        raise InputError("both an index and a manifest, so that readers disagree about it", "$")
    return document


def descriptors_of(index: Any) -> list[Descriptor]:
    """The descriptors in the parsed JSON of a layout's `index.json`, in their order. Raises `InputError`."""
    return _typed(index).manifests or []


def _typed(parsed: Any) -> Manifest:
    """Check the types, and how deep descriptors are nested, since they may be written again as they were read."""
    document = typed(parsed, Manifest)
    for name in ("config", "layers", "manifests"):
        value = parsed.get(name)
        several = isinstance(value, list)
        for number, descriptor in enumerate(value if several else [value]):
            if nested_too_deep(descriptor):
                where = f"$.{name}[{number}]" if several else f"$.{name}"
                raise InputError(f"nested more than {MOST_NESTED} deep", where)
    return document


def known_descriptors(documents: Sequence[CacheDocument]) -> dict[str, Any]:
    """The descriptors that manifests have for the layers, by digest; if there are several for one, the first."""
    known: dict[str, Any] = {}
    for document in documents:
        for blob, descriptor in document.descriptors.items():
            known.setdefault(blob, descriptor)
    return known


def new_manifest(kind: str, layers: Sequence[Mapping[str, Any]], config: bytes) -> dict[str, Any]:
    """A manifest for an encoded cache config, of the kind that a source had, with the descriptors of its layers.

    If the source had none, it is an image manifest, which is what BuildKit v0.21 and later write by default.
    """
    descriptor = {"mediaType": CACHE_CONFIG, "digest": digest_of(config), "size": len(config)}
    if kind not in ("index", "manifest-list"):
        return {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": descriptor, "layers": layers}
    media_type = INDEX if kind == "index" else MANIFEST_LIST
    return {"schemaVersion": 2, "mediaType": media_type, "manifests": [*layers, descriptor]}
