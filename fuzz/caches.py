"""Fuzz targets for caches: what must hold for any bytes."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import orjson

from cachedoctor.analysis.analyze import analyze
from cachedoctor.cacheconfig import CacheConfig, decode, encode
from cachedoctor.errors import InputError, LimitError
from cachedoctor.graph.merge import fixpoint
from cachedoctor.graph.records import reachable
from cachedoctor.repairs.repair import Options, Repaired, repair
from cachedoctor.report.page import Style
from cachedoctor.sources import CacheDocument, load, parse
from cachedoctor.sources.content import stream_documents
from cachedoctor.sources.layout import NowhereStore
from fuzz import containers
from fuzz.checks import check_report, one_of
from tests import independent
from tests.graph import reference
from tests.graph.strategies import graph_of
from tests.graph.strategies import shaped as shaped_documents
from tests.report.rendered import OF_ANALYSES, OF_REPAIRS, rendered

OPTIONS = (
    *(Options(), Options(), Options(minimal=True), Options(max_calls=40), Options(prefer="content", minimal=True)),
    *(Options(max_bytes=600), Options(max_bytes=600, drop_oldest=True), Options(max_bytes=200, drop_oldest=True)),
)
LARGEST_PLAIN = 30
"""Most records and layers for which the plain model is run: it repeatedly compares all pairs."""


def config(data: bytes) -> None:
    """A config is refused with `InputError`, or is the same after writing and reading it back; reports are valid."""
    documents = _read(data)
    for document in documents:
        with suppress(InputError):
            assert decode(encode(document.config)) == replace(document.config, unknown_fields=())
    _judge(documents, data)


def container(data: bytes) -> None:
    """A layout gives the same cache or the same refusal as a folder, a tar and a stream; reports are valid.

    Bytes that do not describe a layout (see `fuzz.containers`) are read as they are, with and without seeking.
    """
    layout = containers.read(data)
    if layout is None:
        documents = _same(
            lambda: load("-", stdin=BytesIO(data)),
            lambda: stream_documents(BytesIO(data), NowhereStore, None, None, can_seek=True),
        )
        return _judge(documents, data)
    with tempfile.TemporaryDirectory(prefix="cachedoctor-fuzz-") as name:
        folder = Path(name, "layout")
        layout.write(folder)
        tag, platform = layout.tag, layout.platform
        documents = _same(
            lambda: load(str(folder), tag=tag, platform=platform),
            lambda: load("-", stdin=BytesIO(layout.tar()), tag=tag, platform=platform),
            lambda: load("-", stdin=BytesIO(layout.packed()), tag=tag, platform=platform),
        )
        if documents and zlib.crc32(data) % 4 == 0:
            _rewritten(str(folder), tag, platform)
    return _judge(documents, data)


def repaired(data: bytes) -> None:
    """One config, or a list of several, is repaired as the proof promises; see `check_repair`."""
    with suppress(ValueError, RecursionError):
        parsed = json.loads(data)
        if isinstance(parsed, list):
            parts = [json.dumps(config).encode() for config in parsed[:4]]
            documents = [document for part in parts for document in _read(part)]
            return _repaired(documents, data)
    return _repaired(_read(data), data)


def shaped(data: bytes) -> None:
    """The same for configs built from the bytes, so that all of them can be read and most of them loop.

    Their records merge as in the reference, which repeatedly compares all pairs.
    """
    configs = shaped_documents(data, cyclic=True, empty=True, most_records=10)
    graph = graph_of(configs)
    assert fixpoint(graph, reachable(graph).order).representative == reference.fixpoint(reference.join(configs))
    _repaired([document for config in configs for document in _read(orjson.dumps(config))], data)


def _read(data: bytes) -> list[CacheDocument]:
    with suppress(InputError):
        return load("-", stdin=BytesIO(data))
    return []


def _same(*readers: Callable[[], list[CacheDocument]]) -> list[CacheDocument]:
    """What all readers return; nothing if all refuse the input."""
    results: list[list[CacheDocument] | bool] = []
    for read in readers:
        try:
            results.append([replace(document, source="-") for document in read()])
        except InputError as error:
            results.append(error.missing)
    first = results[0]
    assert all(result == first for result in results), results
    return first if isinstance(first, list) else []


def _judge(documents: Sequence[CacheDocument], data: bytes) -> None:
    if documents:
        with suppress(InputError):
            check_reports(documents, one_of(OF_ANALYSES, data))


def check_reports(documents: Sequence[CacheDocument], *formats: str) -> None:
    """Analyze, and check the reports in these formats with `check_report`. Raises `InputError`."""
    analysis = analyze(documents)
    for format in formats:
        check_report(format, rendered(analysis, format, Style(verbosity=1)))


def _rewritten(folder: str, tag: str | None, platform: str | None) -> None:
    """Repaired in its own layout, the cache can be read by its new tag and has lost nothing."""
    with suppress(InputError, LimitError):
        documents = load(folder, tag=tag, platform=platform)
        repaired = repair(documents, Options())
        writer = parse(folder).in_place(documents[0], "repaired").writer(documents, force=True)
        writer.write(repaired.config, repaired.data, repaired.check)
        again = repair(load(f"oci:{folder}:repaired"), Options())
        assert (again.lost.records, again.lost.results) == (0, 0)
        assert again.data == repaired.data


def _repaired(documents: list[CacheDocument], data: bytes) -> None:
    choice = zlib.crc32(data)
    if documents and choice & 0x300 == 0x300:
        documents = [replace(document, blobs=frozenset(document.config.blobs[::2])) for document in documents]
    if documents:
        with suppress(InputError, LimitError):
            check_repair(documents, one_of(OPTIONS, data))


def check_repair(documents: Sequence[CacheDocument], options: Options) -> None:
    """Repair: the proof holds, an independent importer accepts the cache, and a second repair changes nothing.

    Raises `InputError` and `LimitError` as `repair` does.
    """
    repaired = repair(documents, options)
    format = one_of(OF_REPAIRS, repaired.data)
    check_report(format, rendered(repaired, format))
    again = repair([replace(documents[0], config=decode(repaired.data), blobs=None)], Options())
    assert (again.lost.records, again.lost.results, again.after.loops) == (0, 0, 0)
    assert again.data == repaired.data
    analyze([replace(documents[0], config=again.config, blobs=None)])
    _import(documents, repaired)


def _import(documents: Sequence[CacheDocument], repaired: Repaired) -> None:
    """Compare it with a model that shares no code with the package."""
    configs = [document.config for document in documents]
    if sum(len(config.digests) + len(config.blobs) for config in configs) > LARGEST_PLAIN:
        return
    out = _plain(repaired.config)
    assert independent.refusals(out) == []
    assert not independent.has_loop(out)
    assert len(independent.leaves(out)) <= 1
    assert not independent.lost_on_import(out, Random(0))
    out = independent.without_joining(out)
    before = [independent.without_joining(_plain(config)) for config in configs]
    # The model follows invalid layer links too, and does not know about manifests.
    comparable = all(document.blobs is None for document in documents)
    comparable &= not any({"layer", "result"}.intersection(independent.refusals(document)) for document in before)
    if comparable and not repaired.removed.dropped_records:
        assert independent.contents(before) == independent.contents([out])


def _plain(config: CacheConfig) -> dict[str, Any]:
    parsed = independent.parse(encode(config))
    return {
        "layers": [{"blob": "", **layer} for layer in parsed.get("layers", [])],
        "records": [{"digest": "", **record} for record in parsed.get("records", [])],
    }
