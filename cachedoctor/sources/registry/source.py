"""The caches of a repository: manifests and configs, never layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cachedoctor.errors import InputError
from cachedoctor.sources import digests
from cachedoctor.sources.interface import Access, CacheDocument
from cachedoctor.sources.oci import Descriptor, Resolver
from cachedoctor.sources.registry.client import Registry
from cachedoctor.sources.registry.reference import parse


class RegistryStore:
    """The blobs of one repository. What is asked for by `has` is fetched as a manifest, everything else as a blob."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._manifests: dict[str, bytes] = {}

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        source = self._registry.source
        digests.split(digest, source)
        data = self._manifests.pop(digest, None)
        if data is None:
            if size is not None and size > limit:
                raise InputError(f"more than {limit:,} bytes", digest, source=source)
            response = self._registry.blob(digest, limit if size is None else size)
            if response.status_code == 404:
                raise InputError(
                    f"named by a manifest, but not there{self._registry.told(response)}", digest, source=source
                )
            if response.status_code != 200:
                raise self._registry.unexpected(response, digest)
            data = response.content
        digests.verify(data, digest, size, source)
        return data

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        digests.split(digest, self._registry.source)
        return digest in self._manifests or self.fetch(digest) is not None

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`: a registry lists no blobs."""
        return iter(())

    def fetch(self, name: str) -> str | None:
        """Fetch a manifest by tag or digest, and give its digest; `None` where there is none. Raises `InputError`."""
        found = self._registry.fetch(name)
        if found is None:
            return None
        self._manifests[found.digest] = found.data
        return found.digest


def registry_documents(source: str, tag: str | None, platform: str | None, access: Access) -> list[CacheDocument]:
    """The caches behind a `docker://` URL. Raises `InputError`, in bounded time and memory."""
    reference = parse(source, tag)
    registry = Registry(reference, source, access)
    with registry.session.opened():
        store = RegistryStore(registry)
        digest = store.fetch(reference.names)
        if digest is None:
            what = f"manifest {reference.digest}" if reference.digest else f"tag {reference.names!r}"
            problem = f"the registry has no {what} in {reference.repository}, or no such repository (404)"
            raise registry.problem(problem, missing=not reference.digest)
        root = Descriptor(digest, None, "", "", frozenset(), is_attestation=False)
        found = Resolver(store, source, platform).follow([root])
        read_by = reference.tag or ("" if reference.digest else reference.names)
        return [replace(document, tag=read_by) for document in found]
