"""Cache configs of any size that look like those of BuildKit: chains, diamonds, and random ranks of records."""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

Record = dict[str, Any]


def digest(name: str) -> str:
    """The digest of a name."""
    return f"sha256:{sha256(name.encode()).hexdigest()}"


def config(records: list[Record]) -> bytes:
    """The document. Each record that has inputs gets a result; layers form chains of twenty."""
    layers: list[dict[str, Any]] = []
    for index, record in enumerate(records):
        if "inputs" in record:
            parent = len(layers) - 1 if len(layers) % 20 else -1
            record["layers"] = [{"layer": len(layers), "createdAt": "2026-11-24T08:14:45.23117993Z"}]
            layers.append({"blob": digest(f"layer {index}"), "parent": parent})
    return orjson.dumps({"layers": layers, "records": records})


def chain(count: int) -> bytes:
    """One root, and each record made from the one before."""
    links = [{"inputs": [[{"link": index}]]} for index in range(count - 1)]
    return config([{"digest": digest(f"record {index}"), **inputs} for index, inputs in enumerate([{}, *links])])


def diamonds(count: int) -> bytes:
    """What `COPY --from` makes: three records each. Every diamond doubles the paths."""
    records: list[Record] = [{"digest": digest("root")}]
    last = 0
    while len(records) < count:
        step = len(records)
        records.append({"digest": digest(f"run {step}"), "inputs": [[{"link": last}]]})
        records.append({"digest": digest(f"content {step}")})
        copied = [{"selector": digest(f"path {step % 7}"), "link": step}, {"link": step + 1}]
        records.append({"digest": digest(f"copy {step}"), "inputs": [[{"link": last}], copied]})
        last = step + 2
    return config(records[:count])


def layered(count: int, seed: int = 1) -> bytes:
    """Ranks of 500 records, with one or two inputs of one to three alternatives from the two ranks before."""
    choose = random.Random(seed)
    width = 500
    records: list[Record] = []
    for index in range(count):
        record: Record = {"digest": digest(f"record {index}")}
        if index >= width:
            low = max(0, index - index % width - 2 * width)
            high = index - index % width
            record["inputs"] = [
                [
                    {"link": choose.randrange(low, high)}
                    if not number
                    else {"selector": digest(f"path {choose.randrange(50)}"), "link": choose.randrange(low, high)}
                    for number in range(choose.randint(1, 3))
                ]
                for _ in range(choose.randint(1, 2))
            ]
        records.append(record)
    return config(records)


SHAPES: dict[str, Callable[[int], bytes]] = {"chain": chain, "diamonds": diamonds, "layered": layered}
