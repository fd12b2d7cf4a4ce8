"""What a file or stream holds, detected from its content and never from its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from cachedoctor.errors import InputError
from cachedoctor.io.files import is_folder, opened
from cachedoctor.io.streams import HEAD, encoding_of, read_all, read_fully, unpack
from cachedoctor.sources.document import MOST_CONFIG_BYTES, BlobStore, CacheDocument
from cachedoctor.sources.texts import EXPECTED, text_documents

MOST_TEXT = 16 << 20
"""Bytes of a text in which JSON is looked for."""

_PROFILES = (b"goroutine ", b"File: ", b"Showing nodes", b"(pprof)")
"""How texts begin that are profiles."""


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
    if len(head) == HEAD and not is_json:
        from cachedoctor.sources.archive import archive_documents, is_tar

        if is_tar(head):
            if can_seek and not compressed:
                stream.seek(0)
                return archive_documents(stream, stream, tag, platform)
            return archive_documents(whole, None, tag, platform)
    if not head.strip():
        raise InputError(f"empty; {EXPECTED}")
    encoding = encoding_of(head)
    if is_json or encoding:
        data = read_all(whole, MOST_CONFIG_BYTES)
        return text_documents(_as_utf8(data, encoding) if encoding else data, beside, tag, platform)
    data = b"" if _is_no_text(head) else read_fully(whole, MOST_TEXT + 1)
    if not 0 < len(data) <= MOST_TEXT:
        raise InputError(f"{_other_content(head)}; {EXPECTED}", "byte 0")
    return text_documents(data, beside, tag, platform)


def _as_utf8(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeDecodeError as error:
        problem = f"not {error.encoding.upper()}, which its byte order mark stands for"
        raise InputError(problem, f"byte {error.start}") from error


def _is_no_text(head: bytes) -> bool:
    """Whether there cannot be pasted JSON in something that begins like this."""
    return _is_binary(head) or head.startswith(_PROFILES) or head.lstrip()[:1] == b"<"


def _is_binary(head: bytes) -> bool:
    return any(byte < 0x20 and byte not in b"\t\n\r" for byte in head)


def _other_content(head: bytes) -> str:
    if head.lstrip()[:1] == b"<":
        return "HTML"
    binary = _is_binary(head)
    if (binary and _begins_a_profile(head[0])) or head.startswith(_PROFILES):
        return "not JSON, perhaps a profile, which cachedoctor profile reads"
    return "binary data, not JSON" if binary else "not a JSON object"


def _begins_a_profile(byte: int) -> bool:
    """Whether a byte can be the tag of a field of a profile (`profile.proto`): 1 to 14, a varint or with a length."""
    return 1 <= byte >> 3 <= 14 and byte & 7 in (0, 2)
