"""Images as `docker save` wrote them before Docker 25, and as podman, skopeo and kaniko still do.

The inline cache is in the image config that `manifest.json` names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import Struct, field

from cachedoctor.errors import InputError, NoCacheError, reading
from cachedoctor.sources.descriptors import Annotations, Descriptor, ImageConfig
from cachedoctor.sources.document import BlobStore, CacheDocument
from cachedoctor.sources.json import parse, typed
from cachedoctor.sources.oci import (
    ADD_INLINE,
    MOST_IMAGE_BYTES,
    MOST_MANIFESTS,
    inline_document,
    left_out,
    matches,
    tagged,
)

_CONFIG = re.compile(r"(?:blobs/sha256/|sha256:)?([0-9a-f]{64})(?:\.json)?")
"""How these tools name the config of an image: by its digest, in several ways."""
_LAYERS_BY_PATH = (
    "This archive of an image names its layers by path, so their digests in a registry are unknown. Layers have the "
    "digests of their unpacked content here, and whether a registry has them was not looked up."
)


class Image(Struct):
    """One image of a `manifest.json`."""

    config: str = field(name="Config")
    names: list[str] | None = field(default=None, name="RepoTags")
    layers: list[str] | None = field(default=None, name="Layers")


def blob_of(name: str) -> str | None:
    """The digest of the config that a file of such an archive holds, by its path; `None` for other files."""
    match = _CONFIG.fullmatch(name)
    return f"sha256:{match[1]}" if match else None


def is_saved(parsed: Any) -> bool:
    """Whether this is the content of such a `manifest.json`."""
    return (
        isinstance(parsed, list)
        and bool(parsed)
        and isinstance(parsed[0], dict)
        and "Config" in parsed[0]
        and ("Layers" in parsed[0])
    )


def saved_documents(manifest: Any, store: BlobStore, tag: str | None, platform: str | None) -> list[CacheDocument]:
    """The inline caches of the images that a parsed `manifest.json` lists, in their order.

    `tag` chooses one if there are several. Raises `InputError` if no image has a cache in it.
    """
    with reading(where="manifest.json"):
        images, notes = _chosen(typed(manifest, list[Image]), tag)
    documents, others, total = [], set(), 0
    for digest, image in images.items():
        data = store.read(digest, None, MOST_IMAGE_BYTES)
        total += len(data)
        if total > MOST_IMAGE_BYTES:
            raise InputError(f"more than {MOST_IMAGE_BYTES:,} bytes of image configs")
        with reading(where=digest):
            document = _document(image, typed(parse(data), ImageConfig), digest)
        if document and platform and not matches(document.platform, platform):
            others.add(document.platform)
        elif document:
            documents.append(replace(document, notes=(*document.notes, *notes)))
    if not documents and others:
        raise InputError(f"no image for platform {platform!r} in it; there is {', '.join(sorted(others))}")
    if not documents:
        raise NoCacheError(f"{'an image' if len(images) == 1 else 'images'} without any build cache; {ADD_INLINE}")
    return documents


def _chosen(images: Sequence[Image], tag: str | None) -> tuple[dict[str, Image], Sequence[str]]:
    """The images with a tag, by the digests of their configs, and notes on those left out. Raises `InputError`."""
    if len(images) > MOST_MANIFESTS:
        raise InputError(f"more than {MOST_MANIFESTS:,} images")
    by_digest = {}
    listed = []
    for number, image in enumerate(images):
        digest = blob_of(image.config)
        if digest is None:
            problem = f"expected the name of a config, which is its digest, found {image.config[:80]!r}"
            raise InputError(problem, f"$[{number}].Config")
        by_digest[digest] = image
        listed += [Descriptor(digest, annotations=Annotations(image_name=name)) for name in image.names or [""]]
    chosen = tagged(listed, tag)
    notes = left_out(listed, chosen) if tag is None else ()
    return {descriptor.digest: by_digest[descriptor.digest] for descriptor in chosen}, notes


def _document(image: Image, config: ImageConfig, digest: str) -> CacheDocument | None:
    unpacked, paths = config.unpacked_layers, image.layers or []
    # If their numbers differ, this raises the error that they do.
    document = inline_document(config, unpacked if len(unpacked) == len(paths) else paths, digest, None)
    return document and replace(document, notes=(_LAYERS_BY_PATH,))
