"""What a source gives, and what a place that holds blobs has to be able to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cachedoctor.cacheconfig import CacheConfig

MOST_CONFIG_BYTES = 512 << 20
"""Bytes of a JSON document that may hold a cache config, unpacked."""
MOST_MANIFEST_BYTES = 16 << 20
"""Bytes of a manifest or index; registries refuse more than 4 MiB (OCI distribution spec, "Pushing Manifests")."""


@dataclass(frozen=True, slots=True)
class Access:
    """How registries are reached."""

    plain_http: bool | None = None
    """Whether by HTTP instead of HTTPS; `None`: only where the registry is this machine, and no CA is named."""
    ca_file: str | None = None
    """Certificates to trust instead of those that are usually trusted, in PEM form."""
    timeout: float = 20.0
    """Seconds that one request may take, its answer read in full."""


@dataclass(frozen=True, slots=True)
class CacheDocument:
    """One cache config and what its container told of it."""

    source: str
    """As the user named it."""
    kind: str
    """The container: `cache-config` (bare), `image-manifest`, `index`, `manifest-list` or `inline`."""
    config: CacheConfig
    digest: str
    """Digest of the blob that held the config; for an inline cache that of the image config."""
    size: int
    """Bytes of the cache config; for an inline cache those of its records."""
    manifest_size: int | None
    """Bytes of the manifest or index that names the config, `None` where there is none."""
    blobs: frozenset[str] | None
    """Digests of the blobs that the manifest lists, `None` where there is none."""
    platform: str
    """Platform of the image of an inline cache, such as `linux/arm64`; empty otherwise."""
    manifest_digest: str = ""
    """Digest of the manifest or index, empty where there is none or its bytes were not read from a blob."""
    named_digest: str = ""
    """The digest by which a layout's tag names the manifest, where no blob has it; empty where all is well."""
    descriptors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    """The descriptors of those blobs as the manifest has them, by digest."""
    tag: str = field(default="", compare=False)
    """The tag of a registry that it was read by, empty elsewhere."""


class BlobStore(Protocol):
    """A place where blobs are found by their digests."""

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """The whole blob, verified against its digest and, where given, its size in bytes.

        Raises `InputError` where it is not there, larger than `limit`, or not what its digest says.
        """

    def has(self, digest: str) -> bool:
        """Whether there is such a manifest or other blob. Raises `InputError` for what is no digest."""

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """The SHA-256 digests of the blobs with so many bytes, in ascending order."""
