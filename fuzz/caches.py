"""What holds for caches, whatever their bytes are."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from cachedoctor.analysis.analyze import analyze
from cachedoctor.cacheconfig import CacheConfig, decode, encode
from cachedoctor.errors import InputError, LimitError
from cachedoctor.graph.merge import fixpoint
from cachedoctor.graph.reachable import reachable
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
"""Records and layers up to which the plain model, which compares all pairs over and over, is asked."""


def config(data: bytes) -> None:
    """A cache config is refused by `InputError`, or read, written, and read again as the same; reports are sound."""
    documents = _read(data)
    for one in documents:
        with suppress(InputError):
            assert decode(encode(one.config)) == replace(one.config, unknown_fields=())
    _judge(documents, data)


def container(data: bytes) -> None:
    """A layout is the same cache, or refused alike, as a folder, a tar, and a stream; reports are sound.

    Bytes that describe no layout (`fuzz.containers`) are read as they are, with and without seeking.
    """
    made = containers.read(data)
    if made is None:
        documents = _same(
            lambda: load("-", stdin=BytesIO(data)),
            lambda: stream_documents(BytesIO(data), NowhereStore(), None, None, can_seek=True),
        )
        return _judge(documents, data)
    with tempfile.TemporaryDirectory(prefix="cachedoctor-fuzz-") as name:
        folder = Path(name, "layout")
        made.write(folder)
        tag, platform = made.tag, made.platform
        documents = _same(
            lambda: load(str(folder), tag=tag, platform=platform),
            lambda: load("-", stdin=BytesIO(made.tar()), tag=tag, platform=platform),
            lambda: load("-", stdin=BytesIO(made.packed()), tag=tag, platform=platform),
        )
        if documents and zlib.crc32(data) % 4 == 0:
            _rewritten(str(folder), tag, platform)
    return _judge(documents, data)


def mended(data: bytes) -> None:
    """One config, or a list of several, is repaired as the proof says; see `check_repair`."""
    with suppress(ValueError, RecursionError):
        parsed = json.loads(data)
        if isinstance(parsed, list):
            parts = [json.dumps(one).encode() for one in parsed[:4]]
            documents = [one for part in parts for one in _read(part)]
            return _mended(documents, data)
    return _mended(_read(data), data)


def shaped(data: bytes) -> None:
    """The same for configs that are made of the bytes, so that all of them are read and most of them loop.

    Their records merge as they do where all pairs are compared over and over.
    """
    made = shaped_documents(data, cyclic=True, empty=True, most_records=10)
    graph = graph_of(made)
    assert fixpoint(graph, reachable(graph).order).representative == reference.fixpoint(reference.join(made))
    _mended([one for document in made for one in _read(orjson.dumps(document))], data)


def _read(data: bytes) -> list[CacheDocument]:
    with suppress(InputError):
        return load("-", stdin=BytesIO(data))
    return []


def _same(*readers: Callable[[], list[CacheDocument]]) -> list[CacheDocument]:
    """What all readers give, nothing where all refuse."""
    found: list[list[CacheDocument] | bool] = []
    for read in readers:
        try:
            found.append([replace(one, source="-") for one in read()])
        except InputError as error:
            found.append(error.missing)
    first = found[0]
    assert all(one == first for one in found), found
    return first if isinstance(first, list) else []


def _judge(documents: Sequence[CacheDocument], data: bytes) -> None:
    if documents:
        with suppress(InputError):
            check_reports(documents, one_of(OF_ANALYSES, data))


def check_reports(documents: Sequence[CacheDocument], *formats: str) -> None:
    """Analyze, and hold the reports in these formats against what holds for every report. Raises `InputError`."""
    found = analyze(documents)
    for format in formats:
        check_report(format, rendered(found, format, Style(verbosity=1)))


def _rewritten(folder: str, tag: str | None, platform: str | None) -> None:
    """Repaired in its own layout, it is there under its tag, and as good as it was."""
    with suppress(InputError, LimitError):
        documents = load(folder, tag=tag, platform=platform)
        made = repair(documents, Options())
        writer = parse(folder).in_place(documents[0], "repaired").writer(documents, force=True)
        writer.write(made.config, made.data, made.check)
        again = repair(load(f"oci:{folder}:repaired"), Options())
        assert (again.lost.records, again.lost.results) == (0, 0)
        assert again.data == made.data


def _mended(documents: list[CacheDocument], data: bytes) -> None:
    choice = zlib.crc32(data)
    if documents and choice & 0x300 == 0x300:
        documents = [replace(one, blobs=frozenset(one.config.blobs[::2])) for one in documents]
    if documents:
        with suppress(InputError, LimitError):
            check_repair(documents, one_of(OPTIONS, data))


def check_repair(documents: Sequence[CacheDocument], options: Options) -> None:
    """Repair: the proof holds, an importer of its own takes the cache, and repairing once more changes nothing.

    Raises `InputError` and `LimitError` as `repair` does.
    """
    made = repair(documents, options)
    format = one_of(OF_REPAIRS, made.data)
    check_report(format, rendered(made, format))
    again = repair([replace(documents[0], config=decode(made.data), blobs=None)], Options())
    assert (again.lost.records, again.lost.results, again.after.loops) == (0, 0, 0)
    assert again.data == made.data
    analyze([replace(documents[0], config=again.config, blobs=None)])
    _import(documents, made)


def _import(documents: Sequence[CacheDocument], made: Repaired) -> None:
    """Hold it against a model that shares no code with the package."""
    configs = [one.config for one in documents]
    if sum(len(one.digests) + len(one.blobs) for one in configs) > LARGEST_PLAIN:
        return
    out = _plain(made.config)
    assert independent.refusals(out) == []
    assert not independent.has_loop(out)
    before = list(map(_plain, configs))
    # The model follows layers wherever they lead, and knows nothing of manifests.
    bearable = all(one.blobs is None for one in documents)
    bearable &= not any({"layer", "result"}.intersection(independent.refusals(one)) for one in before)
    if bearable and not made.removed.dropped_records:
        assert independent.contents(before) == independent.contents([out])


def _plain(config: CacheConfig) -> dict[str, Any]:
    parsed = independent.parse(encode(config))
    return {
        "layers": [{"blob": "", **one} for one in parsed.get("layers", [])],
        "records": [{"digest": "", **one} for one in parsed.get("records", [])],
    }
