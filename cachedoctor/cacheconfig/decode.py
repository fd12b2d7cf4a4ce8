"""From JSON to a `CacheConfig`, by the rules of Go's `encoding/json` with `omitempty`."""

from __future__ import annotations

from collections.abc import Sequence

from cachedoctor.cacheconfig.document import CacheConfig
from cachedoctor.errors import InputError
from cachedoctor.io.json import parse


def decode(data: bytes) -> CacheConfig:
    """Decode the JSON of a cache config.

    Absent and `null` fields take Go's zero value, so an absent `parent` is layer 0 and an absent `link` record 0
    (BuildKit v0.8 to v0.32, `cache/remotecache/v1.CacheConfig`). Indices are not checked against the document here.

    Raises `InputError` with the byte at which it is not JSON, or the JSON path of the first value of a wrong type.
    """
    return decode_strictly(data) or decode_parsed(parse(data))


def decode_strictly(data: bytes) -> CacheConfig | None:
    """The same, but only for JSON without nulls and unknown fields, as BuildKit writes it. `None` for anything else."""
    from cachedoctor.cacheconfig import typed

    return typed.decode(data)


def decode_parsed(document: object) -> CacheConfig:
    """The same for JSON that is parsed already. `document` is emptied on the way to save memory."""
    from cachedoctor.cacheconfig.lenient import Reader

    return Reader().document(document, "$")


def decode_inline(data: bytes, blobs: Sequence[str], where: str = "$") -> CacheConfig:
    """Decode the JSON of the records of an inline cache: `moby.buildkit.cache.v0` of an image config.

    `blobs` are the layers of the image, each the child of the one before it (BuildKit `cache/remotecache/inline` and
    `cache/remotecache/import.go`, `importInlineCache`). Raises the same as `decode`; `where` is the JSON path of the
    records in the image config.
    """
    from cachedoctor.cacheconfig import lenient, typed

    config = typed.decode_records(data, blobs)
    if config is not None:
        return config
    try:
        records = parse(data)
    except InputError as error:
        error.where = f"{where}: {error.where}"
        raise
    return lenient.Reader().inline(records, blobs, where)
