"""From a `CacheConfig` to the bytes that BuildKit would write."""

from __future__ import annotations

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
        document["layers"] = [_layer(config, layer) for layer in range(len(config.blobs))]
    if config.digests:
        chains: dict[int, list[dict[str, Any]]] = {}
        for record, layers, created in config.chains:
            chains.setdefault(record, []).append(_present(layers=layers) | _created(created))
        document["records"] = [_record(config, record, chains.get(record, [])) for record in range(len(config.digests))]
    data = orjson.dumps(document)
    for letter, escape in _ESCAPED:
        if letter in data:
            data = data.replace(letter, escape)
    return data


_ESCAPED = tuple((letter.encode(), f"\\u{ord(letter):04x}".encode()) for letter in "<>&\u2028\u2029")


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _created(text: str) -> dict[str, str]:
    return {"createdAt": text} if text else {}


def _layer(config: CacheConfig, layer: int) -> dict[str, Any]:
    known = _present(blob=config.blobs[layer], parent=config.parents[layer])
    return known | (config.layer_fields[layer] or {})


def _record(config: CacheConfig, record: int, chains: list[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {"layer": config.results[index]} | _created(config.result_created[index])
        for index in range(config.result_start[record], config.result_start[record + 1])
    ]
    inputs = [
        [
            _present(selector=config.selectors[index]) | {"link": config.links[index]}
            for index in range(config.link_start[slot], config.link_start[slot + 1])
        ]
        for slot in range(config.input_start[record], config.input_start[record + 1])
    ]
    return _present(layers=results, chains=chains, digest=config.digests[record], inputs=inputs)
