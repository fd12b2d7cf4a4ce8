"""JSON documents with a few changes: what a damaged or hostile exporter could write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

Step = int | str
Slot = tuple[Any, Step]
"""A list or an object, and the index or name in it."""

EDGES = (0, 1 << 31, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**30)
ODD: tuple[Any, ...] = (
    *(None, True, False, 1.5, 1e300, float("nan"), "", "x", [], {}, [[]], [None], {"link": 0}, {"layer": 0}),
    *("\x00\x1b[31m", "\u202e\u2066\u200b", "\ud800", "::error::x", "<script>&amp;]]>", "|`*_[x](y)", "é" * 300),
    *("2026-11-24T08:14:45.123456789Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "sha256:" + "a" * 64),
)


def mutate(data: bytes, choose: random.Random) -> bytes | None:
    """The document with one to four changes, `None` if the bytes are not JSON."""
    # Nesting that is too deep for the interpreter is left to random byte changes.
    with suppress(ValueError, RecursionError):
        root = [json.loads(data)]
        for _ in range(choose.randrange(1, 5)):
            slots = _slots(root)
            choose.choice(_CHANGES)(choose.choice(slots), slots, choose)
        return _written(root)
    return None


def cross(data: bytes, other: bytes, choose: random.Random) -> bytes | None:
    """The document with one of its parts replaced by a part of another document."""
    with suppress(ValueError, RecursionError):
        root = [json.loads(data)]
        into, step = choose.choice(_slots(root))
        source, name = choose.choice(_slots([json.loads(other)]))
        into[step] = source[name]
        return _written(root)
    return None


def _written(root: list[Any]) -> bytes:
    return json.dumps(root[0], separators=(",", ":")).encode()


def _slots(root: list[Any]) -> list[Slot]:
    """All slots in a document. It is the only element of `root`, so that the document itself is in a slot too."""
    slots: list[Slot] = []
    pending: list[Any] = [root]
    while pending:
        node = pending.pop()
        steps: list[Step] = [*node] if isinstance(node, dict) else [*range(len(node))]
        slots += [(node, step) for step in steps]
        pending += [node[step] for step in steps if isinstance(node[step], dict | list)]
    return slots


def _replace(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    slot[0][slot[1]] = deepcopy(choose.choice(ODD))


def _count(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    """Change a number, to a neighbor or an extreme; replace something else if there is no number."""
    numbers = [(parent, step) for parent, step in (slot, *slots) if type(parent[step]) is int]
    if not numbers:
        return _replace(slot, slots, choose)
    parent, step = choose.choice(numbers)
    parent[step] = choose.choice((parent[step] - 1, parent[step] + 1, -1, choose.randrange(20), choose.choice(EDGES)))
    return None


def _remove(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    # The document itself stays.
    if slot is not slots[0] and (slot[1] in slot[0] if isinstance(slot[0], dict) else True):
        del slot[0][slot[1]]


def _repeat(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    """Repeat an element of a list, once or many times."""
    parent, step = slot
    if isinstance(parent, list) and isinstance(step, int) and slot is not slots[0]:
        times = choose.choice((1, 1, 1, 2, 8, 40))
        at = choose.choice((step, len(parent)))
        parent[at:at] = [deepcopy(parent[step]) for _ in range(times)]


def _copy(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    """Copy a value from anywhere else, or from a slot with the same name."""
    alike = [
        other for other in slots if other[1] == slot[1] or (isinstance(other[1], int) and isinstance(slot[1], int))
    ]
    source, step = choose.choice(alike if choose.random() < 0.7 else slots)
    slot[0][slot[1]] = deepcopy(source[step])


def _rename(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    names = [step for _, step in slots if isinstance(step, str)]
    if isinstance(slot[0], dict) and names:
        slot[0][choose.choice(names)] = slot[0].pop(slot[1])


def _nest(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    value = slot[0][slot[1]]
    for _ in range(choose.choice((1, 2, 5, 300))):
        value = [value] if choose.random() < 0.5 else {"annotations": value}
    slot[0][slot[1]] = value


def _swap(slot: Slot, slots: list[Slot], choose: random.Random) -> None:
    """Swap two elements of a list: records end up before their parents, for example."""
    parent, step = slot
    if isinstance(parent, list) and isinstance(step, int):
        other = choose.randrange(len(parent))
        parent[step], parent[other] = parent[other], parent[step]


_Change = Callable[[Slot, list[Slot], random.Random], None]
_CHANGES: tuple[_Change, ...] = (
    _replace,
    _count,
    _count,
    _count,
    _remove,
    _repeat,
    _copy,
    _copy,
    _swap,
    _rename,
    _nest,
)
