"""Labels for records, from a file of any content."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources import names


def entry(digest: str, text: str) -> dict[str, Any]:
    return {"digest": digest, "type": "json", "data": [{"data": b64encode(text.encode()).decode()}]}


def load(folder: Path, content: Any) -> dict[str, str]:
    path = folder / "names.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return names.load_names(str(path))


def refused(folder: Path, content: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, content)
    return str(caught.value).removeprefix(f"{folder}/names.json: ")


def test_labels_are_cut(tmp_path: Path) -> None:
    operation = {"Type": "buildkit.exec.v0", "Exec": {"meta": {"args": ["/bin/sh", "-c", "x" * 1000]}}}
    labels = load(tmp_path, [entry("sha256:record", "sha256:op@0"), entry("sha256:op", json.dumps(operation))])
    assert labels == {"sha256:record": f"RUN {'x' * 1000}"[: names.LONGEST_LABEL]}


@pytest.mark.parametrize("data", ["é", "?", "/w=="])
def test_text_that_cannot_be_decoded_has_no_label(data: str, tmp_path: Path) -> None:
    damaged = {"digest": "sha256:op", "type": "json", "data": [{"data": data}]}
    assert load(tmp_path, [entry("sha256:record", "sha256:op@0"), damaged]) == {}


def test_bounds_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_BYTES", 10)
    assert load(tmp_path, b"[]" + b" " * 8) == {}
    assert refused(tmp_path, b"[]" + b" " * 9) == "more than 10 bytes, which is refused"


@pytest.mark.parametrize("content", [b"{}", b"7", b"null"])
def test_refuses_what_is_not_a_list(content: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path, content) == "expected the JSON list of /debug/cache/all"


def test_refuses_what_is_not_json(tmp_path: Path) -> None:
    assert refused(tmp_path, b"[x").startswith("byte 1: expected JSON: unexpected character")
    assert "depth" in refused(tmp_path, b"[" * 100_000)
    assert "which no cache has" in refused(tmp_path, b"[" + b"[]," * 200_000 + b"[]]")


def test_refuses_what_is_not_a_file(tmp_path: Path) -> None:
    for path, problem in (("gone", "No such file"), ("a\0b", "a file name cannot contain a NUL")):
        with pytest.raises(InputError, match=f"cannot read it: {problem}"):
            names.load_names(os.path.join(tmp_path, path))  # noqa: PTH118
