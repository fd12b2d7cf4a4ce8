"""One file or stream, told by its content."""

from __future__ import annotations

from typing import Any, BinaryIO

from cachedoctor.cacheconfig import CacheConfig, decode_parsed, decode_strictly
from cachedoctor.errors import InputError, reading
from cachedoctor.io.streams import encoding_of, read_all, unpack
from cachedoctor.sources import digests, inline
from cachedoctor.sources.interface import MOST_CONFIG_BYTES, BlobStore, CacheDocument
from cachedoctor.sources.json import parse, weigh
from cachedoctor.sources.oci import Resolver

EXPECTED = "expected a cache config, a manifest or index beside its config, or an OCI image layout"


def stream_documents(
    stream: BinaryIO, source: str, beside: BlobStore, tag: str | None, platform: str | None, *, can_seek: bool
) -> list[CacheDocument]:
    """The caches in a stream of bytes: JSON or a tar, compressed or not. `beside` is asked for the blobs it names.

    Raises `InputError`.
    """
    head, whole, packed = unpack(stream, source)
    if len(head) == 512 and not head.lstrip().startswith((b"{", b"[")):
        from cachedoctor.sources.archive import archive_documents, is_tar

        if is_tar(head):
            if can_seek and not packed:
                stream.seek(0)
                return archive_documents(stream, stream, source, tag, platform)
            return archive_documents(whole, None, source, tag, platform)
    if not head.strip():
        raise InputError(f"empty; {EXPECTED}", source=source)
    if encoding := encoding_of(head):
        return json_documents(
            _recoded(read_all(whole, MOST_CONFIG_BYTES, source), encoding, source), source, beside, platform
        )
    if not head.lstrip().startswith((b"{", b"[")):
        what = "HTML" if head.lstrip()[:1] == b"<" else _no_json(head)
        raise InputError(f"{what}; {EXPECTED}", "byte 0", source=source)
    data = read_all(whole, MOST_CONFIG_BYTES, source)
    return json_documents(data, source, beside, platform)


def _recoded(data: bytes, encoding: str, source: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"no {error.encoding.upper()}, which its mark says", f"byte {error.start}", source=source
        ) from error


def _no_json(head: bytes) -> str:
    binary = any(byte < 0x20 and byte not in b"\t\n\r" for byte in head)
    if binary or head.startswith((b"goroutine ", b"File: ", b"Showing nodes", b"(pprof)")):
        return "no JSON, perhaps a profile, which cachedoctor profile reads"
    return "no JSON"


def json_documents(data: bytes, source: str, beside: BlobStore, platform: str | None) -> list[CacheDocument]:
    """The caches of one JSON document. Raises `InputError`."""
    weigh(data, source)
    config = decode_strictly(data)
    if config is not None and (config.digests or config.blobs):
        return [_document(config, data, source)]
    parsed = parse(data, source)
    if not isinstance(parsed, dict) or not parsed:
        found = "an empty object" if parsed == {} else "no object"
        raise InputError(f"{found}; {EXPECTED}", "$", source=source)
    if is_image_config(parsed):
        return [_lone_image_config(parsed, data, source)]
    if parsed.get("manifests") is not None or parsed.get("config") is not None:
        return Resolver(beside, source, platform).start_with(parsed, data)
    if "records" in parsed or "layers" in parsed:
        with reading(source):
            return [_document(decode_parsed(parsed), data, source)]
    keys = ", ".join(sorted(map(str, parsed))[:5])
    raise InputError(f"an object of {keys[:100]}; {EXPECTED}", "$", source=source)


def _document(config: CacheConfig, data: bytes, source: str) -> CacheDocument:
    return CacheDocument(
        source=source,
        kind="cache-config",
        config=config,
        digest=digests.of(data),
        size=len(data),
        manifest_size=None,
        blobs=None,
        platform="",
    )


def is_image_config(parsed: dict[str, Any]) -> bool:
    """Whether an object is the config of an image (OCI image spec, "Image Configuration")."""
    return "rootfs" in parsed or inline.KEY in parsed


def _lone_image_config(image: dict[str, Any], data: bytes, source: str) -> CacheDocument:
    layers = inline.stand_ins(image, source, "$")
    found = inline.document(image, layers, source, "$", digests.of(data), None)
    if found is None:
        raise InputError(f"the config of an image without any build cache: no {inline.KEY} in it", source=source)
    return found
