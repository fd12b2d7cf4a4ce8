"""Samples as columns, held against the protobuf runtime one by one."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.pprof import samples as module
from cachedoctor.pprof.profile_pb2 import Sample
from cachedoctor.pprof.samples import MOST_FIELDS, MalformedSampleError, columns

IDS = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
VALUES = st.one_of(st.integers(-5, 300), st.integers(-(2**63), 2**63 - 1))


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    parts = []
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@st.composite
def samples(draw: st.DrawFn, types: int) -> bytes:
    """A sample in any form that the wire format allows: packed or not, in parts, in any order, with labels."""
    locations = draw(st.lists(IDS, max_size=8))
    values = draw(st.lists(VALUES, min_size=types, max_size=types))
    parts: list[bytes] = []
    for tag, numbers in ((1, locations), (2, values)):
        left = list(numbers)
        while left:
            if draw(st.booleans()):
                size = draw(st.integers(1, len(left)))
                parts.append(field(tag, b"".join(map(varint, left[:size]))))
                left = left[size:]
            else:
                parts.append(varint(tag << 3) + varint(left.pop(0)))
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), field(3, b"\x08\x01\x10\x02"))
    if draw(st.booleans()):
        parts.append(draw(st.sampled_from([field(9, b"unknown"), b"\x4d1234", b"\x0a\x00", varint(72) + b"\x05"])))
    return b"".join(parts)


def as_ids(ids: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return (ids % np.uint64(1000)).astype(np.int32)


def plain(raw: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    one = Sample.FromString(raw)
    return tuple(place % 1000 for place in one.location_id), tuple(one.value)


def rows(raw: list[bytes], types: int) -> Counter[tuple[tuple[int, ...], tuple[int, ...]]]:
    found = columns(raw, types, as_ids)
    bounds = found.starts.tolist()
    return Counter(
        (tuple(found.locations[begin:end].tolist()), tuple(found.values[at].tolist()))
        for at, (begin, end) in enumerate(pairwise(bounds))
    )


@given(st.integers(1, 4).flatmap(lambda types: st.tuples(st.just(types), st.lists(samples(types), max_size=12))))
def test_columns_hold_what_the_runtime_decodes(given_: tuple[int, list[bytes]]) -> None:
    types, raw = given_
    assert rows(raw, types) == Counter(map(plain, raw))


@given(st.lists(st.one_of(samples(2), st.binary(max_size=24)), max_size=6))
def test_any_bytes_are_decoded_as_the_runtime_does_or_refused(raw: list[bytes]) -> None:
    try:
        found = rows(raw, 2)
    except MalformedSampleError:
        assert not all(_good(one) for one in raw)
    else:
        assert found == Counter(map(plain, raw))


def _good(raw: bytes) -> bool:
    try:
        return len(Sample.FromString(raw).value) == 2
    except Exception:
        return False


def test_samples_of_many_fields_are_left_to_the_runtime() -> None:
    raw = b"".join(b"\x08" + varint(number) for number in range(3 * MOST_FIELDS)) + b"\x10\x07"
    assert rows([raw, raw], 1) == Counter({(tuple(range(3 * MOST_FIELDS)), (7,)): 2})


def test_large_samples_are_decoded_in_parts_and_huge_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    big = Sample(location_id=[5] * 900_000, value=[1]).SerializeToString()
    small = Sample(location_id=[7], value=[2]).SerializeToString()
    monkeypatch.setattr(module, "LARGEST_CHUNK", 1_000_000)
    found = columns([small, big, small, big], 1, as_ids)
    assert np.diff(found.starts).tolist() == [1, 900_000, 1, 900_000]
    assert found.values.tolist() == [[2], [1], [2], [1]]
    with pytest.raises(MalformedSampleError, match="more than 1,048,576 bytes"):
        columns([big + big], 1, as_ids)


def test_no_samples_are_no_columns() -> None:
    found = columns([], 2, as_ids)
    assert (found.starts.tolist(), found.values.shape, found.locations.size) == ([0], (0, 2), 0)


def test_another_number_of_values_is_refused() -> None:
    with pytest.raises(MalformedSampleError, match="3 values for 2 sample types"):
        columns([Sample(value=[1, 2, 3]).SerializeToString()], 2, as_ids)


def test_a_varint_of_eleven_bytes_is_refused() -> None:
    with pytest.raises(MalformedSampleError):
        columns([b"\x08" + b"\x80" * 10 + b"\x01" + b"\x10\x01"], 1, as_ids)
