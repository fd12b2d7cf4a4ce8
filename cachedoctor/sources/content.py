"""What a file or stream holds, detected from its content and never from its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from cachedoctor.buildkit import INLINE_CACHE
from cachedoctor.cacheconfig import CacheConfig, decode_parsed, decode_strictly, encode
from cachedoctor.errors import InputError
from cachedoctor.io.files import is_folder, opened
from cachedoctor.io.streams import encoding_of, read_all, unpack
from cachedoctor.sources.document import MOST_CONFIG_BYTES, BlobStore, CacheDocument, config_document, digest_of
from cachedoctor.sources.json import is_compact, parse, weigh

EXPECTED = "expected a cache config, a manifest or index beside its config, or an OCI image layout"


def path_documents(path: str, tag: str | None, platform: str | None) -> list[CacheDocument]:
    """The caches in a file, or in the folder of an OCI layout. Raises `InputError`."""
    if is_folder(path):
        from cachedoctor.sources.layout import folder_documents, unpacked_image

        saved = unpacked_image(path)
        if saved is None:
            return folder_documents(path, tag, platform)
        path = saved
    with opened(path, hint="; pass - to read a pipe") as file:
        return stream_documents(file, lambda: _beside(path), tag, platform, can_seek=True)


def _beside(path: str) -> BlobStore:
    from cachedoctor.sources.layout import BesideStore

    return BesideStore(path)


def stream_documents(
    stream: BinaryIO, beside: Callable[[], BlobStore], tag: str | None, platform: str | None, *, can_seek: bool
) -> list[CacheDocument]:
    """The caches in a stream of bytes: JSON or a tar, compressed or not. `beside` opens the store of blobs it names.

    Raises `InputError`.
    """
    head, whole, compressed = unpack(stream)
    is_json = head.lstrip().startswith((b"{", b"["))
    if len(head) == 512 and not is_json:
        from cachedoctor.sources.archive import archive_documents, is_tar

        if is_tar(head):
            if can_seek and not compressed:
                stream.seek(0)
                return archive_documents(stream, stream, tag, platform)
            return archive_documents(whole, None, tag, platform)
    if not head.strip():
        raise InputError(f"empty; {EXPECTED}")
    encoding = encoding_of(head)
    if not is_json and not encoding:
        raise InputError(f"{_other_content(head)}; {EXPECTED}", "byte 0")
    data = read_all(whole, MOST_CONFIG_BYTES)
    return json_documents(_as_utf8(data, encoding) if encoding else data, beside, tag, platform)


def _as_utf8(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        problem = f"not {error.encoding.upper()}, which its byte order mark stands for"
        raise InputError(problem, f"byte {error.start}") from error


def _other_content(head: bytes) -> str:
    if head.lstrip()[:1] == b"<":
        return "HTML"
    binary = any(byte < 0x20 and byte not in b"\t\n\r" for byte in head)
    if (binary and _begins_a_profile(head[0])) or head.startswith(
        (b"goroutine ", b"File: ", b"Showing nodes", b"(pprof)")
    ):
        return "not JSON, perhaps a profile, which cachedoctor profile reads"
    return "binary data, not JSON" if binary else "not a JSON object"


def _begins_a_profile(byte: int) -> bool:
    """Whether a byte can be the tag of a field of a profile (`profile.proto`): 1 to 14, a varint or with a length."""
    return 1 <= byte >> 3 <= 14 and byte & 7 in (0, 2)


def json_documents(
    data: bytes, beside: Callable[[], BlobStore], tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches of one JSON document. Raises `InputError`."""
    weigh(data)
    config = decode_strictly(data)
    if config is not None and (config.digests or config.blobs):
        return [_bare(data, config)]
    parsed = parse(data)
    if isinstance(parsed, list):
        from cachedoctor.sources.saved import is_saved, saved_documents

        if is_saved(parsed):
            return saved_documents(parsed, beside(), tag, platform)
    if not isinstance(parsed, dict) or not parsed:
        raise InputError(f"{'an empty object' if parsed == {} else 'not an object'}; {EXPECTED}", "$")
    if "rootfs" in parsed or INLINE_CACHE in parsed:
        from cachedoctor.sources.descriptors import ImageConfig
        from cachedoctor.sources.json import typed
        from cachedoctor.sources.oci import ADD_INLINE, inline_document

        image = typed(parsed, ImageConfig)
        document = inline_document(image, image.unpacked_layers, digest_of(data), None)
        if document is None:
            raise InputError(f"the config of an image without any build cache in it; {ADD_INLINE}")
        return [document]
    if parsed.get("manifests") is not None or parsed.get("config") is not None:
        from cachedoctor.sources.oci import Resolver

        return Resolver(beside(), platform).follow_document(parsed, len(data))
    if "records" in parsed or "layers" in parsed:
        return [_bare(data, decode_parsed(parsed))]
    keys = ", ".join(sorted(map(str, parsed))[:5])
    raise InputError(f"an object with the keys {keys[:100]}; {EXPECTED}", "$")


def _bare(data: bytes, config: CacheConfig) -> CacheDocument:
    """The document of a config in a file of its own, which may have been printed by something else than BuildKit."""
    document = config_document(data, config)
    if is_compact(data):
        return document
    written = len(encode(config))
    note = (
        f"The file was reformatted, for example by jq or an editor: it has {len(data):,} bytes, and BuildKit writes "
        f"this config in {written:,}. BuildKit's limit is compared with the latter, and the digest of the file is not "
        "that of the blob."
    )
    return replace(document, reformatted_from=written, notes=(note,))
