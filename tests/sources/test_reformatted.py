"""A config counts as BuildKit writes it, whatever printed the file."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.sources import load
from cachedoctor.sources.json import is_compact
from tests.sources.layouts import MANIFEST_LIST, PACKERS
from tests.support import FIXTURES, digest, record, run

LIMIT = 1_048_576
SERVICE = FIXTURES / "manifests/service.json"
TOO_LARGE = FIXTURES / "manifests/too-large.json"

PRINTERS: dict[str, Callable[[Any], str]] = {
    "jq": lambda value: json.dumps(value, indent=2) + "\n",
    "python": json.dumps,
    "tabs": lambda value: json.dumps(value, indent="\t"),
    "windows": lambda value: json.dumps(value, indent=4).replace("\n", "\r\n"),
    "echo": lambda value: json.dumps(value, separators=(",", ":")) + "\n",
}


def analyzed(source: Path, *options: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("analyze", source, "--format", "json", *options).stdout)
    return document


def config_of(size: int) -> dict[str, Any]:
    """A config that BuildKit writes with that many bytes."""
    records = [record(f"root {index}") for index in range(2_000)] + [record("run", [(0, "")], [(1, "&<>")])]
    selector = records[-1]["inputs"][0][0]
    (document,) = load("-", stdin=io.BytesIO(json.dumps({"records": records}).encode()))
    selector["selector"] = "x" * (size - document.written_size - len('"selector":"",'))
    return {"records": records}


@pytest.mark.parametrize("printer", PRINTERS)
def test_says_that_a_file_was_reformatted(printer: str, tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_bytes(PRINTERS[printer](json.loads(SERVICE.read_bytes())).encode())
    (read,) = analyzed(file)["inputs"]
    assert (read["bytes"], read["written_bytes"]) == (file.stat().st_size, SERVICE.stat().st_size)
    assert read["reformatted"] is True
    assert read["notes"] == [
        f"The file was reformatted, for example by jq or an editor: it has {file.stat().st_size:,} bytes, and BuildKit "
        "writes this config in 3,091. BuildKit's limit is compared with the latter, and the digest of the file is not "
        "that of the blob."
    ]
    assert "The file was reformatted" in " ".join(run("analyze", file, "-q").stdout.decode().split())


@pytest.mark.parametrize("name", ["service", "too-large", "s3-backend", "accumulated"])
@pytest.mark.parametrize("packed", ["plain", "gzip"])
def test_what_buildkit_wrote_is_not_reformatted(name: str, packed: str, tmp_path: Path) -> None:
    origin = FIXTURES / f"manifests/{name}.json"
    file = tmp_path / "cache"
    file.write_bytes(PACKERS[packed](origin.read_bytes()))
    (read,) = analyzed(file)["inputs"]
    size = origin.stat().st_size
    assert (read["reformatted"], read["written_bytes"], read["bytes"], read["notes"]) == (False, size, size, [])


@pytest.mark.parametrize(("size", "fires"), [(LIMIT, False), (LIMIT + 1, True)])
@pytest.mark.parametrize("printer", PRINTERS)
def test_the_limit_is_that_of_what_buildkit_writes(printer: str, size: int, fires: bool, tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_text(PRINTERS[printer](config_of(size)))
    report = analyzed(file)
    assert report["inputs"][0]["written_bytes"] == size
    messages = [finding["message"] for finding in report["findings"] if finding["rule"] == "CD101"]
    assert bool(messages) is fires
    if fires:
        assert messages[0].startswith("The cache config has 1,048,577 bytes as BuildKit writes it, 1 more than")


def test_a_blob_counts_as_it_is(tmp_path: Path) -> None:
    """In a layout or a registry the blob is what BuildKit would import, however it was printed."""
    layout = tmp_path / "layout"
    shutil.copytree(MANIFEST_LIST, layout)
    (document,) = load(str(layout))
    data = json.dumps(json.loads((layout / "blobs/sha256" / document.digest[7:]).read_bytes()), indent=2).encode()
    (tmp_path / "new").write_bytes(data)
    (bare,) = load(str(tmp_path / "new"))
    (layout / "blobs/sha256" / bare.digest[7:]).write_bytes(data)
    manifest = json.loads((layout / "blobs/sha256" / document.manifest_digest[7:]).read_text())
    manifest["manifests"][-1] |= {"digest": bare.digest, "size": len(data)}
    file = layout / "blobs/sha256/manifest"
    file.write_text(json.dumps(manifest))
    (read,) = analyzed(file)["inputs"]
    assert (read["reformatted"], read["written_bytes"]) == (False, len(data))


def test_repair_says_nothing_about_it(tmp_path: Path) -> None:
    """It writes what BuildKit would write."""
    file = tmp_path / "cache.json"
    file.write_text(PRINTERS["jq"](json.loads(SERVICE.read_bytes())))
    got = run("repair", file, "-o", tmp_path / "new.json")
    assert (got.returncode, got.stderr) == (0, b"")
    assert (tmp_path / "new.json").read_bytes() == SERVICE.read_bytes()


def test_one_of_several_sources_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    file.write_text(PRINTERS["jq"](json.loads(SERVICE.read_bytes())))
    text = " ".join(run("analyze", SERVICE, file.name, "-q", cwd=tmp_path).stdout.decode().split())
    assert text.count("was reformatted") == 1
    assert " cache.json: The file was reformatted" in text


def test_a_selector_may_have_spaces(tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    config = {"records": [record("root"), record("run", [(0, "a b, c: d")])]}
    file.write_text(json.dumps(config, separators=(",", ":")))
    assert digest("root") in file.read_text()
    assert analyzed(file)["inputs"][0]["reformatted"] is False


VALUES = st.recursive(
    st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES)
def test_compact_json_is_recognized(value: object) -> None:
    """Whatever spaces, quotes and backslashes its strings have."""
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    assert is_compact(compact)
    assert not is_compact(compact + b"\n")
    assert not is_compact(json.dumps({"some": [value, 1]}).encode())
    assert not is_compact(json.dumps([value], indent=1).encode())
