"""OCI layouts for tests: fixtures, and a builder."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import zstandard

from tests.support import FIXTURES

IMAGE_MANIFEST = FIXTURES / "layouts/v0.21.1-image-manifest"
MANIFEST_LIST = FIXTURES / "layouts/v0.32.2-docker-list"
INLINE = FIXTURES / "layouts/v0.32.2-inline-image"
CHAINS = FIXTURES / "layouts/v0.32.2-inline-chains"
PLATFORMS = FIXTURES / "layouts/v0.32.2-inline-multi-platform"
PLAIN = FIXTURES / "layouts/plain-image"

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Layout:
    """An OCI image layout that a test writes blob by blob."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifests: list[dict[str, Any]] = []
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        self.save()

    def save(self) -> None:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        (self.folder / "index.json").write_text(json.dumps(index))

    def blob(self, content: Any, media_type: str) -> dict[str, Any]:
        """Write a blob, and return its descriptor."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        encoded = sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(data)}

    def tag(self, descriptor: dict[str, Any], name: str | None = "latest", **more: Any) -> None:
        """List a manifest in `index.json`, with a tag or without."""
        annotations = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        self.manifests.append({**descriptor, **annotations, **more})
        self.save()

    def cache(self, config: Any, name: str | None = "latest") -> dict[str, Any]:
        """Write an image manifest with a cache config, and tag it; returns its descriptor."""
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(config, CONFIG), "layers": []}
        descriptor = self.blob(manifest, MANIFEST)
        self.tag(descriptor, name)
        return descriptor


def tar(folder: Path, *, prefix: str = "") -> bytes:
    """The folder as an uncompressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, arcname=prefix + str(path.relative_to(folder)), recursive=False)
    return buffer.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "gzip in zstd": lambda data: zstandard.ZstdCompressor().compress(gzip.compress(data)),
}
