"""Caches in which every digest, selector and date is replaced by a stand-in, so that they can be shown to anybody.

Records, links, inputs, results and layers stay as they are, in their order, right or wrong. What is equal stays equal,
what differs stays different, and what sorts before something else still does, so that BuildKit and cachedoctor count
the same.
"""

from __future__ import annotations

import base64
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import orjson

from cachedoctor.buildkit import IMAGE_CONFIG, IMAGE_MANIFEST, INLINE_CACHE, LAYER, LAYER_TYPES
from cachedoctor.cacheconfig import CacheConfig, encode, instant
from cachedoctor.graph.joining import digest_of_joining, joining_records
from cachedoctor.sources import CacheDocument
from cachedoctor.sources.descriptors import is_digest, new_manifest
from cachedoctor.sources.document import digest_of

_PREFIXES = ("random:", "sha256:", "sha512:")
"""What digests begin with that BuildKit tells apart, sorted (`cache/remotecache/v1.(*CacheChains).Add`)."""
_LEADS = ("0", "s0", "sha3", "t")
"""What other stand-ins begin with, so that they sort before, between or after these prefixes as their texts do."""
_ZERO_TIME = "0001-01-01T00:00:00Z"
"""How Go writes that there is no time."""
_OLDEST = datetime(2000, 1, 1)
_SECONDS = len("2000-01-01T00:00:00")


class Shareable(NamedTuple):
    """One cache as files."""

    entry: str
    """The name of the file to analyze: the manifest if there is one, otherwise the config."""
    files: Mapping[str, bytes]
    """The content of each file, by its path below one folder."""


class StandIns:
    """The stand-ins for all texts of some documents.

    Digests and selectors are numbered in sorted order, because BuildKit's exporter sorts records and layers by them
    (`cache/remotecache/v1.sortConfig`). A stand-in has the length of the text in bytes of UTF-8, if its number fits.
    The empty text stays empty.
    """

    def __init__(self, documents: Sequence[CacheDocument]) -> None:
        configs = [document.config for document in documents]
        columns = chain.from_iterable((config.digests, config.selectors, config.blobs) for config in configs)
        texts = sorted(set(chain(chain.from_iterable(columns), *map(listed, documents))) - {""})
        digits = len(f"{len(texts):x}")
        self._texts = {text: _stand_in(text, f"{number:0{digits}x}") for number, text in enumerate(texts, 1)}
        self._texts[""] = ""
        self._times = _times(chain.from_iterable(map(_created, configs)))

    def of(self, texts: Iterable[str]) -> list[str]:
        """The stand-ins for digests or selectors."""
        return list(map(self._texts.__getitem__, texts))

    def config(self, config: CacheConfig) -> CacheConfig:
        """The same config with stand-ins, without annotations, and without fields that BuildKit does not have.

        Layers that have annotations have empty ones, since that tells the backends apart. A joining record gets the
        digest that joins the stand-ins of its leaves.
        """
        digests = self.of(config.digests)
        for joining in joining_records(config):
            slot = config.input_start[joining]
            joined = config.links[config.link_start[slot] : config.link_start[slot + 1]]
            digests[joining] = digest_of_joining(digests[leaf] for leaf in joined)
        return replace(
            config,
            blobs=self.of(config.blobs),
            digests=digests,
            selectors=self.of(config.selectors),
            result_created=list(map(self._times.__getitem__, config.result_created)),
            chains=[(record, layers, self._times[created]) for record, layers, created in config.chains],
            layer_fields=[
                {"annotations": {}} if fields and "annotations" in fields else None for fields in config.layer_fields
            ],
            unknown_fields=(),
        )


def shareable(documents: Sequence[CacheDocument]) -> list[Shareable]:
    """The documents as files to be shown to anybody, in the same order.

    Configs and manifests are filled with blanks to the bytes of the originals, since BuildKit limits these. A manifest
    has the config beside it, as `sources.layout.BesideStore` finds it.
    """
    stand_ins = StandIns(documents)
    return [_shareable(number, document, stand_ins) for number, document in enumerate(documents, 1)]


