"""Hypothesis strategies for cache configs: valid ones, ones with a single fault, and hostile ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from tests.graph.reference import Document
from tests.graph.strategies import documents
from tests.support import digest, layers, record

CREATED = "2026-11-24T08:14:45.5Z"
ODD = (
    "\x00",
    "\x1b]0;x\x07\x1b[2J",
    "\u202eevil\u2066",
    "\u2028",
    "a\r\nb",
    "::error::x",
    "]]><&",
    "|`*_",
    "[red]x[/]",
)
"""Text that a terminal, a pipeline or a format could interpret."""
_TOO_LARGE = "a number that json does not write"


@st.composite
def valid(draw: st.DrawFn, *, most_records: int = 8) -> Document:
    """A config that BuildKit imports: no cycles or empty inputs, but layers, results and chains."""
    document = draw(documents(most_records=most_records, most_documents=1))[0]
    count = draw(st.integers(0, 4))
    document["layers"] = layers(*(draw(st.integers(-1, index - 1)) for index in range(count)))
    for written in document["records"]:
        written["digest"] = digest(written["digest"])
        if count and draw(st.booleans()):
            written["layers"] = [{"layer": draw(st.integers(0, count - 1)), "createdAt": CREATED}]
        if count and draw(st.integers(0, 5)) == 0:
            written["chains"] = [{"layers": draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))}]
    return document


@st.composite
def nearly_valid(draw: st.DrawFn) -> bytes:
    """A valid config with a single fault (see `changes`)."""
    document = draw(valid())
    parent, step = draw(st.sampled_from([*places(document)]))
    change = draw(st.sampled_from(sorted(changes(parent, step))))
    changes(parent, step)[change]()
    return written(document)


def changes(parent: Any, step: int | str) -> Mapping[str, Callable[[], object]]:
    """The faults that a value of a document can have, by name. Calling one changes the document."""
    value = parent[step]

    def put(other: object) -> Callable[[], object]:
        return lambda: parent.__setitem__(step, other)

    faults: dict[str, Callable[[], object]] = {
        "missing": lambda: parent.pop(step),
        "null": put(None),
        "of a wrong type": put({"x": 1} if isinstance(value, list) else [value]),
        "no number at all": put(float("nan")),
        "larger than a float": put(_TOO_LARGE),
    }
    if isinstance(parent, list) and isinstance(step, int):
        faults["there twice"] = lambda: parent.insert(step, copy.deepcopy(value))
    if isinstance(value, int):
        faults |= {"one too far": put(value + 1), "one too near": put(value - 1), "negative": put(-2)}
        faults |= {"larger than 64 bits": put(1 << 63), "outside": put(99), "a fraction": put(value + 0.5)}
    if isinstance(value, str):
        faults |= {f"odd {number}": put(f"{value[:20]}{text}") for number, text in enumerate(ODD)}
        faults |= {
            "empty": put(""),
            "cut short": put(value[:-1]),
            "an unknown algorithm": put(f"md5:{value}"),
        }
    if isinstance(value, list):
        faults["without its elements"] = put([])
    return faults


def written(document: object) -> bytes:
    """The document as JSON, even if it has values that JSON cannot hold."""
    return json.dumps(document).replace(json.dumps(_TOO_LARGE), "1e400").encode()


def places(value: Any) -> Iterator[tuple[Any, int | str]]:
    """All values in a document, as what contains them, and their index or name there."""
    steps = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    for step in steps:
        yield value, step
        yield from places(value[step])


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _ring(count: int) -> Document:
    """Records that each lead to the next one in a ring, and a root that leads to the first."""
    ring = [record("same", [(1 + (index - 1) % count, ""), 0]) for index in range(count)]
    return {"records": [record("root"), *ring]}


def _full(count: int) -> Document:
    """Records with the same digest that all lead to each other, and to themselves."""
    return {"records": [record("same", [(source, str(source)) for source in range(count)]) for _ in range(count)]}


def _odd(text: str) -> Document:
    """A document with this text wherever it has text."""
    whole = {
        "digest": text,
        "layers": [{"layer": 0, "createdAt": CREATED}],
        "inputs": [[{"selector": text, "link": 1}]],
    }
    listed = [{"blob": text, "parent": -1, text: text, "annotations": {text: text}}]
    return {"layers": listed, "records": [{**whole, text: 1}, {"digest": text, text: text}], text: text}


HOSTILE: Mapping[str, Callable[[int], bytes]] = {
    "nested document": lambda size: b'{"records":%s}' % _nested(size),
    "nested input": lambda size: b'{"records":[{"inputs":%s}]}' % _nested(size),
    "nested annotations": lambda size: b'{"layers":[{"annotations":%s}],"records":[{}]}' % _nested(size),
    "nested unknown field": lambda size: b'{"records":[{"digest":"x","more":%s}]}' % _nested(size),
    "long digest": lambda size: written(_odd("d" * 100 * size)),
    "ring": lambda size: written(_ring(size)),
    "all to all": lambda size: written(_full(1 + size // 40)),
    "equal records": lambda size: written({"records": [record("a")] * size + [record("b", [0, 1])] * size}),
    "equal links": lambda size: written({"records": [record("a"), record("b", [0] * size)]}),
    "empty inputs": lambda size: written({"records": [record("a"), {"digest": "b", "inputs": [[]] * size}]}),
    "deep chain": lambda size: written({"records": [record("a"), *(record("b", [index]) for index in range(size))]}),
    "diamonds": lambda size: written(
        {"records": [record("a"), *(record(str(index), [index, (index, "s")]) for index in range(size))]}
    ),
    "layers in a ring": lambda size: written({"layers": layers(*range(1, size), 0), "records": [record("a", layer=0)]}),
    "layers in a chain": lambda size: written(
        {"layers": layers(*range(-1, size - 1)), "records": [record("a", layer=size - 1)] * 3}
    ),
    "odd text": lambda size: written(_odd(ODD[size % len(ODD)])),
}
"""Documents that are meant to do harm, by what is wrong with them. Each takes a size."""


def hostile(largest: int = 1500) -> st.SearchStrategy[bytes]:
    """One of `HOSTILE`, with a random size."""
    return st.builds(lambda name, size: HOSTILE[name](size), st.sampled_from(sorted(HOSTILE)), st.integers(1, largest))
