"""The bytes of a profile.proto: how much they may ask for, and what the protobuf runtime makes of a sample."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from cachedoctor.errors import InputError
from cachedoctor.pprof.profile_pb2 import Sample

FREE_BYTES = 64 << 20
"""Bytes of a profile whose fields are decoded without counting them first: decoding takes 16 bytes for each."""
MOST_FIELDS = 8_000_000
"""Fields of a larger profile: samples, locations, functions, strings together."""
LARGEST_FIELD = 1 << 20
"""Bytes of one of these fields."""
DAMAGED = "a damaged or truncated profile: its protobuf cannot be decoded"


def check_size(data: bytes) -> None:
    """Refuse what would need many times its own size in memory. Raises `InputError`."""
    if len(data) <= FREE_BYTES:
        return
    at, fields, size = 0, 0, len(data)
    try:
        while at < size:
            tag = data[at]
            at += 1
            if tag >= 0x80:
                tag, at = varint(data, at - 1)
            kind = tag & 7
            if kind == 2:
                length = data[at]
                at += 1
                if length >= 0x80:
                    length, at = varint(data, at - 1)
                if length > LARGEST_FIELD:
                    raise InputError(f"a field of {length:,} bytes, which is refused", f"byte {at}")
                at += length
            elif kind == 0:
                _, at = varint(data, at)
            else:
                at += {1: 8, 5: 4}[kind]
            fields += 1
            if fields > MOST_FIELDS:
                raise InputError(f"more than {MOST_FIELDS:,} fields, which is refused", f"byte {at}")
    except (IndexError, KeyError) as error:
        raise InputError(DAMAGED, f"byte {at}") from error


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The number encoded at a position, and where it ends. Raises `IndexError` if it does not end."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError


def parse_sample(encoded: bytes, types: int) -> Sample:
    """A sample with as many values. Raises `InputError`."""
    try:
        sample = Sample.FromString(encoded)
    except DecodeError as error:
        raise InputError("a sample: it cannot be decoded") from error
    if len(sample.value) != types:
        raise InputError(f"a sample: it has {len(sample.value)} values for {types} sample types")
    return sample
