"""The types of a cache config in JSON, and the way from JSON to columns and back.

msgspec decodes JSON straight into these structs. That takes a third of the time and half the memory of a parser that
creates a dictionary for each object. It is stricter than Go's `encoding/json` and accepts neither nulls nor unknown
fields. `cachedoctor.cacheconfig.lenient` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from msgspec import UNSET, Meta, MsgspecError, Raw, Struct, UnsetType
from msgspec.json import Decoder, Encoder

from cachedoctor.cacheconfig.document import CacheConfig, are_times, nested_too_deep

_ABSENT: Any = ()
"""An absent list: one immutable object for all structs."""

Int64 = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Time = Annotated[str, Meta(min_length=1)] | None
"""Go reads an absent time and null as the zero time, but refuses an empty string."""


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
"""What msgspec and orjson raise if the data is not JSON, or not of these types."""


def decode(data: bytes) -> CacheConfig | None:
    """The columns of a cache config; `None` if the data does not have exactly these types, or has an invalid time."""
    try:
        document = _DOCUMENT.decode(data)
        fields = [_fields(layer.annotations) for layer in document.layers]
    except _REFUSALS:
        return None
    return None if any(map(nested_too_deep, filter(None, fields))) else columns(document, fields)


def _fields(annotations: Raw | UnsetType) -> dict[str, Any] | None:
    if annotations is UNSET:
        return None
    import orjson

    return {"annotations": orjson.loads(memoryview(annotations))}


def decode_records(data: bytes, blobs: Sequence[str]) -> CacheConfig | None:
    """The same for the records of an inline cache. `blobs` are the layers of its image."""
    try:
        records = _RECORDS.decode(data)
    except _REFUSALS:
        return None
    return columns(Document(inline_layers(blobs), records), [None] * len(blobs))


def inline_layers(blobs: Sequence[str]) -> list[Layer]:
    """The layers of an image: each is the child of the one before it."""
    return [Layer(blob, parent) for parent, blob in enumerate(blobs, -1)]


def columns(
    document: Document, layer_fields: list[dict[str, Any] | None], unknown_fields: tuple[str, ...] = ()
) -> CacheConfig | None:
    """The columns of a document; `None` if a time is not valid."""
    records = document.records
    result_start, results, result_created = _results(records)
    input_start, link_start, links, selectors = _links(records)
    chains = [
        (index, list(chained.layers), chained.created_at or "")
        for index, record in enumerate(records)
        for chained in record.chains
    ]
    if not are_times({*result_created, *(created for _, _, created in chains)}):
        return None
    return CacheConfig(
        blobs=[layer.blob for layer in document.layers],
        parents=[layer.parent for layer in document.layers],
        digests=[record.digest for record in records],
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


def _results(records: Sequence[Record]) -> tuple[list[int], list[int], list[str]]:
    """The columns of results. Equal times become one object, since they would take most of the memory."""
    start, layers = [0], []
    created: list[str] = []
    shared: dict[str, str] = {}
    for record in records:
        for result in record.layers:
            layers.append(result.layer)
            time = result.created_at or ""
            created.append(shared.setdefault(time, time))
        start.append(len(layers))
    return start, layers, created


def _links(records: Sequence[Record]) -> tuple[list[int], list[int], list[int], list[str]]:
    """The columns of inputs and links. Equal selectors become one object.

    A single loop is faster than one per column: it loads each struct into the processor's cache only once.
    """
    input_start, link_start, links = [0], [0], []
    selectors: list[str] = []
    shared: dict[str, str] = {}
    for record in records:
        for alternatives in record.inputs:
            for link in alternatives:
                links.append(link.link)
                selector = link.selector
                selectors.append(shared.setdefault(selector, selector) if selector else "")
            link_start.append(len(links))
        input_start.append(len(link_start) - 1)
    return input_start, link_start, links, selectors


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
    """The JSON of these columns, with only the escapes that JSON requires.

    Fields have the order of the Go structs. Those that are marked `omitempty` there are left out if they are zero.
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


def encode_text(text: str) -> bytes:
    """A text as it is in that JSON."""
    return _ENCODER.encode(text)


_ENCODER = Encoder()


def _or_none(texts: Sequence[str]) -> list[str | None]:
    return [text or None for text in texts]


def _written(blob: str, parent: int, fields: dict[str, Any] | None) -> _WrittenLayer | Raw:
    layer = _WrittenLayer(blob or None, parent or None)
    if not fields:
        return layer
    import orjson

    # It writes floats as Go does.
    known = _ENCODER.encode(layer)[:-1]
    others = orjson.dumps(fields)[1:]
    return Raw(known + (b"," if len(known) > 1 else b"") + others)
