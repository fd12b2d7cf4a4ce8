"""Places where caches are: every kind gives the same `CacheDocument`, and takes a repaired one."""

from __future__ import annotations

from typing import BinaryIO

from cachedoctor.sources.document import Access, BlobStore, CacheDocument, Location, Presence, Writer
from cachedoctor.sources.schemes import parse

__all__ = ["Access", "BlobStore", "CacheDocument", "Location", "Presence", "Writer", "load", "parse"]


def load(
    source: str,
    *,
    tag: str | None = None,
    platform: str | None = None,
    stdin: BinaryIO | None = None,
    access: Access | None = None,
) -> list[CacheDocument]:
    """The caches of a source: one, or one for each platform of an image with inline caches.

    `source` is what the modules in `sources.schemes` document: a file, a folder with an OCI layout, `oci:DIR[:TAG]`,
    `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`, or `-` for `stdin` (by default the process's own). `platform`
    (`linux/arm64`) and `tag` choose among several. `access` says how to reach a registry.

    Raises `InputError` for whatever cannot be read, in bounded time and memory; it is `missing` if there is nothing of
    that name.
    """
    return parse(source, tag).read(platform=platform, stdin=stdin, access=access)
