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
"""Text that a terminal, a pipeline or a format could take for a command or for markup."""
_TOO_LARGE = "a number that json cannot write"


@st.composite
def valid(draw: st.DrawFn, *, most_records: int = 8) -> Document:
    """A config that BuildKit imports: without cycles and empty inputs, with layers, results and chains."""
    config = draw(documents(most_records=most_records, most_documents=1))[0]
    count = draw(st.integers(0, 4))
    config["layers"] = layers(*(draw(st.integers(-1, index - 1)) for index in range(count)))
    for item in config["records"]:
        item["digest"] = digest(item["digest"])
        if count and draw(st.booleans()):
            item["layers"] = [{"layer": draw(st.integers(0, count - 1)), "createdAt": CREATED}]
        if count and draw(st.integers(0, 5)) == 0:
            item["chains"] = [{"layers": draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))}]
    return config


@st.composite
def nearly_valid(draw: st.DrawFn) -> bytes:
    """A valid config with one fault from `changes`."""
    config = draw(valid())
    parent, step = draw(st.sampled_from([*slots(config)]))
    change = draw(st.sampled_from(sorted(changes(parent, step))))
    changes(parent, step)[change]()
    return written(config)


def changes(parent: Any, step: int | str) -> Mapping[str, Callable[[], object]]:
    """The faults that can be put in one slot of a document, by name; calling one changes the document."""
    value = parent[step]

    def put(other: object) -> Callable[[], object]:
        return lambda: parent.__setitem__(step, other)

    faults: dict[str, Callable[[], object]] = {
        "missing": lambda: parent.pop(step),
        "null": put(None),
        "of a wrong type": put({"x": 1} if isinstance(value, list) else [value]),
        "not a number": put(float("nan")),
        "larger than a float": put(_TOO_LARGE),
    }
    if isinstance(parent, list) and isinstance(step, int):
        faults["duplicated"] = lambda: parent.insert(step, copy.deepcopy(value))
    if isinstance(value, int):
        faults |= {"one too large": put(value + 1), "one too small": put(value - 1), "negative": put(-2)}
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
    """The document as JSON, including a number that JSON allows and Python cannot write."""
    return json.dumps(document).replace(json.dumps(_TOO_LARGE), "1e400").encode()


def slots(value: Any) -> Iterator[tuple[Any, int | str]]:
    """Every slot in a document: an object or array, and a key or index in it."""
    steps = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    for step in steps:
        yield value, step
        yield from slots(value[step])


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def _ring(count: int) -> Document:
    """A ring of records, and a root that leads into it."""
    ring = [record("same", [(1 + (index - 1) % count, ""), 0]) for index in range(count)]
    return {"records": [record("root"), *ring]}


def _full(count: int) -> Document:
    """Records with one digest, each linked to all of them."""
    return {"records": [record("same", [(source, str(source)) for source in range(count)]) for _ in range(count)]}


def _odd(text: str) -> Document:
    """A document with this text in every string."""
    linked = {
        "digest": text,
        "layers": [{"layer": 0, "createdAt": CREATED}],
        "inputs": [[{"selector": text, "link": 1}]],
    }
    listed = [{"blob": text, "parent": -1, text: text, "annotations": {text: text}}]
    return {"layers": listed, "records": [{**linked, text: 1}, {"digest": text, text: text}], text: text}


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
"""Hostile documents of a given size, by name."""


def hostile(largest: int = 1500) -> st.SearchStrategy[bytes]:
    """One of `HOSTILE`, of any size up to `largest`."""
    return st.builds(lambda name, size: HOSTILE[name](size), st.sampled_from(sorted(HOSTILE)), st.integers(1, largest))
