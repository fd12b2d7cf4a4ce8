"""The cache config in the types that its JSON has, and from these to columns.

msgspec decodes what BuildKit writes straight into structs, about three times as fast as a parser that makes a
dictionary of each object, in half the memory. It is stricter than Go's `encoding/json` (no nulls, no unknown fields):
`cachedoctor.cacheconfig.lenient` reads the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Annotated, Any

import orjson
from msgspec import UNSET, Meta, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder

from cachedoctor.cacheconfig.document import CacheConfig, nested_too_deep
from cachedoctor.cacheconfig.times import are_times

_ABSENT: Any = ()
"""An absent list: immutable, so that one can stand in all structs."""

Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Time = Annotated[str, Meta(min_length=1)] | None
"""Empty text is not a time, absent or null is Go's zero time."""


class Link(Struct, gc=False, forbid_unknown_fields=True):
    """An alternative of an input (BuildKit `v1.CacheInput`)."""

    selector: str = ""
    link: Int64 = 0


class Result(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """A result of a record (BuildKit `v1.CacheResult`)."""

    layer: Int64 = 0
    created_at: Time = None


class Chain(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """A result of a record in an inline cache (BuildKit `v1.ChainedResult`)."""

    layers: list[Int64] = _ABSENT
    created_at: Time = None


class Layer(Struct, gc=False, forbid_unknown_fields=True):
    """A layer (BuildKit `v1.CacheLayer`)."""

    blob: str = ""
    parent: Int64 = 0
    annotations: Raw | UnsetType = UNSET


class Record(Struct, gc=False, forbid_unknown_fields=True):
    """A record (BuildKit `v1.CacheRecord`)."""

    layers: list[Result] = _ABSENT
    chains: list[Chain] = _ABSENT
    digest: str = ""
    inputs: list[list[Link]] = _ABSENT


class Document(Struct, gc=False, forbid_unknown_fields=True):
    """A cache config (BuildKit `v1.CacheConfig`)."""

    layers: list[Layer] = _ABSENT
    records: list[Record] = _ABSENT


_DOCUMENT = Decoder(Document)
_RECORDS = Decoder(list[Record])
_REFUSALS = (MsgspecError, ValueError, RecursionError)
"""What msgspec and orjson raise for anything but JSON of these types."""


def decode(data: bytes) -> CacheConfig | None:
    """The columns of a cache config; `None` if the data is anything but that, or has a time that is not one."""
    try:
        document = _DOCUMENT.decode(data)
        fields = [
            None if layer.annotations is UNSET else {"annotations": orjson.loads(memoryview(layer.annotations))}
            for layer in document.layers
        ]
    except _REFUSALS:
        return None
    return None if any(map(nested_too_deep, filter(None, fields))) else columns(document, fields)


def decode_records(data: bytes, blobs: Sequence[str]) -> CacheConfig | None:
    """The same for the records of an inline cache; `blobs` are the layers of its image."""
    try:
        records = _RECORDS.decode(data)
    except _REFUSALS:
        return None
    return columns(Document(inline_layers(blobs), records), [None] * len(blobs))


def inline_layers(blobs: Sequence[str]) -> list[Layer]:
    """The layers of an image: each is the child of the one before."""
    return [Layer(blob, parent) for parent, blob in enumerate(blobs, -1)]


def columns(
    document: Document, layer_fields: list[dict[str, Any] | None], unknown_fields: tuple[str, ...] = ()
) -> CacheConfig | None:
    """The columns of a document, which is emptied to free its structs on the way; `None` for a bad time."""
    layers, records = document.layers, document.records
    document.layers = document.records = _ABSENT
    blobs = [layer.blob for layer in layers]
    parents = [layer.parent for layer in layers]
    del layers
    digests = [record.digest for record in records]
    chains = [
        (index, list(chained.layers), chained.created_at or "")
        for index, record in enumerate(records)
        for chained in record.chains
    ]
    results_of = [record.layers for record in records]
    inputs_of = [record.inputs for record in records]
    del records
    result_start = _offsets(results_of)
    result_structs = list(chain.from_iterable(results_of))
    del results_of
    results = [result.layer for result in result_structs]
    result_created = _shared([result.created_at or "" for result in result_structs])
    del result_structs
    input_start = _offsets(inputs_of)
    inputs = list(chain.from_iterable(inputs_of))
    del inputs_of
    link_start = _offsets(inputs)
    link_structs = list(chain.from_iterable(inputs))
    del inputs
    links = [link.link for link in link_structs]
    selectors = _shared([link.selector for link in link_structs])
    del link_structs
    if not are_times({*result_created, *(created for _, _, created in chains)}):
        return None
    return CacheConfig(
        blobs=blobs,
        parents=parents,
        digests=digests,
        input_start=input_start,
        link_start=link_start,
        links=links,
        selectors=selectors,
        result_start=result_start,
        results=results,
        result_created=result_created,
        chains=chains,
        layer_fields=layer_fields,
        unknown_fields=unknown_fields,
    )


def _offsets(lists: Sequence[Sequence[object]]) -> list[int]:
    return [0, *accumulate(map(len, lists))]


def _shared(texts: list[str]) -> list[str]:
    """The same texts, equal ones as one object: selectors and times repeat, and take most of the memory."""
    seen: dict[str, str] = {}
    return list(map(seen.setdefault, texts, texts))
