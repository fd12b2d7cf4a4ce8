"""Digests: what is one, and whether bytes fit it."""

from __future__ import annotations

import hashlib
import re

from cachedoctor.errors import InputError

_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")


def split(digest: str, source: str) -> tuple[str, str]:
    """The algorithm and the encoded part (OCI image spec, "Digests"). Raises `InputError` for what is no digest."""
    if not is_one(digest):
        shown = digest if len(digest) <= 80 else digest[:77] + "..."
        raise InputError(f"{shown!r} is no digest", source=source)
    algorithm, _, encoded = digest.partition(":")
    return algorithm, encoded


def is_one(text: str) -> bool:
    """Whether this is a digest of an algorithm that is known."""
    return _DIGEST.fullmatch(text) is not None


def of(data: bytes) -> str:
    """The SHA-256 digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def verify(data: bytes, digest: str, size: int | None, source: str) -> None:
    """Raise `InputError` where bytes have another size or digest."""
    algorithm, encoded = split(digest, source)
    if size is not None and len(data) != size:
        raise InputError(f"expected {size:,} bytes, found {len(data):,}", digest, source=source)
    found = hashlib.new(algorithm, data).hexdigest()
    if found != encoded:
        raise InputError(f"the content has another digest, {algorithm}:{found}", digest, source=source)
