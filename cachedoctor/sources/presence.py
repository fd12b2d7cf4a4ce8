"""Which of the blobs that a manifest lists are really there, and have the size that it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cachedoctor.numbers import plural
from cachedoctor.sources.descriptors import is_digest
from cachedoctor.sources.document import BlobStore, Presence

REGISTRY = "registry"
"""`Presence.place` of a registry, which is only asked on request."""


def look(store: BlobStore, listed: Mapping[str, Mapping[str, Any]]) -> Presence | None:
    """Look for the blobs that a manifest lists, given as its descriptors by digest; `None` if the store does not.

    What is not a digest is not looked for, nor are layers that are always fetched from their vendor, such as those of
    Windows. A descriptor without a size fits a blob of any size.
    """
    wanted = [digest for digest, descriptor in listed.items() if is_digest(digest) and not _is_foreign(descriptor)]
    sizes = store.sizes(wanted) if wanted else None
    if sizes is None:
        return None
    resized = {}
    for digest, found in sizes.found.items():
        expected = listed[digest].get("size")
        if found >= 0 and isinstance(expected, int) and found != expected:
            resized[digest] = (found, expected)
    absent = frozenset(digest for digest in wanted if digest not in sizes.found and digest not in sizes.unknown)
    left_out = sizes.place != REGISTRY and len(absent) == len(wanted)
    return Presence(sizes.place, absent, resized, sizes.unknown, sizes.why, left_out)


def _is_foreign(descriptor: Mapping[str, Any]) -> bool:
    """Whether a layer is never pushed (OCI image spec, "Non-Distributable Layers"; Docker calls it foreign)."""
    kind = str(descriptor.get("mediaType"))
    return bool(descriptor.get("urls")) or ".nondistributable." in kind or ".foreign." in kind


def remarks(presence: Presence | None) -> tuple[str, ...]:
    """What a reader has to know about how blobs were looked for: nothing, unless that failed for some."""
    if presence is None or not presence.unknown:
        return ()
    blobs = plural(len(presence.unknown), "blob")
    return (f"{blobs} that the manifest lists could not be looked up in the {presence.place}: {presence.why}.",)
