"""JSON as people paste it is read if that is safe; otherwise one line says what it is and what to run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.sources import load, pasted
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLAIN
from tests.sources.test_saved import config_of
from tests.support import FIXTURES, run

SERVICE = FIXTURES / "manifests/service.json"
JSON = json.dumps(json.loads(SERVICE.read_bytes()), indent=2)
DIGEST = "sha256:" + "7e" * 32
MANIFEST = {
    "schemaVersion": 2,
    "config": {"mediaType": "application/vnd.buildkit.cacheconfig.v0", "size": 1360, "digest": DIGEST},
    "layers": [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + "13" * 32, "size": 9}
    ],
}
COMMENTED = json.dumps(MANIFEST, indent=2).replace("    }\n  ]", "    },\n    // ...\n  ]")


def refused(text: str | bytes, tmp_path: Path, *options: str) -> str:
    file = tmp_path / "pasted.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    got = run("analyze", file, *options)
    assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (2, b"", 1)
    return got.stderr.decode()


def analyzed(text: str, tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "pasted.txt"
    file.write_text(text)
    got = run("analyze", file, "--format", "json")
    assert (got.returncode, got.stderr) == (0, b"")
    document: dict[str, Any] = json.loads(got.stdout)
    return document


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{JSON}\n```\n",
        f"This is our cache config:\n\n~~~\n{JSON}\n~~~\nand it is slow.\n",
        f"$ cat manifest.json\n{JSON}\n$ \n",
        f"# from the registry\n// today\n{JSON}\n",
        JSON.replace("{", "{ // the beginning", 1),
        JSON.replace("{", "{ /* the\n beginning */", 1),
        JSON.replace("{", "{ # the beginning", 1),
        JSON[:-1] + ",\n}",
        f"```\nsome output\n```\n```json\n{JSON}\n```\n",
        f"[INFO] reading\n{JSON}\n[INFO] done\n",
        f"```json\n{JSON}\n",
    ],
)
def test_reads_a_config_with_something_around_it(text: str, tmp_path: Path) -> None:
    report = analyzed(text, tmp_path)
    (read,) = report["inputs"]
    assert (read["kind"], read["records"], read["layers"]) == ("cache-config", 11, 8)
    assert (read["reformatted"], read["bytes"]) == (True, len(text.encode()))
    assert read["written_bytes"] == SERVICE.stat().st_size
    assert f"it has {len(text.encode()):,} bytes, and BuildKit writes this config in 3,091." in read["notes"][0]
    assert read["notes"][1:] == ["Comments, code fences, or the text around the JSON were ignored."]
    assert report["graph"] == json.loads(run("analyze", SERVICE, "--format", "json").stdout)["graph"]


def test_a_commented_manifest_is_read_beside_its_blobs(tmp_path: Path) -> None:
    (document,) = load(str(MANIFEST_LIST))
    folder = tmp_path / "layout/blobs/sha256"
    shutil.copytree(MANIFEST_LIST, tmp_path / "layout")
    manifest = json.loads((folder / document.manifest_digest[7:]).read_bytes())
    text = "// pulled today\n" + json.dumps(manifest, indent=2).replace("[", "[ // blobs", 1)
    (folder / "pasted").write_text(text)
    got = run("analyze", folder / "pasted", "--format", "json")
    (read,) = json.loads(got.stdout)["inputs"]
    assert (read["kind"], read["blobs"]["absent"]) == ("manifest-list", [])


@pytest.mark.parametrize(
    "text",
    [
        COMMENTED,
        f"```jsonc\n{COMMENTED}\n```",
        COMMENTED.replace("// ...", "..."),
        COMMENTED.replace("// ...", "# 12 more layers"),
        COMMENTED.replace("// ...", "/* snip */"),
        COMMENTED.replace("// ...", "…"),
        json.dumps(MANIFEST),
        f"// from the registry\n{json.dumps(MANIFEST)}",
    ],
)
def test_a_manifest_alone_says_which_blob_is_needed(text: str, tmp_path: Path) -> None:
    line = refused(text, tmp_path)
    assert f"what is needed is the config that it names, {DIGEST}: run cachedoctor analyze docker://REF" in line
    assert f"crane blob REPO@{DIGEST}" in line


def test_a_digest_may_be_cut(tmp_path: Path) -> None:
    line = refused(json.dumps(MANIFEST).replace(DIGEST, "sha256:7e7e…"), tmp_path)
    assert "'sha256:7e7e…' is not a digest, but the manifest names its cache config by it" in line


def test_an_index_of_blobs_alone_names_its_config(tmp_path: Path) -> None:
    layer, config = MANIFEST["layers"][0], MANIFEST["config"]  # type: ignore[index]
    text = json.dumps({"schemaVersion": 2, "manifests": [layer, config]}, indent=1).replace("[", "[ // ...", 1)
    assert f"the config that it names, {DIGEST}" in refused(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        JSON.replace('"records": [', '"records": [ // ... and many more', 1),
        JSON.replace('"records": [', '"records": [ ...', 1),
        COMMENTED.replace(DIGEST, "sha256:…"),
        json.dumps({"schemaVersion": 2, "manifests": [{"digest": DIGEST}]}).replace("]", "/* and more */]"),
        COMMENTED.replace(DIGEST, "../../etc/passwd\\u001b[31m"),
    ],
)
def test_what_was_left_out_cannot_be_analyzed(text: str, tmp_path: Path) -> None:
    line = refused(text, tmp_path)
    assert "JSON of which parts were left out, so the rest cannot be analyzed; pass all of it, or run" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"```\n{JSON}\n```\n```\n{JSON}\n```", "not a JSON object"),
        (f"{JSON}\n{JSON}", "expected JSON: unexpected content after document"),
        (f"text\n{JSON[:-2]}", "not a JSON object, or not all of one"),
        (JSON[:-2], "it seems to be cut short"),
        ("[INFO] nothing here", "expected JSON"),
        ("a log\nwithout any JSON\n", "byte 0: not a JSON object; expected"),
        ("text\n{oops}\n", "not a JSON object"),
        ("text\n[{oops}]\n", "expected JSON"),
        (b"text \xff\n{}", "not a JSON object"),
        ("text\n{}\n", "an empty object"),
        ('text\n{"level": "info"}\n', "an object with the keys level"),
        ("<html>\n{}\n", "HTML"),
    ],
)
def test_whatever_is_ambiguous_or_broken_is_refused(text: str | bytes, says: str, tmp_path: Path) -> None:
    assert says in refused(text, tmp_path)


INSPECT = [{"Id": "sha256:1", "RepoTags": ["example.com/app:v1"], "RootFS": {"Type": "layers", "Layers": []}}]
SKOPEO = {"Name": "example.com/app", "Digest": DIGEST, "RepoTags": ["v1"], "Layers": [DIGEST], "Env": None}
TOOLS = {"name": "example.com/app:v1", "manifest": {"digest": DIGEST}, "image": {"rootfs": {}}}
VERBOSE = {"Ref": "example.com/app:v1", "Descriptor": {"digest": DIGEST}, "OCIManifest": MANIFEST}
TEXT = f"""Name:      example.com/app:v1
MediaType: application/vnd.oci.image.index.v1+json
Digest:    {DIGEST}

