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
        columns = (config.blobs, config.parents, config.layer_fields)
        document["layers"] = [
            _present(blob=blob, parent=parent) | (fields or {}) for blob, parent, fields in zip(*columns, strict=True)
        ]
    if config.digests:
        document["records"] = _records(config)
    data = orjson.dumps(document)
    for letter, escape in _ESCAPED:
        if letter in data:
            data = data.replace(letter, escape)
    return data


_ESCAPED = tuple((letter.encode(), f"\\u{ord(letter):04x}".encode()) for letter in "<>&\u2028\u2029")


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


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
        records[owner].setdefault("chains", []).append(_present(layers=layers, createdAt=created))
    for record, digest, (low, high) in zip(records, config.digests, pairwise(config.input_start), strict=True):
        if digest:
            record["digest"] = digest
        if low < high:
            record["inputs"] = inputs[low:high]
    return records


def _result(layer: int, created: str) -> dict[str, Any]:
    return {"layer": layer, "createdAt": created} if created else {"layer": layer}
