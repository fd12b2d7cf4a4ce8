"""Protobuf messages with changed fields; the lengths around them stay correct."""

from __future__ import annotations

import random
from dataclasses import dataclass

NUMBERS = (0, 1, 2, 127, 128, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_PLAIN, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it is encoded in a message."""

    number: int
    kind: int
    value: int | bytes


def mutate(data: bytes, choose: random.Random) -> bytes | None:
    """The message with one to four changes, `None` if it cannot be read."""
    for _ in range(choose.randrange(1, 5)):
        fields = read(data)
        if not fields:
            return None
        _change(fields, choose, deepest=2)
        data = write(fields)
    return data


def read(data: bytes) -> list[Field] | None:
    """The fields of a message, `None` if the bytes are not a message."""
    fields: list[Field] = []
    at = 0
    try:
        while at < len(data):
            tag, at = _varint(data, at)
            kind = tag & 7
            value: int | bytes
            if kind == _PLAIN:
                value, at = _varint(data, at)
            else:
                size, at = _varint(data, at) if kind == _LENGTH else (_FIXED[kind], at)
                value, at = data[at : at + size], at + size
            fields.append(Field(tag >> 3, kind, value))
    except (IndexError, KeyError):
        return None
    return fields if at == len(data) else None


def write(fields: list[Field]) -> bytes:
    """The bytes of a message."""
    data = bytearray()
    for field in fields:
        data += _written((field.number << 3) | field.kind)
        if isinstance(field.value, int):
            data += _written(field.value)
        else:
            data += (_written(len(field.value)) if field.kind == _LENGTH else b"") + field.value
    return bytes(data)


def _change(fields: list[Field], choose: random.Random, deepest: int) -> None:
    # Each field number is equally likely: there are many samples and strings, but few sample types.
    wanted = choose.choice(sorted({field.number for field in fields}))
    at = choose.choice([index for index, field in enumerate(fields) if field.number == wanted])
    field = fields[at]
    kind = choose.randrange(8)
    if kind == 0:
        del fields[at]
    elif kind == 1:
        fields[at:at] = [field] * choose.choice((1, 1, 3, 30))
    elif kind == 2:
        fields[at] = Field(choose.randrange(1, 16), field.kind, field.value)
    elif kind == 3:
        other = choose.randrange(len(fields))
        fields[at], fields[other] = fields[other], field
    else:
        fields[at] = Field(field.number, field.kind, _value(field, choose, deepest))


def _value(field: Field, choose: random.Random, deepest: int) -> int | bytes:
    if isinstance(field.value, int):
        near = (field.value + choose.choice((-1, 1))) % (1 << 64)
        return choose.choice((near, choose.randrange(16), choose.choice(NUMBERS)))
    below = read(field.value) if field.kind == _LENGTH and deepest and choose.random() < 0.9 else None
    if below:
        _change(below, choose, deepest - 1)
        return write(below)
    if field.kind != _LENGTH:
        return choose.randbytes(len(field.value))
    return choose.choice(
        (b"", b"[a-z", b"(.*)+$", b"\xff\x1b", b"cpu", b"nanoseconds", b"\x00" * 9, field.value[1:], _packed(choose))
    )


def _packed(choose: random.Random) -> bytes:
    numbers = (choose.choice((*NUMBERS, *range(1, 9))) for _ in range(choose.randrange(1, 9)))
    return b"".join(map(_written, numbers))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value % (1 << 64), at
        if shift > 63:
            raise IndexError


def _written(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*data, value))
