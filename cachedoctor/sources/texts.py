"""The caches in a text: JSON as BuildKit, registries and tools write it, and as people paste it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cachedoctor.buildkit import CACHE_CONFIG, INLINE_CACHE
from cachedoctor.cacheconfig import CacheConfig, decode_parsed, decode_strictly, encode
from cachedoctor.errors import InputError, NoCacheError
from cachedoctor.sources.document import BlobStore, CacheDocument, config_document, digest_of
from cachedoctor.sources.json import is_compact, parse, weigh

EXPECTED = "expected a cache config, a manifest or index beside its config, or an OCI image layout"

_NAMED_WITHIN = 1 << 16
"""Bytes within which a tool that prints a text says what it is about."""
_IGNORED = "Comments, code fences, or the text around the JSON were ignored."


def text_documents(
    data: bytes, beside: Callable[[], BlobStore], tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches of a text that is one JSON document, or has one in it. Raises `InputError`."""
    weigh(data)
    config = decode_strictly(data)
    if config is not None and (config.digests or config.blobs):
        return [_bare(data, config)]
    try:
        parsed = parse(data)
    except InputError as error:
        return _pasted_documents(data, error, beside, tag, platform)
    return _documents(data, parsed, beside, tag, platform)


def _pasted_documents(
    data: bytes, not_json: InputError, beside: Callable[[], BlobStore], tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches of JSON with comments, in fences or with text around it. Raises `not_json` if it is something else."""
    from cachedoctor.sources import inspected, pasted

    found = pasted.find(data)
    if found is None:
        advice = inspected.text_advice(data[:_NAMED_WITHIN].decode(errors="replace"))
        if not advice and not data.lstrip().startswith((b"{", b"[")):
            cut = ", or not all of one" if pasted.begins_in(data) else ""
            raise InputError(f"not a JSON object{cut}; {EXPECTED}", "byte 0") from not_json
        raise InputError(advice) if advice else not_json
    weigh(found.data)
    try:
        parsed = parse(found.data)
    except InputError:
        raise not_json from None
    if found.is_cut:
        raise InputError(_cut(parsed))
    documents = _documents(found.data, parsed, beside, tag, platform)
    return [_as_pasted(document, data) for document in documents]


def _as_pasted(document: CacheDocument, data: bytes) -> CacheDocument:
    """The document with the notes that it needs, and for a bare config the bytes of all that was read."""
    if document.kind != "cache-config":
        return replace(document, notes=(*document.notes, _IGNORED))
    written = document.written_size
    return replace(
        document,
        size=len(data),
        digest=digest_of(data),
        reformatted_from=written,
        notes=(_reformatted(len(data), written), _IGNORED),
    )


def _cut(parsed: Any) -> str:
    """What to say about JSON of which parts were left out."""
    from cachedoctor.sources.descriptors import how_to_get, is_digest

    fields = parsed if isinstance(parsed, dict) else {}
    listed = fields.get("manifests")
    named = [fields.get("config"), *(listed if isinstance(listed, list) else ())]
    descriptors = [descriptor for descriptor in named if isinstance(descriptor, dict)]
    # Of a manifest, any config will do: that of an image has the inline cache.
    configs = [item for item in descriptors if item is fields.get("config") or item.get("mediaType") == CACHE_CONFIG]
    digest = configs[0].get("digest") if configs else None
    if isinstance(digest, str) and is_digest(digest):
        return f"a manifest of which parts were left out; {how_to_get(digest)}"
    return (
        "JSON of which parts were left out, so the rest cannot be analyzed; pass all of it, or run cachedoctor analyze "
        "docker://REF for the image or cache that it is from"
    )


def _documents(
    data: bytes, parsed: Any, beside: Callable[[], BlobStore], tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches of one JSON document, as bytes and parsed. Raises `InputError`."""
    if isinstance(parsed, list):
        from cachedoctor.sources.saved import is_saved, saved_documents

        if is_saved(parsed):
            return saved_documents(parsed, beside(), tag, platform)
    if not isinstance(parsed, dict) or not parsed:
        raise InputError(
            _printed_by_others(parsed) or f"{'an empty object' if parsed == {} else 'not an object'}; {EXPECTED}", "$"
        )
    if "rootfs" in parsed or INLINE_CACHE in parsed:
        return [_image(parsed, digest_of(data))]
    if parsed.get("manifests") is not None or parsed.get("config") is not None:
        from cachedoctor.sources.oci import Resolver

        return Resolver(beside(), platform).follow_document(parsed, len(data))
    if "records" in parsed or "layers" in parsed:
        return [_bare(data, decode_parsed(parsed))]
    if "image" in parsed and (documents := _inspected(parsed, digest_of(data), platform)):
        return documents
    keys = ", ".join(sorted(map(str, parsed))[:5])
    raise InputError(_printed_by_others(parsed) or f"an object with the keys {keys[:100]}; {EXPECTED}", "$")


def _image(parsed: Any, digest: str) -> CacheDocument:
    """The inline cache of an image config. Raises `InputError`."""
    from cachedoctor.sources.descriptors import ImageConfig
    from cachedoctor.sources.json import typed
    from cachedoctor.sources.oci import ADD_INLINE, inline_document

    image = typed(parsed, ImageConfig)
    document = inline_document(image, image.unpacked_layers, digest, None)
    if document is None:
        raise NoCacheError(f"the config of an image without any build cache in it; {ADD_INLINE}")
    return document


def _inspected(parsed: Any, digest: str, platform: str | None) -> list[CacheDocument]:
    """The inline caches in what `docker buildx imagetools inspect` prints as JSON, if it kept any."""
    from cachedoctor.sources.inspected import image_configs
    from cachedoctor.sources.oci import matches

    configs = [config for config in image_configs(parsed) if isinstance(config, dict) and INLINE_CACHE in config]
    documents = [_image(config, digest) for config in configs]
    return [document for document in documents if platform is None or matches(document.platform, platform)]


def _printed_by_others(parsed: Any) -> str:
    from cachedoctor.sources.inspected import advice

    return advice(parsed)


def _bare(data: bytes, config: CacheConfig) -> CacheDocument:
    """The document of a config in a file of its own, which may have been printed by something else than BuildKit."""
    document = config_document(data, config)
    if is_compact(data):
        return document
    written = len(encode(config))
    return replace(document, reformatted_from=written, notes=(_reformatted(len(data), written),))


def _reformatted(size: int, written: int) -> str:
    return (
        f"The file was reformatted, for example by jq or an editor: it has {size:,} bytes, and BuildKit writes this "
        f"config in {written:,}. BuildKit's limit is compared with the latter, and the digest of the file is not that "
        "of the blob."
    )
