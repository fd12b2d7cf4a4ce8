"""The wire format of protobuf, as far as tests write it by hand."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A number of 64 bits."""
    number &= 2**64 - 1
    parts = []
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number: int, content: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content
