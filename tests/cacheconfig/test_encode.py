"""What BuildKit would write; documents as it wrote them are in tests/repairs/test_repair.py."""

from __future__ import annotations

import pytest

from cachedoctor.cacheconfig import decode, encode


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"layers":[{"blob":"a","parent":-1},{"blob":"b"}]}',
        b'{"records":[{"digest":"a"}]}',
        b'{"records":[{}]}',
    ],
)
def test_what_is_empty_is_left_out(data: bytes) -> None:
    assert encode(decode(data)) == data
