"""Inputs that a fuzzer starts with: small pieces of the fixtures, and cases that the fixtures do not have."""

from __future__ import annotations

import base64
import gzip
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

from cachedoctor.buildkit import CACHE_CONFIG
from cachedoctor.pprof.decode import decode
from fuzz import containers
from tests.builds.records import copy, predicate, run, source, step
from tests.pprof.profiles import Builder

FIXTURES = Path(__file__).parent.parent / "fixtures"
LARGEST = 8_000
"""Most bytes of a seed: a fuzzer copies and reads its seeds over and over."""
STACKS = 20
"""Stacks kept of a profile."""
CREATED = "2026-11-24T08:14:45.5Z"


def configs() -> list[bytes]:
    """Cache configs."""
    documents = [{}, _everything(), _odd(), _diamonds(60), _deep_chain(120)]
    return [*map(_json, documents), *_files("manifests", "hostile/configs")]


def several_configs() -> list[bytes]:
    """The same, and lists of several configs."""
    tags = [json.loads((FIXTURES / f"manifests/tag-{name}.json").read_bytes()) for name in "ab"]
    return [*configs(), _json(tags), _json([_everything(), _everything(), _diamonds(3)])]


def layouts() -> list[bytes]:
    """Layouts as `fuzz.containers` describes them, and archives."""
    described = [containers.described(folder) for folder in sorted((FIXTURES / "layouts").iterdir())]
    documents = [*described, *map(_json, (_complete("config"), _complete("manifests"), _tagged()))]
    tars = [layout.tar() for layout in map(containers.read, described[:3]) if layout]
    return [*documents, *tars, gzip.compress(tars[0], mtime=0), *_files("hostile/containers")]


def shapes() -> list[bytes]:
    """Bytes from which configs are built."""
    choose = random.Random(0)
    return [choose.randbytes(size) for size in (20, 100, 100, 400, 400, 400)]


def records() -> list[bytes]:
    """Records of builds with every kind of operation, in every form."""
    record = predicate(
        [
            step("a", "source", source("docker-image://a@sha256:" + "1" * 64)),
            step("b", "source", source("git://h/r#main:d", git_keepgitdir="true")),
            step("c", "source", source("https://h/x", http_checksum="sha256:1", http_perm="0644")),
            step("d", "exec", run("a", env=["A=1"], network=1), "a:0", platform={"OS": "linux", "Architecture": "arm"}),
            step("e", "file", copy("/a", "/b", owner={"user": {"User": {"byName": {"name": "u"}}}}), "d:0", "b:0"),
            step("f", "merge", {"inputs": [{}, {"input": 1}]}, "e:0", "c:0"),
            step("g", "diff", {"lower": {"input": -1}, "upper": {}}, "f:0"),
            step("h", "", None, "g:0"),
        ],
        dockerfile="FROM a\nENV A=1\nRUN a \\\n b",
        lines={"a": [1], "d": [3, 4], "e": [2]},
        args={"build-arg:A": "/a/b/c", "target": "t"},
        materials=[{"uri": "https://h/r#main", "digest": {"sha1": "1" * 40}}],
    )
    payload = base64.b64encode(_json({"predicate": record})).decode()
    forms = [
        record,
        {"_type": "x", "predicate": record},
        {"payload": payload},
        {"linux/386": {"SLSA": record}},
        {"t": {"buildx.build.provenance/linux/386": record}},
    ]
    cut = json.loads((FIXTURES / "debug/cache-all.json").read_bytes())[:4]
    return [*map(_json, forms), _json(cut), *_files("hostile/records")]


def profiles() -> list[bytes]:
    """Profiles, one of them with inlined calls, a mapping, and frames to drop."""
    odd = Builder()
    odd.mapping("/usr/bin/buildkitd", "abc")
    odd.sample([("inner", "outer"), "main.main"], 1, 10)
    odd.sample(["runtime.mallocgc", "runtime.keep", "main.main"], 2, 20)
    odd.proto.drop_frames, odd.proto.keep_frames = odd.string("runtime\\..*"), odd.string("runtime\\.keep")
    odd.proto.duration_nanos = 10**9
    cut = [_cut(file) for file in sorted((FIXTURES / "profiles").glob("*.pprof"))]
    return [odd.bytes(), *cut, *_files("hostile/profiles")]


def dumps() -> list[bytes]:
    """Goroutine dumps, with BuildKit's goroutines first, and what people report, in its wrappings."""
    whole = [file.read_text() for file in sorted((FIXTURES / "profiles").glob("goroutine*.txt"))]
    reports = [file.read_bytes()[:LARGEST] for file in sorted((FIXTURES / "reports").rglob("*")) if file.is_file()]
    return [*map(_shortened, whole), *(text[:600].encode() for text in whole), *reports, *_files("hostile/goroutines")]


def tables() -> list[bytes]:
    """Tables of `pprof -top`."""
    whole = (FIXTURES / "profiles/issue-6008-top50.txt").read_bytes()
    return [whole, whole[:600], *_files("hostile/tables", "reports/41-shapes-of-a-table")]


