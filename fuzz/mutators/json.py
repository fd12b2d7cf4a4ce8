"""JSON documents changed in one place: what a damaged or hostile exporter would write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

Step = int | str
Place = tuple[Any, Step]
"""A list or an object, and the index or name in it."""

EDGES = (0, 1 << 31, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**30)
ODD: tuple[Any, ...] = (
    *(None, True, False, 1.5, 1e300, float("nan"), "", "x", [], {}, [[]], [None], {"link": 0}, {"layer": 0}),
    *("\x00\x1b[31m", "\u202e\u2066\u200b", "\ud800", "::error::x", "<script>&amp;]]>", "|`*_[x](y)", "é" * 300),
    *("2026-11-24T08:14:45.123456789Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "sha256:" + "a" * 64),
)


def mutate(data: bytes, choose: random.Random) -> bytes | None:
    """The document changed in one to four places, `None` where the bytes are no JSON."""
    # What is nested deeper than the interpreter bears is left to changes of bytes.
    with suppress(ValueError, RecursionError):
        root = [json.loads(data)]
        for _ in range(choose.randrange(1, 5)):
            places = _places(root)
            choose.choice(_CHANGES)(choose.choice(places), places, choose)
        return _written(root)
    return None


def cross(data: bytes, other: bytes, choose: random.Random) -> bytes | None:
    """The document with a part of another one in place of one of its own."""
    with suppress(ValueError, RecursionError):
        root = [json.loads(data)]
        into, step = choose.choice(_places(root))
        source, name = choose.choice(_places([json.loads(other)]))
        into[step] = source[name]
        return _written(root)
    return None


def _written(root: list[Any]) -> bytes:
    return json.dumps(root[0], separators=(",", ":")).encode()


def _places(root: list[Any]) -> list[Place]:
    """All places in a document, which stands in a list so that it has a place as well."""
    found: list[Place] = []
    pending: list[Any] = [root]
    while pending:
        one = pending.pop()
        steps: list[Step] = [*one] if isinstance(one, dict) else [*range(len(one))]
        found += [(one, step) for step in steps]
        pending += [one[step] for step in steps if isinstance(one[step], dict | list)]
    return found


def _replace(place: Place, places: list[Place], choose: random.Random) -> None:
    place[0][place[1]] = deepcopy(choose.choice(ODD))


def _count(place: Place, places: list[Place], choose: random.Random) -> None:
    """Another number, near by or at an edge; something else where there is none."""
    numbers = [one for one in (place, *places) if type(one[0][one[1]]) is int]
    if not numbers:
        return _replace(place, places, choose)
    parent, step = choose.choice(numbers)
    parent[step] = choose.choice((parent[step] - 1, parent[step] + 1, -1, choose.randrange(20), choose.choice(EDGES)))
    return None


def _remove(place: Place, places: list[Place], choose: random.Random) -> None:
    # The document itself stays.
    if place is not places[0] and (place[1] in place[0] if isinstance(place[0], dict) else True):
        del place[0][place[1]]


def _repeat(place: Place, places: list[Place], choose: random.Random) -> None:
    """An element of a list once more, or many times."""
    parent, step = place
    if isinstance(parent, list) and isinstance(step, int) and place is not places[0]:
        times = choose.choice((1, 1, 1, 2, 8, 40))
        at = choose.choice((step, len(parent)))
        parent[at:at] = [deepcopy(parent[step]) for _ in range(times)]


def _copy(place: Place, places: list[Place], choose: random.Random) -> None:
    """What stands elsewhere, or what stands there under the same name."""
    alike = [one for one in places if one[1] == place[1] or (isinstance(one[1], int) and isinstance(place[1], int))]
    source, step = choose.choice(alike if choose.random() < 0.7 else places)
    place[0][place[1]] = deepcopy(source[step])


def _rename(place: Place, places: list[Place], choose: random.Random) -> None:
    names = [step for _, step in places if isinstance(step, str)]
    if isinstance(place[0], dict) and names:
        place[0][choose.choice(names)] = place[0].pop(place[1])


def _nest(place: Place, places: list[Place], choose: random.Random) -> None:
    value = place[0][place[1]]
    for _ in range(choose.choice((1, 2, 5, 300))):
        value = [value] if choose.random() < 0.5 else {"annotations": value}
    place[0][place[1]] = value


def _swap(place: Place, places: list[Place], choose: random.Random) -> None:
    """Two elements of one list: records before their sources, the empty input first."""
    parent, step = place
    if isinstance(parent, list) and isinstance(step, int):
        other = choose.randrange(len(parent))
        parent[step], parent[other] = parent[other], parent[step]


_Change = Callable[[Place, list[Place], random.Random], None]
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
