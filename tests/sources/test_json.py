"""JSON from outside: what is too much of it is refused before it is parsed."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from cachedoctor.errors import InputError
from cachedoctor.io import memory
from cachedoctor.sources import json
from cachedoctor.sources.json import parse


def dense(values: int, spare: int = 0) -> bytes:
    """A list of empty objects, with as many bytes as that many objects and arrays need, and some to spare."""
    data = b"[" + b",".join([b"{}"] * (values - 1)) + b"]"
    return data + b" " * (values * json.BYTES_PER_VALUE - len(data) + spare)


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(data, "x.json", "$")
    return str(caught.value)


def test_objects_too_close_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "FREE_VALUES", 50)
    assert len(parse(dense(51), "x.json")) == 50
    bytes_of_it = 51 * json.BYTES_PER_VALUE - 1
    told = f"x.json: $: 51 objects and arrays in {bytes_of_it} bytes, which no cache has; refused"
    assert refused(dense(51, -1)) == told
    assert len(parse(dense(50, -100), "x.json")) == 49


def test_short_digests_are_not_close_to_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "FREE_VALUES", 0)
    records = [{"digest": f"{index:03}", "inputs": [[{"link": index}]]} for index in range(1000)]
    assert parse(orjson.dumps({"records": records}), "x.json") == {"records": records}


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "MOST_VALUES", 50)
    assert len(parse(dense(50), "x.json")) == 49
    assert refused(dense(51)) == "x.json: $: more than 50 objects and arrays, which is refused"


def test_what_memory_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of 1,000 objects and as many strings: 240 and 36 bytes each, twice for the quotes, and so on."""
    data = b"[" + b",".join([b'{"digest":"a"}'] * 1000) + b"]"
    need = len(data) + 1000 * 240 + 72 + 4000 * 36 + 999 * 48
    monkeypatch.setattr(memory, "FREE_BYTES", 1000)
    monkeypatch.setattr(memory, "available", lambda: need)
    assert len(parse(data, "x.json")) == 1000
    monkeypatch.setattr(memory, "available", lambda: need - 1)
    assert refused(data) == "x.json: $: reading it takes about 0 MiB of memory, and 0 MiB are left"
    monkeypatch.setattr(memory, "available", lambda: None)
    assert len(parse(data, "x.json")) == 1000
    monkeypatch.setattr(memory, "FREE_BYTES", need)
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert len(parse(data, "x.json")) == 1000


@pytest.mark.parametrize("command", ["analyze", "check", "repair"])
def test_too_little_memory_is_one_line(command: str, tmp_path: Path) -> None:
    """So much address space that orjson gets its buffer, and dies where the document is parsed nonetheless."""
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
    told = rb"cachedoctor: .*large.json: reading it takes about [\d,]+ MiB of address space, and \d+ MiB are left\n"
    assert re.fullmatch(told, got.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["large.json"]


def test_the_whole_reason_is_told() -> None:
    """That of the parser may have a colon in it."""
    assert (
        refused(b'{"records" 1}') == "x.json: $: byte 11: expected JSON: unexpected character, expected ':' after key"
    )
