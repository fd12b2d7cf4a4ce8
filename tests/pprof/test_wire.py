"""What a profile may ask for before it is decoded."""

from __future__ import annotations

import pytest

from cachedoctor.errors import InputError
from cachedoctor.pprof import wire as module
from cachedoctor.pprof.decode import decode
from tests.pprof.profiles import Builder
from tests.pprof.wire import field, varint

EMPTY_FIELDS = [b"\x12\x00", b"\x22\x00", b"\x22\x02\x08\x01", b"\x32\x00", b"\x6a\x00"]
"""A sample, a location, a location with an id, a string, and no comments."""


@pytest.mark.parametrize("unit", EMPTY_FIELDS)
def test_fields_of_a_large_profile_are_bounded(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FREE_BYTES", 1000)
    monkeypatch.setattr(module, "MOST_FIELDS", 500)
    head = Builder().bytes()
    with pytest.raises(InputError, match="more than 500 fields, which is refused"):
        decode(head + unit * 501)


@pytest.mark.slow
def test_profile_of_empty_fields_is_refused_before_they_take_memory() -> None:
    with pytest.raises(InputError, match="more than 8,000,000 fields, which is refused"):
        decode(Builder().bytes() + EMPTY_FIELDS[0] * 35_000_000)


def test_fields_of_a_large_profile_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FREE_BYTES", 10)
    data = Builder().bytes() + field(6, bytes(1 << 19)) * 2
    assert decode(data).total == 0
    with pytest.raises(InputError, match="a field of 1,048,577 bytes"):
        decode(data + field(13, bytes((1 << 20) + 1)))
    for damaged in (b"\x32\x7f", b"\xff" * 12, b"\x0b"):
        with pytest.raises(InputError, match="truncated"):
            decode(data + damaged)
    assert decode(data + varint(200 << 3) + b"\x01" + varint(201 << 3 | 5) + b"1234").total == 0
