"""The command, in processes of its own, with Debian's docker-registry: it is not only our own server that it suits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachedoctor.sources import load
from tests.registries import REAL, Client, ask, available, protected, public, push
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLATFORMS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not available(), reason="docker-registry is not installed; CACHEDOCTOR_REQUIRE_REGISTRY=1"),
]
LAYOUTS = {"image-manifest": IMAGE_MANIFEST, "manifest-list": MANIFEST_LIST, "inline": INLINE, "platforms": PLATFORMS}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a public docker-registry, with the layouts as tags of `app`."""
    with public(REAL, tmp_path_factory.mktemp("registry"), LAYOUTS) as address:
        yield address


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a docker-registry that requires a password."""
    with protected(REAL, tmp_path_factory.mktemp("private"), IMAGE_MANIFEST) as address:
        yield address


@pytest.fixture
def client(client: Client) -> Client:
    """The command, in a process of its own."""
    client.process = True
    return client


@pytest.mark.parametrize("tag", LAYOUTS)
def test_reads_what_a_layout_has(registry: str, client: Client, tag: str) -> None:
    report = client.json("analyze", f"docker://{registry}/app:{tag}", "--verify-blobs")
    expected = client.json("analyze", LAYOUTS[tag])
    for document, place in ((report, "registry"), (expected, "folder")):
        for source in document["inputs"]:
            del source["source"]
            assert source["blobs"].pop("place") == place
    assert report["inputs"] == expected["inputs"]
    assert (report["graph"], report["cost"]) == (expected["graph"], expected["cost"])


def test_refuses_what_does_not_exist(registry: str, client: Client) -> None:
    line = client.refused("check", f"docker://{registry}/none/none:main")
    assert "or no such repository (404)" in line
    assert client.run("check", f"docker://{registry}/app:none", "--missing-ok").returncode == 0
    assert "(404)" in client.refused("check", f"docker://{registry}/app@sha256:{'0' * 64}", "--missing-ok")


@pytest.mark.parametrize(("tag", "kind"), [("image-manifest", "image-manifest"), ("manifest-list", "manifest-list")])
def test_writes_a_new_tag_and_reads_it_back(registry: str, client: Client, tag: str, kind: str) -> None:
    source, target = f"docker://{registry}/app:{tag}", f"docker://{registry}/app:fixed-{tag}"
    report = client.json("repair", source, "-o", target, "--prune", "minimal")
    (original,), (written,) = load(source), load(target)
    assert (written.kind, written.digest, written.blobs) == (kind, report["output"]["digest"], original.blobs)
    assert written.descriptors == original.descriptors
    assert "there is a tag" in client.refused("repair", source, "-o", target)


def test_mounts_layers_and_writes_a_file_beside_them(registry: str, client: Client, tmp_path: Path) -> None:
    source = f"docker://{registry}/app:image-manifest"
    client.json("repair", source, "-o", f"docker://{registry}/copy/deep:x")
    (original,) = load(source)
    for blob in original.blobs or ():
        assert ask(registry, "HEAD", f"/v2/copy/deep/blobs/{blob}")[0] == 200
    client.json("repair", source, "-o", tmp_path / "cache.json")
    client.json("repair", tmp_path / "cache.json", "-o", f"docker://{registry}/copy/deep:from-file")
    assert load(f"docker://{registry}/copy/deep:from-file")[0].config == original.config


def test_moves_a_tag_and_reports_what_it_held(registry: str, client: Client) -> None:
    push(registry, IMAGE_MANIFEST, "moved", "main")
    url = f"docker://{registry}/moved:main"
    before = load(url)[0].manifest_digest
    report = client.json("repair", url, "-o", url, "--force", "--prune", "minimal")
    assert report["output"]["replaced"] == before
    assert load(f"docker://{registry}/moved@{before}")[0].manifest_digest == before
    assert load(url)[0].digest == report["output"]["digest"]


def test_never_replaces_an_image(registry: str, client: Client) -> None:
    for tag in ("inline", "platforms"):
        url = f"docker://{registry}/app:{tag}"
        before = [document.manifest_digest for document in load(url)]
        assert f"'{tag}' holds an image" in client.refused("repair", url, "-o", url, "--force")
        assert [document.manifest_digest for document in load(url)] == before


def test_logs_in_to_a_private_registry(private: str, client: Client) -> None:
    url = f"docker://{private}/team/app"
    assert f"docker login {private}" in client.refused("analyze", f"{url}:main")
    client.config(auths={private: {"username": "somebody", "password": "wrong-guess-7"}})
    assert "access denied (401) with the credentials for" in client.refused("analyze", f"{url}:main")
    client.log_in(private)
    client.json("repair", f"{url}:main", "-o", f"{url}:fixed")
    client.json("repair", f"{url}:main", "-o", f"docker://{private}/team/other:x")
    report = client.json("analyze", f"{url}:fixed", f"docker://{private}/team/other:x")
    assert report["verdict"] == "ok"
    assert json.loads((client.docker_config / "config.json").read_text())["auths"].keys() == {private}


def test_finds_a_blob_that_was_deleted(client: Client, tmp_path: Path) -> None:
    """As a cleanup does that does not look what manifests still list."""
    with public(REAL, tmp_path, {"main": MANIFEST_LIST}) as address:
        url = f"docker://{address}/app:main"
        (document,) = load(url)
        gone = sorted(document.blobs or ())[0]
        links = tmp_path / "data/docker/registry/v2/repositories/app/_layers/sha256"
        (links / gone.removeprefix("sha256:") / "link").unlink()
        report = client.json("analyze", url, "--verify-blobs")
        assert report["inputs"][0]["blobs"]["absent"] == [gone]
        assert "CD303" in [finding["rule"] for finding in report["findings"]]
        assert "CD303" not in [finding["rule"] for finding in client.json("analyze", url)["findings"]]
        assert client.json("repair", url, "-o", f"docker://{address}/app:new", "--verify-blobs")["output"]["path"]
        assert (
            client.json("analyze", f"docker://{address}/app:new", "--verify-blobs")["inputs"][0]["blobs"]["absent"]
            == []
        )
