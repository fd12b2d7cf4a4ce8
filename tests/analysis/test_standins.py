"""Stand-ins: the same counts and findings, and nothing of the original but its shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.analysis.standins import StandIns
from cachedoctor.buildkit import IMPORT_LIMIT, INLINE_CACHE
from cachedoctor.cacheconfig import instant
from cachedoctor.errors import InputError, LimitError
from cachedoctor.graph.joining import digest_of_joining, joining_records, without_joining
from cachedoctor.repairs.repair import Options, repair
from cachedoctor.report import upstream
from cachedoctor.report.analysis_document import document as json_document
from cachedoctor.sources import CacheDocument, load
from tests.graph.reference import Document
from tests.graph.strategies import documents
from tests.strategies import nearly_valid, valid, written
from tests.support import FIXTURES, decoded, digest, document, layers, record

SOURCE = "docker://registry.secret-host.example/secret/repository:secret-tag"
SHORTEST = 6
"""Letters of a text that is looked for in a report; shorter ones could be there by chance."""
DATES = (
    "2026-11-24T08:14:45.5Z",
    "2026-11-24T08:14:45Z",
    "2025-02-28T23:59:59.999999999+05:30",
    "0001-01-01T00:00:00Z",
)
KINDS = ("cache-config", "image-manifest", "index", "manifest-list", "inline", "inline without a manifest")


def digests_of(name: str, form: int) -> str:
    """A digest that a daemon could have made."""
    hashed = digest(name)
    return (hashed, f"random:{hashed[-64:]}", hashed[-25:], f"sha512:{hashed[-64:] * 2}", f"md5:{hashed[-32:]}")[form]


@st.composite
def odd(draw: st.DrawFn) -> Document:
    """A config with cycles, empty inputs, digests and selectors of every form, dates, annotations and bad indices."""
    config = draw(documents(cyclic=True, empty=True, most_documents=1))[0]
    forms = draw(st.lists(st.integers(0, 4), min_size=16, max_size=16))
    parents = draw(st.lists(st.integers(-1, 4), max_size=4))
    annotated = draw(st.booleans())
    config["layers"] = layers(*parents)
    for item in config["layers"]:
        if annotated:
            item["annotations"] = {"secret-annotation": "secret-value"}
    for item in config["records"]:
        item["digest"] = digests_of(item["digest"], forms[ord(item["digest"][0]) % 16])
        for link in (link for links in item.get("inputs", ()) for link in links):
            if "selector" in link:
                link["selector"] = draw(st.sampled_from([digest(link["selector"]), f"/secret/{link['selector']}"]))
        if draw(st.booleans()) and parents:
            item["layers"] = [
                {"layer": draw(st.integers(-1, len(parents))), "createdAt": date}
                for date in draw(st.lists(st.sampled_from(DATES), min_size=1, max_size=3))
            ]
            item["chains"] = [{"layers": [0], "createdAt": draw(st.sampled_from(DATES))}]
    return config


@st.composite
def caches(draw: st.DrawFn) -> list[CacheDocument]:
    """One to three caches of any kind, as they could have been read."""
    configs = draw(
        st.lists(st.one_of(valid().map(written), odd().map(written), nearly_valid()), min_size=1, max_size=3)
    )
    read: list[CacheDocument] = []
    for data in configs:
        try:
            (cache,) = load("-", stdin=BytesIO(data))
        except InputError:
            continue
        read.append(_of_kind(cache, draw(st.sampled_from(KINDS)), draw(st.integers(0, 3))))
    return read or [document([record("a")])]


def _of_kind(cache: CacheDocument, kind: str, listed: int) -> CacheDocument:
    """The cache as if it had been read from a container of this kind, whose manifest lists some of the blobs."""
    blobs = frozenset({*cache.config.blobs[listed:], digest("another blob")})
    cache = replace(cache, source=SOURCE, digest=digest("secret config"), platform="secret-os/secret-arch")
    if kind == "cache-config":
        return cache
    if kind.startswith("inline"):
        count = len(cache.config.blobs)
        image = replace(cache.config, parents=list(range(-1, count - 1)), layer_fields=[None] * count)
        manifest = kind == "inline"
        return replace(
            cache,
            kind="inline",
            config=image,
            manifest_size=IMPORT_LIMIT + 1 if manifest else None,
            blobs=frozenset(image.blobs) if manifest else None,
        )
    return replace(cache, kind=kind, manifest_size=5000, blobs=blobs)


def shared(caches: Sequence[CacheDocument], folder: Path) -> tuple[Analysis, Analysis]:
    """The analysis of caches, and that of the report on them, read as the README says."""
    analysis = analyze(caches)
    upstream.write(str(folder), analysis)
    command = next(
        line for line in (folder / upstream.README).read_text().splitlines() if line.startswith("cachedoctor ")
    )
    again = [read for name in command.split()[2:] for read in load(str(folder / name))]
    return analysis, analyze(again)


def facts(analysis: Analysis) -> dict[str, Any]:
    """What an analysis says, without digests and sources."""
    result = json_document(analysis)
    return {
        "graph": result["graph"],
        "cost": result["cost"],
        "bytes": [(cache["kind"], cache["bytes"], cache["manifest_bytes"]) for cache in result["inputs"]],
        "loops": [(len(loop["records"]), loop["links"], len(loop["example"])) for loop in result["loops"]],
        "hotspots": [{**hotspot, "digest": "", "label": ""} for hotspot in result["hotspots"]],
        "findings": [
            (finding.rule, finding.severity, finding.measure, finding.count, finding.refused_by)
            for finding in analysis.findings
        ],
    }


def texts_of(caches: Sequence[CacheDocument]) -> set[bytes]:
    """Every text of the originals that says something, as it would be in a file."""
    texts = {SOURCE, "secret", "registry.", digest("secret config"), digest("another blob")}
    for cache in caches:
        config = cache.config
        texts |= {*config.blobs, *config.digests, *config.selectors, *config.result_created}
        texts |= {created for _, _, created in config.chains} | (cache.blobs or frozenset())
    texts |= {created[-6:] for created in texts if created[-6:-5] == "+"}
    texts = {text for text in texts if len(text) >= SHORTEST and not text.startswith("0001-")}
    return {json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "backslashreplace") for text in texts}


def content_of(folder: Path) -> bytes:
    """The names and the content of all files, with inline caches decoded."""
    content = b""
    for path in sorted(folder.rglob("*")):
        content += f"\n{path.relative_to(folder)}\n".encode()
        if path.is_file():
            data = path.read_bytes()
            content += data
            if path.name != upstream.README and INLINE_CACHE in (parsed := json.loads(data)):
                content += base64.b64decode(parsed[INLINE_CACHE])
    return content


@settings(max_examples=300, deadline=None)
@given(caches())
def test_a_report_has_the_same_facts_and_no_names(caches: list[CacheDocument]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name, "report")
        before, after = shared(caches, folder)
        assert facts(after) == {**facts(before), "bytes": facts(after)["bytes"]}
        for was, now in zip(before.documents, after.documents, strict=True):
            assert (now.kind, now.blobs is None) == (was.kind, was.blobs is None)
            assert now.size >= was.written_size
        content = content_of(folder)
        assert [text for text in texts_of(caches) if text in content] == []


@settings(max_examples=300, deadline=None)
@given(st.lists(odd(), min_size=1, max_size=3))
def test_equality_and_order_stay(configs: list[Document]) -> None:
    caches = [replace(document([]), config=decoded(config)) for config in configs]
    stand_ins = StandIns(caches)
    before = [cache.config for cache in caches]
    after = [stand_ins.config(config) for config in before]

    def of_all(configs: Sequence[Any], column: str) -> list[str]:
        return [text for config in configs for text in getattr(config, column)]

    def ranks(texts: Sequence[Any]) -> list[int]:
        ordered = sorted(set(texts))
        return [ordered.index(text) for text in texts]

    for column in ("digests", "selectors", "blobs"):
        assert ranks(of_all(after, column)) == ranks(of_all(before, column))
        assert list(map(len, of_all(after, column))) == list(map(len, of_all(before, column)))
    times = of_all(before, "result_created"), of_all(after, "result_created")
    assert ranks(list(map(instant, times[1]))) == ranks(list(map(instant, times[0])))
    assert list(map(len, times[1])) == list(map(len, times[0]))
    for config, other in zip(before, after, strict=True):
        assert (other.links, other.link_start, other.input_start) == (
            config.links,
            config.link_start,
            config.input_start,
        )
        assert (other.results, other.parents) == (config.results, config.parents)


@settings(max_examples=300, deadline=None)
@given(st.lists(odd(), min_size=1, max_size=2))
def test_a_repair_makes_the_same_of_it(configs: list[Document]) -> None:
    """It sorts by digests and selectors, as BuildKit's exporter does, and chooses results by their dates."""
    caches = [replace(document([]), config=decoded(config)) for config in configs]
    stand_ins = StandIns(caches)
    others = [replace(cache, config=stand_ins.config(cache.config)) for cache in caches]
    try:
        before = repair(caches, Options())
    except LimitError as error:
        with pytest.raises(LimitError, match=str(error)):
            repair(others, Options())
        return
    after = repair(others, Options())
    # The digest of a record that joins leaves is in no source.
    assert without_joining(after.config) == stand_ins.config(without_joining(before.config))
    # Annotations are left out.
    assert replace(after.after, bytes=0) == replace(before.after, bytes=0)


