"""Caches are read from registries as from layouts, with few requests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cachedoctor.sources import Access, CacheDocument, load
from tests.registries import Client, push, push_manifest
from tests.servers import Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLATFORMS

LAYOUTS = {"image-manifest": IMAGE_MANIFEST, "manifest-list": MANIFEST_LIST, "inline": INLINE, "platforms": PLATFORMS}


def anywhere(documents: list[CacheDocument]) -> list[CacheDocument]:
    """Documents without where they came from."""
    return [replace(one, source="", named_digest="") for one in documents]


@pytest.mark.parametrize("tag", LAYOUTS)
def test_a_registry_gives_what_a_layout_gives(registry: str, tag: str) -> None:
    found = load(f"docker://{registry}/app:{tag}")
    assert anywhere(found) == anywhere(load(str(LAYOUTS[tag])))
    assert {one.source for one in found} == {f"docker://{registry}/app:{tag}"}


def test_a_digest_names_a_manifest(registry: str) -> None:
    (tagged,) = load(f"docker://{registry}/app:image-manifest")
    (found,) = load(f"docker://{registry}/app@{tagged.manifest_digest}")
    assert anywhere([found]) == anywhere([tagged])
    (both,) = load(f"docker://{registry}/app:whatever@{tagged.manifest_digest}")
    assert anywhere([both]) == anywhere([tagged])


def test_an_index_of_blobs(registry: str) -> None:
    """What BuildKit v0.21.1 pushes with `image-manifest=false`."""
    (found,) = load(f"docker://{registry}/app:image-manifest")
    manifest = json.loads((IMAGE_MANIFEST / "blobs/sha256" / found.manifest_digest.removeprefix("sha256:")).read_text())
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [*manifest["layers"], manifest["config"]],
    }
    push_manifest(registry, "app", "index", json.dumps(index).encode())
    (listed,) = load(f"docker://{registry}/app:index")
    assert listed.kind == "index"
    assert (listed.config, listed.blobs) == (found.config, found.blobs)


def test_one_platform_of_an_image(registry: str, client: Client) -> None:
    url = f"docker://{registry}/app:platforms"
    assert [one.platform for one in load(url, platform="linux/arm64")] == ["linux/arm64"]
    assert "there is linux/amd64, linux/arm64" in client.refused("analyze", url, "--platform", "linux/s390x")


def test_a_tag_that_is_not_there_yet_may_be_missing(registry: str, client: Client) -> None:
    url = f"docker://{registry}/app:none"
    assert client.run("check", url, "--missing-ok").returncode == 0
    assert "(404)" in client.refused("check", url)
    pinned = f"docker://{registry}/app@sha256:{'0' * 64}"
    assert "(404)" in client.refused("check", pinned, "--missing-ok")


def test_the_tag_may_be_an_option(registry: str, client: Client) -> None:
    assert client.json("analyze", f"docker://{registry}/app", "--tag", "inline")["inputs"][0]["kind"] == "inline"
    assert client.json("analyze", f"docker://{registry}/app:inline", "--tag", "inline")["inputs"][0]["kind"] == "inline"
    line = client.refused("analyze", f"docker://{registry}/app:inline", "--tag", "main")
    assert "names a tag, and --tag another" in line


@pytest.mark.parametrize("tag", ["image-manifest", "manifest-list", "inline"])
def test_two_requests_and_no_layer(registry: str, client: Client, tag: str) -> None:
    with Server(forward(registry)) as front:
        told = client.json("analyze", f"docker://{front.address}/app:{tag}")
        assert front.paths == [
            f"GET /v2/app/manifests/{tag}",
            f"GET /v2/app/blobs/{told['inputs'][0]['digest']}",
        ]


def test_manifests_and_configs_of_a_nested_index_and_no_layer(registry: str, client: Client) -> None:
    with Server(forward(registry)) as front:
        told = client.json("analyze", f"docker://{front.address}/app:platforms")
        configs = [f"GET /v2/app/blobs/{one['digest']}" for one in told["inputs"]]
        assert [path for path in front.paths if "/blobs/" in path] == configs
        assert len(front.paths) == 5


def test_several_sources_are_merged(registry: str, client: Client) -> None:
    told = client.json("analyze", f"docker://{registry}/app:image-manifest", f"docker://{registry}/app:inline")
    assert [one["kind"] for one in told["inputs"]] == ["image-manifest", "inline"]


def test_what_is_not_there(registry: str, client: Client) -> None:
    for name in ("app:none", "none/none:main", f"app@sha256:{'0' * 64}"):
        assert "or no such repository (404)" in client.refused("analyze", f"docker://{registry}/{name}")


def test_an_image_without_a_cache(registry: str, client: Client) -> None:
    assert "without any build cache" in client.refused("analyze", f"docker://{registry}/app:plain")


def test_a_repository_of_any_name(registry: str, client: Client) -> None:
    """Parts with dots are no hosts once there is one."""
    push(registry, IMAGE_MANIFEST, "a.b/c__d/e", "v1.0")
    assert client.json("analyze", f"docker://{registry}/a.b/c__d/e:v1.0")["inputs"][0]["records"] == 15


def test_latest_unless_named(registry: str, tmp_path: Path) -> None:
    push(registry, INLINE, "only", "latest")
    assert [one.kind for one in load(f"docker://{registry}/only")] == ["inline"]


def test_a_missing_platform_is_passed_over(registry: str) -> None:
    """An index may name manifests that were never pushed."""
    amd64, arm64 = load(f"docker://{registry}/app:platforms")
    with Server(forward(registry)) as front:
        answer = front.respond
        front.respond = lambda one: one.answer(404) if amd64.manifest_digest in one.path else answer(one)
        assert anywhere(load(f"docker://{front.address}/app:platforms")) == anywhere([arm64])


def test_access_is_plain_only_on_this_machine(client: Client) -> None:
    """Without a registry behind: what counts is how it is spoken to."""
    with Server(lambda one: one.answer(404)) as front:
        port = front.address.partition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            assert "(404)" in client.refused("analyze", f"docker://{host}/app")
        assert "--plain-http" in client.refused("analyze", f"docker://{front.address}/app", "--no-plain-http")


def test_the_default_access() -> None:
    assert Access() == Access(plain_http=None, ca_file=None, timeout=20)