def _files(*folders: str) -> list[bytes]:
    files = (file for folder in folders for file in sorted((FIXTURES / folder).glob("*")))
    return [data for file in files if len(data := file.read_bytes()) <= LARGEST]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _everything() -> dict[str, Any]:
    """Everything that a config can have, much of it wrong."""
    return {
        "layers": [{"blob": "a"}, {"blob": "b", "parent": -1, "annotations": {"size": 1}}, {"blob": "c", "parent": 1}],
        "records": [
            {"digest": "r", "layers": [{"layer": 1, "createdAt": CREATED}, {"layer": 2}]},
            {"digest": "x", "layers": [{"layer": 0}], "inputs": [[{"link": 0}, {"selector": "s", "link": 2}], []]},
            {"digest": "x", "chains": [{"layers": [1, 2], "createdAt": CREATED}], "inputs": [[{"link": 0}], None]},
            {"digest": "y", "layers": [{"layer": 2}], "inputs": [[{"link": 0}, {"link": 4, "selector": "s"}]]},
            {"digest": "y", "layers": [{"layer": 1}], "inputs": [[{"link": 3}, {"link": 9}, {"link": 0}]]},
        ],
    }


def _odd() -> dict[str, Any]:
    """In every text, characters that a terminal, a pipeline or a format could interpret."""
    text = "\x1b[31m\u202e\u2028::error::]]><|`[x](y)"
    layers = [{"blob": text, "parent": -1, text: text}, {"blob": text, "parent": 1}]
    inputs = [[{"link": 1, "selector": text, text: 1}, {"link": 0, "selector": text}], []]
    records = [{"digest": text, "layers": [{"layer": 0}]}, {"digest": text, "inputs": inputs, text: 1}]
    return {"layers": layers, "records": records, text: text}


def _diamonds(count: int) -> dict[str, Any]:
    """More paths than anyone could walk."""
    steps = [[[{"link": index}, {"selector": "s", "link": index}]] for index in range(count)]
    return {"records": [{"digest": "r"}, *({"digest": f"{n}", "inputs": inputs} for n, inputs in enumerate(steps))]}


def _deep_chain(count: int) -> dict[str, Any]:
    listed = [{"blob": f"{index}", "parent": index - 1} for index in range(count)]
    return {"layers": listed, "records": [{"digest": "r", "layers": [{"layer": count - 1}, {"layer": count // 2}]}]}


def _complete(kind: str) -> dict[str, Any]:
    """A cache with all its layers, so that it can be written again; as an image manifest or an index."""
    config = {"layers": [{"blob": "@0", "parent": -1}], "records": [{"digest": "r", "layers": [{"layer": 0}]}]}
    layers = [{"mediaType": "x", "digest": "@0", "size": "#0"}]
    descriptor = {"mediaType": CACHE_CONFIG, "digest": "@1", "size": "#1"}
    manifest = {"config": descriptor, "layers": layers} if kind == "config" else {"manifests": [*layers, descriptor]}
    return {"blobs": [{}, config, manifest], "index": {"manifests": [{"digest": "@2", "size": "#2"}]}}


def _tagged() -> dict[str, Any]:
    """Images for two platforms with inline caches, among several tags."""
    image = {"os": "linux", "architecture": "arm64", "rootfs": {"diff_ids": ["a"]}, "moby.buildkit.cache.v0": "~0"}
    records = [{"digest": "r", "layers": [{"layer": 0}]}]
    manifest = {"config": {"digest": "@1", "size": "#1"}, "layers": [{"digest": "sha256:" + "0" * 64, "size": 1}]}
    platforms = [{"os": "linux", "architecture": name, "variant": "v8"} for name in ("arm64", "amd64")]
    named = [
        {"digest": "@2", "size": "#2", "platform": platform, "annotations": {"org.opencontainers.image.ref.name": name}}
        for platform, name in zip(platforms, ("x", "latest"), strict=True)
    ]
    blobs = [records, image, manifest, {"manifests": named[:1]}]
    index = {"manifests": [*named, {"digest": "@3", "size": "#3", "annotations": {"io.containerd.image.name": "a:y"}}]}
    return {"blobs": blobs, "index": index, "tag": "x", "platform": "linux/arm64"}


def _cut(file: Path) -> bytes:
    """The first stacks of a profile, with function names only."""
    profile = decode(gzip.decompress(file.read_bytes()))
    cut = Builder((profile.sample_type.type, profile.sample_type.unit))
    for nodes, value in islice(profile.samples, STACKS):
        cut.sample([profile.names[node] for node in nodes], value)
    return cut.bytes()


def _shortened(text: str) -> bytes:
    """The first and last lines of each goroutine, those of builds first."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    order = sorted(range(len(blocks)), key=lambda index: (index > 0, "buildkit" not in "".join(blocks[index])))
    kept = ["\n".join(blocks[index][:6] + blocks[index][6:][-12:]) for index in order]
    return "\n\n".join(kept).encode()[:LARGEST]
