"""What is fuzzed: each target takes any bytes, and its docstring says what it promises of them."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cachedoctor.pprof.decode import decode
from fuzz import caches, containers, profiles
from fuzz.mutators import json, lines, wire
from tests.pprof.profiles import Builder

FIXTURES = Path(__file__).parent.parent / "fixtures"
LARGEST = 8_000
"""Bytes: a fuzzer copies what it starts with over and over, and reads it each time."""
STACKS = 20
"""Stacks of a profile."""
SMALL = (
    b"{}",
    b'{"layers":[{"blob":"a"},{"blob":"b","parent":-1,"annotations":{"size":1}}],"records":[{"digest":"r"},{"digest":"x",'
    b'"layers":[{"layer":0,"createdAt":"2026-11-24T08:14:45.5Z"}],"inputs":[[{"link":0},{"selector":"s","link":2}],[]]},'
    b'{"digest":"x","chains":[{"layers":[0,1]}],"inputs":[[{"link":1}],null]},{"digest":"y","inputs":[[{"link":2}]]}]}',
)

Mutate = Callable[[bytes, random.Random], bytes | None]
Cross = Callable[[bytes, bytes, random.Random], bytes | None]


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes bytes, and may raise nothing at all."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    """What the fuzzer starts with."""
    mutate: Mutate | None = None
    """Changes that leave the form in place, `None` where any bytes are in form."""
    cross: Cross | None = None


def _configs() -> list[bytes]:
    return [*SMALL, *_files("manifests", "hostile/configs")]


def _several() -> list[bytes]:
    """Configs alone, and those of two tags together."""
    tags = [(FIXTURES / "manifests" / f"tag-{name}.json").read_bytes() for name in "ab"]
    return [*_configs(), b"[" + b",".join(tags) + b"]"]


def _layouts() -> list[bytes]:
    described = [containers.described(folder) for folder in sorted((FIXTURES / "layouts").iterdir())]
    read = [containers.read(one) for one in described]
    tars = [one.tar() for one in read if one]
    return described + tars + [gzip.compress(tars[0], mtime=0)] + _files("hostile/containers")


def _shapes() -> list[bytes]:
    choose = random.Random(0)
    return [choose.randbytes(size) for size in (20, 100, 100, 400, 400, 400)]


def _cut(file: Path) -> bytes:
    """The first stacks of a profile, by their names alone."""
    found = decode(gzip.decompress(file.read_bytes()), file.name)
    cut = Builder((found.sample_type.type, found.sample_type.unit))
    for begin, end, value in zip(found.starts[:STACKS], found.starts[1:], found.values, strict=False):
        cut.sample([found.names[node] for node in found.frames[begin:end]], int(value))
    return cut.bytes()


def _profiles() -> list[bytes]:
    small = Builder()
    small.mapping("/usr/bin/buildkitd", "abc")
    small.sample([("inner", "outer"), "main.main"], 1, 10)
    small.sample(["main.main"], 2, 20)
    real = map(_cut, sorted((FIXTURES / "profiles").glob("*.pprof")))
    return [small.bytes(), *real, *_files("hostile/profiles")]


def _texts(pattern: str) -> list[bytes]:
    files = [*sorted((FIXTURES / "profiles").glob(pattern)), *sorted((FIXTURES / "hostile").glob(f"texts/{pattern}"))]
    texts = [file.read_bytes() for file in files]
    return [text[:size] for text in texts for size in (600, 3000, LARGEST)]


def _files(*folders: str) -> list[bytes]:
    files = (file for folder in folders for file in sorted((FIXTURES / folder).glob("*")))
    return [data for file in files if len(data := file.read_bytes()) < LARGEST]


TARGETS: Mapping[str, Target] = {
    "config": Target(caches.config, _configs, json.mutate, json.cross),
    "container": Target(caches.container, _layouts, json.mutate, json.cross),
    "mended": Target(caches.mended, _several, json.mutate, json.cross),
    "shaped": Target(caches.shaped, _shapes),
    "decode": Target(profiles.decode, _profiles, wire.mutate),
    "goroutines": Target(profiles.goroutines, lambda: _texts("goroutine*.txt"), lines.mutate),
    "table": Target(profiles.table, lambda: _texts("issue*.txt"), lines.mutate),
}
