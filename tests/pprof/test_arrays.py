"""Encoded samples read into arrays, against the protobuf runtime that decodes them one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.pprof import arrays
from cachedoctor.pprof.profile_pb2 import Label, Sample
from tests.pprof.wire import field, varint

Rows = list[tuple[list[int], int]]
IDS = st.one_of(st.integers(1, 300), st.integers(1, 2**64 - 1))
VALUES = st.one_of(st.integers(-5, 300), st.integers(-(2**63), 2**63 - 1), st.just(arrays.MARK))
LABEL = Label(key=1, str=2).SerializeToString()


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
        parts.insert(draw(st.integers(0, len(parts))), field(3, LABEL))
    if draw(st.booleans()):
        parts.append(draw(st.sampled_from([field(9, b"unknown"), b"\x4d1234", b"\x0a\x00", varint(72) + b"\x05"])))
    return b"".join(parts)


def rows(raw: list[bytes], types: int = 1, chosen: int = 0) -> tuple[Rows, set[bytes]]:
    """The location ids and the value of each sample, as arrays have them, and all labels."""
    ids = sorted({identity for encoded in raw for identity in _ids(encoded)})
    read, labels = arrays.read(raw, types, chosen, ids, [[at] for at in range(len(ids))])
    return [([ids[node] for node in nodes], value) for nodes, value in read], labels


def _ids(encoded: bytes) -> list[int]:
    try:
        return [identity for identity in Sample.FromString(encoded).location_id if identity]
    except Exception:
        return []


def decoded(raw: list[bytes], chosen: int = 0) -> tuple[Rows, set[bytes]]:
    """The same by the runtime alone."""
    parsed = list(map(Sample.FromString, raw))
    labels = {label for sample in parsed for label in sample.label}
    return [(list(sample.location_id), sample.value[chosen]) for sample in parsed], labels


@pytest.mark.slow
@given(st.data())
def test_samples_are_what_the_runtime_decodes(data: st.DataObject) -> None:
    types = data.draw(st.integers(1, 4))
    chosen = data.draw(st.integers(0, types - 1))
    raw = data.draw(st.lists(samples(types), max_size=12))
    assert rows(raw, types, chosen) == decoded(raw, chosen)


def is_good(encoded: bytes, types: int) -> bool:
    try:
        sample = Sample.FromString(encoded)
    except Exception:
        return False
    return len(sample.value) == types and 0 not in sample.location_id


def check_damaged(raw: list[bytes], types: int) -> None:
    """Damaged samples are refused, and others are read."""
    try:
        read = rows(raw, types)
    except InputError:
        assert not all(is_good(encoded, types) for encoded in raw)
    else:
        assert read == decoded(raw)


@given(st.lists(st.one_of(samples(2), st.binary(max_size=24)), max_size=6))
def test_damaged_samples_are_refused_as_the_runtime_does(raw: list[bytes]) -> None:
    check_damaged(raw, 2)


GOOD = Sample(location_id=[1], value=[7]).SerializeToString()


@pytest.mark.parametrize("start", [b"\x0a", b"\x12", b"\x1a", b"\x4a", b"\x0b", b"\x4d", b"\x49", b"\x80", b"\x08"])
@pytest.mark.parametrize("other", [GOOD, b""])
def test_sample_that_runs_on_into_the_next_one_is_refused(start: bytes, other: bytes) -> None:
    """A field longer than its sample could swallow what marks the end of the sample."""
    for length in range(64):
        for count in (1, 3):
            raw = [GOOD, *[GOOD + start + bytes([length])] * count, other, GOOD]
            if not is_good(raw[1], 1) or not is_good(other, 1):
                with pytest.raises(InputError):
                    rows(raw)


def test_values_that_are_missing_in_one_sample_and_left_over_in_the_next_are_refused() -> None:
    for values in ([[1, 2, 3], [4]], [[1, 2, arrays.MARK], [3]], [[1], [arrays.MARK, 2, 3]]):
        with pytest.raises(InputError, match="values for 2 sample types"):
            rows([Sample(value=numbers).SerializeToString() for numbers in values], 2)


def test_unpacked_fields() -> None:
    raw = b"".join(b"\x08" + varint(number) for number in range(1, 49)) + b"\x10\x07"
    assert rows([raw, raw]) == ([(list(range(1, 49)), 7)] * 2, set())


@pytest.mark.slow
def test_large_samples_are_decoded_in_parts_and_huge_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    big = Sample(location_id=[5] * 900_000, value=[1]).SerializeToString()
    small = Sample(location_id=[7], value=[2]).SerializeToString()
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 1 << 20)
    large, _ = rows([small, big, small, big])
    assert [(len(stack), value) for stack, value in large] == [(1, 2), (900_000, 1), (1, 2), (900_000, 1)]
    with pytest.raises(InputError, match="more than 1,048,576 bytes"):
        rows([big + big])


def test_chunks_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CHUNK", 2)
    raw = [Sample(location_id=[number], value=[number]).SerializeToString() for number in range(1, 8)]
    assert rows(raw) == decoded(raw)


def test_no_samples() -> None:
    assert rows([], 2) == ([], set())


def test_numbers_longer_than_64_bits_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        rows([b"\x08" + b"\x80" * 10 + b"\x01" + b"\x10\x01"])


def test_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_FRAMES", 2)
    with pytest.raises(InputError, match="3 frames in all stacks together"):
        arrays.read([GOOD], 1, 0, [1], [[0, 1, 2]])