Manifests:
  Name:      example.com/app:v1@{DIGEST}
"""


@pytest.mark.parametrize(
    ("output", "tool", "command"),
    [
        (INSPECT, "docker inspect", "docker://example.com/app:v1, or: docker save example.com/app:v1 | cachedoctor"),
        (INSPECT[0], "docker inspect", "docker://example.com/app:v1"),
        ([{"Id": "1", "State": {}, "Image": "x"}], "docker inspect", "docker://REF, or: docker save IMAGE |"),
        (SKOPEO, "skopeo inspect", f"docker://example.com/app@{DIGEST}"),
        (TOOLS, "docker buildx imagetools inspect", "docker://example.com/app:v1"),
        (VERBOSE, "docker manifest inspect -v", "docker://example.com/app:v1"),
        ([VERBOSE], "docker manifest inspect -v", "docker://example.com/app:v1"),
        (TEXT, "docker buildx imagetools inspect", "docker://example.com/app:v1"),
        (f"$ docker buildx imagetools inspect app\n{TEXT}", "imagetools inspect", "docker://example.com/app:v1"),
        ({**SKOPEO, "Name": "$(reboot)"}, "skopeo inspect", "docker://REF"),
        ({**TOOLS, "name": ["x"]}, "imagetools inspect", "docker://REF"),
    ],
)
def test_what_other_tools_print_is_recognized(output: Any, tool: str, command: str, tmp_path: Path) -> None:
    line = refused(output if isinstance(output, str) else json.dumps(output, indent=4), tmp_path)
    assert f"{tool}, which does not have the cache in it; run: cachedoctor analyze " in line
    assert command in line


def test_reads_an_image_config_that_a_tool_printed(tmp_path: Path) -> None:
    """`crane config`, and `docker buildx imagetools inspect --format '{{json .}}'` if it keeps the cache."""
    config = json.loads(config_of(INLINE))
    for text in (json.dumps(config), json.dumps({"name": "app", "manifest": {}, "image": config}, indent=2)):
        (read,) = analyzed(text, tmp_path)["inputs"]
        assert (read["kind"], read["records"], read["platform"]) == ("inline", 15, "linux/amd64")
    several = {"linux/amd64": config, "linux/arm64": json.loads(config_of(PLAIN))}
    (read,) = analyzed(json.dumps({"name": "app", "manifest": {}, "image": several}), tmp_path)["inputs"]
    assert read["records"] == 15


def test_reads_what_imagetools_prints_raw(tmp_path: Path) -> None:
    """`--raw` prints the manifest."""
    (document,) = load(str(IMAGE_MANIFEST))
    raw = (IMAGE_MANIFEST / "blobs/sha256" / document.manifest_digest[7:]).read_text()
    assert f"crane blob REPO@{document.digest}" in refused(raw, tmp_path)
    shutil.copy(IMAGE_MANIFEST / "blobs/sha256" / document.digest[7:], tmp_path)
    assert analyzed(raw, tmp_path)["inputs"][0]["kind"] == "image-manifest"


def test_reads_from_standard_input() -> None:
    got = run("analyze", "-", "--format", "json", stdin=f"```\n{JSON}\n```".encode())
    assert json.loads(got.stdout)["inputs"][0]["records"] == 11


def test_a_large_text_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cachedoctor.sources import content

    monkeypatch.setattr(content, "MOST_TEXT", 100)
    assert "not a JSON object" in refused(f"text\n{JSON}", tmp_path)
    monkeypatch.setattr(pasted, "MOST_BYTES", 100)
    assert "expected JSON" in refused(JSON.replace("{", "{ // comment", 1), tmp_path)


VALUES = st.recursive(
    st.text() | st.integers() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
COMMENTS = st.sampled_from(["// note\n", "# note\n", "/* note\n * / */", "/**/", "\n", " "])


@given(st.dictionaries(st.text(), VALUES, min_size=1) | st.lists(VALUES, min_size=1), st.lists(COMMENTS, min_size=1))
def test_what_is_found_is_what_was_commented(value: object, comments: list[str]) -> None:
    """Whatever its strings have in them, such as comments, fences and brackets."""
    lines = json.dumps(value, indent=1).split("\n")
    text = "".join(line + comments[index % len(comments)] + "\n" for index, line in enumerate(lines))
    found = pasted.find(f"Some text:\n{text}".encode())
    assert found is not None
    assert (json.loads(found.data), found.is_cut) == (value, False)


@given(st.text() | st.text('{}[]"\\/*#.,:`~ \n…', max_size=60))
def test_any_text_has_an_answer(text: str) -> None:
    found = pasted.find(text.encode(errors="replace"))
    assert found is None or found.data[:1] in b"{["


@pytest.mark.parametrize("piece", ["{", "[\n", '"', "/*", "//", ", ", "```\n", "{[\n", '{"a\n', "...", ",\n\n"])
def test_no_text_takes_long(piece: str) -> None:
    """A quadratic search would take hours for this."""
    assert pasted.find((f"{{\n{piece * (1 << 20)}").encode()[: 4 << 20]) is None