def listed(document: CacheDocument) -> list[str]:
    """The blobs that the manifest of a document lists, in its order if that is known, without those that are missing.

    The blobs themselves are not shared, so one that is missing is told by not listing it.
    """
    blobs = document.usable_blobs or frozenset()
    ordered = [blob for blob in document.descriptors if blob in blobs]
    return [*ordered, *sorted(blobs.difference(ordered))]


def _shareable(number: int, document: CacheDocument, stand_ins: StandIns) -> Shareable:
    config = stand_ins.config(document.config)
    inline = document.kind == "inline"
    data = _image_config(config, document.size) if inline else _written(config).ljust(document.written_size)
    name = f"config-{number}.json"
    if document.blobs is None:
        return Shareable(name, {name: data})
    layers = [
        _descriptor(document, blob, stand_ins) for blob in (document.config.blobs if inline else listed(document))
    ]
    manifest = _image_manifest(layers, data) if inline else new_manifest(document.kind, layers, data)
    entry = f"manifest-{number}.json"
    beside = f"blobs/sha256/{digest_of(data).removeprefix('sha256:')}"
    return Shareable(
        entry, {name: data, entry: orjson.dumps(manifest).ljust(document.manifest_size or 0), beside: data}
    )


def _written(config: CacheConfig) -> bytes:
    """The JSON of a config; an empty one is still recognized as one."""
    return encode(config) if config.digests or config.blobs else b'{"records":[]}'


def _image_config(config: CacheConfig, size: int) -> bytes:
    """The config of an image with an inline cache, whose records have at least `size` bytes."""
    alone = encode(replace(config, blobs=[], parents=[], layer_fields=[]))
    records = alone.removeprefix(b'{"records":')[:-1] if config.digests else b"[]"
    return orjson.dumps(
        {
            "rootfs": {"type": "layers", "diff_ids": config.blobs},
            INLINE_CACHE: base64.b64encode(records.ljust(size)).decode(),
        }
    )


def _image_manifest(layers: Sequence[Mapping[str, Any]], config: bytes) -> dict[str, Any]:
    descriptor = {"mediaType": IMAGE_CONFIG, "digest": digest_of(config), "size": len(config)}
    return {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": descriptor, "layers": layers}


def _descriptor(document: CacheDocument, blob: str, stand_ins: StandIns) -> dict[str, Any]:
    """A descriptor that says no more of a blob than how it is compressed; its size could identify it."""
    media_type = document.descriptors.get(blob, {}).get("mediaType")
    known = isinstance(media_type, str) and media_type in LAYER_TYPES
    return {"mediaType": media_type if known else LAYER, "digest": stand_ins.of([blob])[0], "size": 0}


def _stand_in(text: str, number: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if text.startswith(prefix)), _LEADS[bisect(_PREFIXES, text)])
    # An invalid digest stays one: "z" is not a hexadecimal digit.
    fill = "0" if is_digest(text) else "z"
    return f"{prefix}{number}".ljust(len(text.encode("utf-8", "surrogatepass")), fill)


def _created(config: CacheConfig) -> Iterable[str]:
    return chain(config.result_created, (created for _, _, created in config.chains))


def _times(texts: Iterable[str]) -> dict[str, str]:
    """A stand-in for each time: a second apart, in the same order, of the same length, and in UTC."""
    distinct = set(texts)
    kept = {text: text for text in ("", _ZERO_TIME)}
    others = distinct.difference(kept)
    number = {moment: index for index, moment in enumerate(sorted(set(map(instant, others))))}
    return kept | {text: _time(text, number[instant(text)]) for text in others}


def _time(text: str, seconds: int) -> str:
    zone = "Z" if text.endswith("Z") else "+00:00"
    fraction = text[_SECONDS : -len(zone)]
    digits = "1" * (len(fraction) - 1)
    return f"{(_OLDEST + timedelta(seconds=seconds)).isoformat()}{fraction[:1]}{digits}{zone}"
