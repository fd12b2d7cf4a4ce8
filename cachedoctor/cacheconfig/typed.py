"""The cache config in the types that its JSON has: from JSON to columns, and back.

msgspec decodes what BuildKit writes straight into structs, about three times as fast as a parser that makes a
dictionary of each object, in half the memory. It is stricter than Go's `encoding/json` (no nulls, no unknown fields):
`cachedoctor.cacheconfig.lenient` reads the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Annotated, Any

import orjson
from msgspec import UNSET, Meta, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder, Encoder

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


class _WrittenLink(Struct, gc=False, omit_defaults=True):
    selector: str | None = None
    link: int | None = None


class _WrittenResult(Struct, gc=False, omit_defaults=True, rename="camel"):
    layer: int | None = None
    created_at: str | None = None


class _WrittenChain(Struct, gc=False, omit_defaults=True, rename="camel"):
    layers: list[int] = _ABSENT
    created_at: str | None = None


class _WrittenLayer(Struct, gc=False, omit_defaults=True):
    blob: str | None = None
    parent: int | None = None


class _WrittenRecord(Struct, gc=False, omit_defaults=True):
    layers: list[_WrittenResult] = _ABSENT
    chains: list[_WrittenChain] = _ABSENT
    digest: str | None = None
    inputs: list[list[_WrittenLink]] = _ABSENT


class _WrittenDocument(Struct, gc=False, omit_defaults=True):
    layers: list[_WrittenLayer | Raw] = _ABSENT
    records: list[_WrittenRecord] = _ABSENT


def encode(config: CacheConfig) -> bytes:
    """The JSON of these columns, without escapes that JSON does not need.

    Fields are those of the Go structs, in their order; what is marked `omitempty` there is left out if it is zero.
    """
    links = list(map(_WrittenLink, _or_none(config.selectors), config.links))
    inputs = [links[low:high] for low, high in pairwise(config.link_start)]
    results = list(map(_WrittenResult, config.results, _or_none(config.result_created)))
    records = [
        _WrittenRecord(results[first:last] or _ABSENT, _ABSENT, digest or None, inputs[low:high] or _ABSENT)
        for digest, (first, last), (low, high) in zip(
            config.digests, pairwise(config.result_start), pairwise(config.input_start), strict=True
        )
    ]
    for owner, layers, created in config.chains:
        chain = _WrittenChain(layers or _ABSENT, created or None)
        records[owner].chains = [*records[owner].chains, chain]
    layers_and_fields = zip(config.blobs, config.parents, config.layer_fields, strict=True)
    document = _WrittenDocument([_written(*layer) for layer in layers_and_fields] or _ABSENT, records or _ABSENT)
    return _ENCODER.encode(document)


_ENCODER = Encoder()


def _or_none(texts: Sequence[str]) -> list[str | None]:
    return [text or None for text in texts]


def _written(blob: str, parent: int, fields: dict[str, Any] | None) -> _WrittenLayer | Raw:
    layer = _WrittenLayer(blob or None, parent or None)
    if not fields:
        return layer
    # orjson writes floats as Go does.
    known = _ENCODER.encode(layer)[:-1]
    others = orjson.dumps(fields)[1:]
    return Raw(known + (b"," if len(known) > 1 else b"") + others)
