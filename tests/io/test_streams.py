"""Streams unpack to so many bytes, and not to one more."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable

import pytest
import zstandard

from cachedoctor.errors import InputError
from cachedoctor.io import streams
from cachedoctor.io.streams import read_all, unpack

PACKS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


def unpacked(data: bytes) -> bytes:
    _, whole, _ = unpack(io.BytesIO(data))
    return read_all(whole, 1 << 30)


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        unpacked(data)
    return str(caught.value)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_bounds_the_ratio(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    size = 100_000
    packed = pack(bytes(size))
    monkeypatch.setattr(streams, "HIGHEST_RATIO", 0)
    monkeypatch.setattr(streams, "FREE_BYTES", size)
    assert unpacked(packed) == bytes(size)
    monkeypatch.setattr(streams, "FREE_BYTES", size - 1)
    assert refused(packed).endswith(f"byte {len(packed)}: unpacks to more than 100,000 bytes, which is refused")
    monkeypatch.setattr(streams, "HIGHEST_RATIO", 1)
    monkeypatch.setattr(streams, "FREE_BYTES", size - len(packed))
    assert unpacked(packed) == bytes(size)
    monkeypatch.setattr(streams, "FREE_BYTES", size - len(packed) - 1)
    assert "which is refused" in refused(packed)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_bounds_all_bytes(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_BYTES", 1000)
    assert unpacked(pack(bytes(1000))) == bytes(1000)
    assert "which is refused" in refused(pack(bytes(1001)))


def test_bounds_what_is_read() -> None:
    assert read_all(io.BytesIO(b"12345"), 5) == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes, which is refused"):
        read_all(io.BytesIO(b"12345"), 4)
