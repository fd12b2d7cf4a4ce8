"""From a `CacheConfig` to the bytes that BuildKit would write."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson

from cachedoctor.cacheconfig.document import CacheConfig


def encode(config: CacheConfig) -> bytes:
    """The JSON of a cache config, byte for byte as BuildKit v0.8 to v0.32 write `v1.CacheConfig` with `encoding/json`.

    Zero values that are marked `omitempty` are left out (a `parent` of 0 among them), keys stand in the order of the
    Go structs, times are as they were read, and `<`, `>` and `&` are escaped.
    """
    document: dict[str, Any] = {}
    if config.blobs:
        document["layers"] = list(map(_layer, config.blobs, config.parents, config.layer_fields))
    if config.digests:
        document["records"] = _records(config)
    data = orjson.dumps(document)
    for letter in _ESCAPED if data.isascii() else _ESCAPED + _ESCAPED_OTHERS:
        encoded = letter.encode()
        if encoded in data:
            data = data.replace(encoded, f"\\u{ord(letter):04x}".encode())
    return data


_ESCAPED = "<>&"
_ESCAPED_OTHERS = "\u2028\u2029"


def _layer(blob: str, parent: int, fields: dict[str, Any] | None) -> dict[str, Any]:
    known: dict[str, Any] = {"blob": blob} if blob else {}
    if parent:
        known["parent"] = parent
    return known | fields if fields else known


def _records(config: CacheConfig) -> list[dict[str, Any]]:
    links = [
        {"selector": selector, "link": link} if selector else {"link": link}
        for selector, link in zip(config.selectors, config.links, strict=True)
    ]
    results = list(map(_result, config.results, config.result_created))
    inputs = [links[low:high] for low, high in pairwise(config.link_start)]
    records: list[dict[str, Any]] = [{} for _ in config.digests]
    for record, (low, high) in zip(records, pairwise(config.result_start), strict=True):
        if low < high:
            record["layers"] = results[low:high]
    for owner, layers, created in config.chains:
        one = {"layers": layers, "createdAt": created}
        records[owner].setdefault("chains", []).append({name: value for name, value in one.items() if value})
    for record, digest, (low, high) in zip(records, config.digests, pairwise(config.input_start), strict=True):
        if digest:
            record["digest"] = digest
        if low < high:
            record["inputs"] = inputs[low:high]
    return records


def _result(layer: int, created: str) -> dict[str, Any]:
    return {"layer": layer, "createdAt": created} if created else {"layer": layer}