@pytest.mark.parametrize("text", ["", "sha256:", "random:x", "a", "\udc80", "sha256:" + "z" * 64, "é" * 20])
def test_the_kind_of_a_digest_stays(text: str) -> None:
    cache = document([record("b"), record("c")])
    odd = replace(cache, config=replace(cache.config, digests=[text, digest("c")]))
    stand_in, valid = StandIns([odd]).config(odd.config).digests
    prefixes = ("sha256:", "random:")
    assert [stand_in.startswith(prefix) for prefix in prefixes] == [text.startswith(prefix) for prefix in prefixes]
    assert (stand_in == "") == (text == "")
    assert valid.startswith("sha256:")
    assert set(valid[7:]) <= set("0123456789abcdef")
    assert len(valid) == 71
    assert stand_in != text or not text
    assert "z" in stand_in or len(text) < SHORTEST + 3


@pytest.mark.parametrize(
    "names",
    [
        ["manifests/too-large.json"],
        ["manifests/tag-a.json", "manifests/tag-b.json"],
        ["manifests/s3-backend.json"],
        ["exporter-state/export-loop.json"],
        ["layouts/v0.32.2-docker-list", "layouts/v0.32.2-inline-chains", "layouts/v0.32.2-inline-multi-platform"],
    ],
    ids=lambda names: names[0],
)
def test_real_caches(names: list[str], tmp_path: Path) -> None:
    caches = [read for name in names for read in load(str(FIXTURES / name))]
    before, after = shared(caches, tmp_path / "report")
    assert facts(after) == facts(before)
    content = content_of(tmp_path / "report")
    assert [text for text in texts_of(caches) if text in content] == []
    assert "None: counts, costs, loops, bytes and findings are the same." in content.decode()


def test_what_cannot_be_reproduced_is_said(tmp_path: Path) -> None:
    """The tag of a layout is not in a report; and a digest can be too short for a number."""
    caches = load(str(FIXTURES / "layouts/v0.21.1-image-manifest"))
    records = [{"digest": chr(0x61 + index)} for index in range(20)]
    caches.append(replace(document(records), size=10, source="secret"))
    upstream.write(str(tmp_path / "report"), analyze(caches))
    readme = (tmp_path / "report" / upstream.README).read_text()
    assert "- Only the original has CD106 dangling-tag (warning)." in readme
    assert "- The cache config of config-2.json has " in readme
    assert "bytes, in the original 10." in readme


def test_a_joining_record_still_joins_the_leaves() -> None:
    records = [record("root"), record("a", [0]), record("b", [0])]
    joining = {"digest": digest_of_joining([digest("a"), digest("b")]), "inputs": [[{"link": 1}, {"link": 2}]]}
    original = document([*records, joining])
    shared = StandIns([original]).config(original.config)
    assert joining_records(shared) == range(3, 4)
    assert set(shared.digests).isdisjoint(original.config.digests)
