"""JSON from outside: too much of it is refused before it is parsed, and wrong types are named with their path."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from msgspec import Struct

from cachedoctor.errors import InputError
from cachedoctor.io import memory
from cachedoctor.sources import json
from cachedoctor.sources.json import parse, typed


def dense(values: int, spare: int = 0) -> bytes:
    """A list of empty objects, with as many bytes as so many objects and arrays need, and `spare` more."""
    data = b"[" + b",".join([b"{}"] * (values - 1)) + b"]"
    return data + b" " * (values * json.BYTES_PER_VALUE - len(data) + spare)


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(data)
    return str(caught.value)


def test_refuses_too_many_objects_for_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "FREE_VALUES", 50)
    assert len(parse(dense(51))) == 50
    bytes_of_it = 51 * json.BYTES_PER_VALUE - 1
    problem = f"51 objects and arrays in {bytes_of_it} bytes, which no cache has; refused"
    assert refused(dense(51, -1)) == problem
    assert len(parse(dense(50, -100))) == 49


def test_records_with_short_digests_are_not_too_many_for_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "FREE_VALUES", 0)
    records = [{"digest": f"{index:03}", "inputs": [[{"link": index}]]} for index in range(1000)]
    assert parse(orjson.dumps({"records": records})) == {"records": records}


def test_refuses_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "MOST_VALUES", 50)
    assert len(parse(dense(50))) == 49
    assert refused(dense(51)) == "more than 50 objects and arrays, which is refused"


def test_refuses_what_does_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 1,000 objects and as many strings: 240 and 36 bytes each, twice for the quotes, and so on."""
    data = b"[" + b",".join([b'{"digest":"a"}'] * 1000) + b"]"
    need = len(data) + 1000 * 240 + 72 + 4000 * 36 + 999 * 48
    monkeypatch.setattr(memory, "FREE_BYTES", 1000)
    monkeypatch.setattr(memory, "available", lambda: need)
    assert len(parse(data)) == 1000
    monkeypatch.setattr(memory, "available", lambda: need - 1)
    assert refused(data) == "reading it takes about 0 MiB of memory, and 0 MiB are left"
    monkeypatch.setattr(memory, "available", lambda: None)
    assert len(parse(data)) == 1000
    monkeypatch.setattr(memory, "FREE_BYTES", need)
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert len(parse(data)) == 1000


@pytest.mark.slow
@pytest.mark.parametrize("command", ["analyze", "check", "repair"])
def test_too_little_memory_ends_in_one_line(command: str, tmp_path: Path) -> None:
    """There is enough address space for orjson's buffer, but orjson would crash while it parses the document."""
    file = tmp_path / "large.json"
    record = b'{"digest":"sha256:%064d","inputs":[[{"link":1}]]}'
    file.write_bytes(b'{"records":[' + b",".join(record % number for number in range(500_000)) + b"]}")
    most = 900 << 20
    got = subprocess.run(
        [sys.executable, "-m", "cachedoctor", command, str(file), *(["-o", "out"] if command == "repair" else [])],
        capture_output=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert (got.returncode, got.stdout) == (2, b"")
    line = rb"cachedoctor: .*large.json: reading it takes about [\d,]+ MiB of address space, and \d+ MiB are left\n"
    assert re.fullmatch(line, got.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["large.json"]


def test_shows_the_whole_reason() -> None:
    """The parser's reason may have a colon in it."""
    assert refused(b'{"records" 1}') == "byte 11: expected JSON: unexpected character, expected ':' after key"


class Inner(Struct):
    number: int | None = None


class Outer(Struct):
    items: list[Inner] | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if self.text == "bad":
            raise ValueError("expected another text")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "$: expected an object, found an array"),
        (None, "$: expected an object, found null"),
        ({"items": {}}, "$.items: expected an array, found an object"),
        ({"items": [{}, None]}, "$.items[1]: expected an object, found null"),
        ({"items": [{"number": True}]}, "$.items[0].number: expected an integer, found a boolean"),
        ({"items": [{"number": 1.0}]}, "$.items[0].number: expected an integer, found a number"),
        ({"items": [{"number": "1"}]}, "$.items[0].number: expected an integer, found a string"),
        ({"text": "bad"}, "$: expected another text"),
    ],
)
def test_names_the_path_of_a_wrong_type(document: object, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        typed(document, Outer)
    assert str(caught.value) == problem
    with pytest.raises(InputError) as caught:
        typed(document, Outer, "$.a[2]")
    assert str(caught.value) == problem.replace("$", "$.a[2]", 1)


def test_ignores_other_fields() -> None:
    assert typed({"items": [{"number": 1 << 70, "x": 1}], "y": 2}, Outer) == Outer([Inner(1 << 70)])
