"""The inline cache of an image: its records are in the image config, its layers are the image's own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from cachedoctor.cacheconfig import decode_inline
from cachedoctor.errors import InputError, reading
from cachedoctor.sources.interface import CacheDocument
from cachedoctor.sources.json import expect, field, weigh

KEY = "moby.buildkit.cache.v0"
"""Where in an image config the records are (BuildKit v0.8 to v0.32, `exptypes.ExporterInlineCache`)."""

LONGEST_PLATFORM = 255


def document(
    image: Any,
    blobs: Sequence[str],
    source: str,
    where: str,
    digest: str,
    manifest_size: int | None,
    platform: str = "",
) -> CacheDocument | None:
    """The cache in a parsed image config, `None` where there is none. `blobs` are the layers of its manifest.

    Raises `InputError` where the records are not base64, not JSON, or of wrong types.
    """
    encoded = field(image, KEY, str, source, where)
    if not encoded:
        return None
    place = f"{where}.{KEY}"
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("expected base64", place, source=source) from error
    weigh(data, source, place)
    unpacked = len(stand_ins(image, source, where))
    if unpacked != len(blobs):
        raise InputError(
            f"BuildKit ignores this cache: {unpacked} layers in rootfs, {len(blobs)} in the manifest",
            where,
            source=source,
        )
    with reading(source):
        config = decode_inline(data, blobs, place)
    return CacheDocument(
        source=source,
        kind="inline",
        config=config,
        digest=digest,
        size=len(data),
        manifest_size=manifest_size,
        blobs=None if manifest_size is None else frozenset(blobs),
        platform=platform or platform_of(image, source, where),
    )


def platform_of(value: Any, source: str, where: str) -> str:
    """The platform of an image config or a descriptor, such as `linux/arm64`. Raises `InputError`."""
    parts = [field(value, name, str, source, where) for name in ("os", "architecture", "variant")]
    platform = "/".join(filter(None, parts))
    if len(platform) > LONGEST_PLATFORM:
        raise InputError(f"expected a platform of at most {LONGEST_PLATFORM} letters", where, source=source)
    return platform


def stand_ins(image: Any, source: str, where: str) -> list[str]:
    """What stands for the layers of an image config without its manifest: the digests of the unpacked layers."""
    root = field(image, "rootfs", dict, source, where) or {}
    listed = field(root, "diff_ids", list, source, f"{where}.rootfs") or []
    return [expect(one, str, source, f"{where}.rootfs.diff_ids[{number}]") for number, one in enumerate(listed)]
