"""Caches are read from registries as from layouts, with few requests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cachedoctor.sources import Access, CacheDocument, load
from tests.registries import Client, push, push_manifest
from tests.servers import Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PLATFORMS

LAYOUTS = {"image-manifest": IMAGE_MANIFEST, "manifest-list": MANIFEST_LIST, "inline": INLINE, "platforms": PLATFORMS}


def anywhere(documents: list[CacheDocument]) -> list[CacheDocument]:
    """Documents without where they came from, and what was looked up there."""
    return [replace(document, source="", named_digest="", presence=None) for document in documents]


@pytest.mark.parametrize("tag", LAYOUTS)
def test_reads_what_a_layout_has(registry: str, tag: str) -> None:
    documents = load(f"docker://{registry}/app:{tag}")
    assert anywhere(documents) == anywhere(load(str(LAYOUTS[tag])))
    assert {document.source for document in documents} == {f"docker://{registry}/app:{tag}"}


def test_a_reference_may_leave_out_docker(registry: str) -> None:
    named = f"{registry}/app:inline"
    for source in (named, f"type=registry,ref={named}", f"ref={named},type=registry,mode=max"):
        (document,) = load(source)
        assert anywhere([document]) == anywhere(load(f"docker://{named}"))
        assert document.source == source


def test_a_digest_names_a_manifest(registry: str) -> None:
    (tagged,) = load(f"docker://{registry}/app:image-manifest")
    (pinned,) = load(f"docker://{registry}/app@{tagged.manifest_digest}")
    assert anywhere([pinned]) == anywhere([tagged])
    (both,) = load(f"docker://{registry}/app:whatever@{tagged.manifest_digest}")
    assert anywhere([both]) == anywhere([tagged])


def test_reads_an_index_of_blobs(registry: str) -> None:
    """BuildKit v0.21.1 pushes these with `image-manifest=false`."""
    (cache,) = load(f"docker://{registry}/app:image-manifest")
    blob = IMAGE_MANIFEST / "blobs/sha256" / cache.manifest_digest.removeprefix("sha256:")
    manifest = json.loads(blob.read_text())
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [*manifest["layers"], manifest["config"]],
    }
    push_manifest(registry, "app", "index", json.dumps(index).encode())
    (listed,) = load(f"docker://{registry}/app:index")
    assert listed.kind == "index"
    assert (listed.config, listed.blobs) == (cache.config, cache.blobs)


def test_reads_one_platform_of_an_image(registry: str, client: Client) -> None:
    url = f"docker://{registry}/app:platforms"
    assert [document.platform for document in load(url, platform="linux/arm64")] == ["linux/arm64"]
    assert "there is linux/amd64, linux/arm64" in client.refused("analyze", url, "--platform", "linux/s390x")


def test_a_tag_may_be_missing_but_not_a_digest(registry: str, client: Client) -> None:
    url = f"docker://{registry}/app:none"
    assert client.run("check", url, "--missing-ok").returncode == 0
    assert "(404)" in client.refused("check", url)
    pinned = f"docker://{registry}/app@sha256:{'0' * 64}"
    assert "(404)" in client.refused("check", pinned, "--missing-ok")


def test_the_tag_may_be_an_option(registry: str, client: Client) -> None:
    for source in (f"docker://{registry}/app", f"docker://{registry}/app:inline"):
        assert client.json("analyze", source, "--tag", "inline")["inputs"][0]["kind"] == "inline"
    line = client.refused("analyze", f"docker://{registry}/app:inline", "--tag", "main")
    assert "names a tag, and --tag another" in line


@pytest.mark.parametrize("tag", ["image-manifest", "manifest-list", "inline"])
def test_makes_two_requests_and_reads_no_layer(registry: str, client: Client, tag: str) -> None:
    with Server(forward(registry)) as front:
        report = client.json("analyze", f"docker://{front.address}/app:{tag}")
        assert front.paths == [
            f"GET /v2/app/manifests/{tag}",
            f"GET /v2/app/blobs/{report['inputs'][0]['digest']}",
        ]


def test_reads_manifests_and_configs_of_a_nested_index_and_no_layer(registry: str, client: Client) -> None:
    with Server(forward(registry)) as front:
        report = client.json("analyze", f"docker://{front.address}/app:platforms")
        configs = [f"GET /v2/app/blobs/{source['digest']}" for source in report["inputs"]]
        assert [path for path in front.paths if "/blobs/" in path] == configs
        assert len(front.paths) == 5


def test_merges_several_sources(registry: str, client: Client) -> None:
    report = client.json("analyze", f"docker://{registry}/app:image-manifest", f"docker://{registry}/app:inline")
    assert [source["kind"] for source in report["inputs"]] == ["image-manifest", "inline"]


def test_refuses_what_does_not_exist(registry: str, client: Client) -> None:
    for name in ("app:none", "none/none:main", f"app@sha256:{'0' * 64}"):
        assert "or no such repository (404)" in client.refused("analyze", f"docker://{registry}/{name}")


def test_refuses_an_image_without_a_cache(registry: str, client: Client) -> None:
    assert "without any build cache" in client.refused("analyze", f"docker://{registry}/app:plain")


def test_a_repository_may_have_any_name(registry: str, client: Client) -> None:
    """After a host, parts with dots are not hosts."""
    push(registry, IMAGE_MANIFEST, "a.b/c__d/e", "v1.0")
    assert client.json("analyze", f"docker://{registry}/a.b/c__d/e:v1.0")["inputs"][0]["records"] == 15


def test_the_default_tag_is_latest(registry: str) -> None:
    push(registry, INLINE, "only", "latest")
    assert [document.kind for document in load(f"docker://{registry}/only")] == ["inline"]


def test_skips_a_platform_that_was_never_pushed(registry: str) -> None:
    amd64, arm64 = load(f"docker://{registry}/app:platforms")
    with Server(forward(registry)) as front:
        answer = front.respond
        front.respond = lambda request: (
            request.answer(404) if amd64.manifest_digest in request.path else answer(request)
        )
        assert anywhere(load(f"docker://{front.address}/app:platforms")) == anywhere([arm64])


def test_plain_http_is_the_default_only_on_this_machine(client: Client) -> None:
    with Server(lambda exchange: exchange.answer(404)) as front:
        port = front.address.partition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            assert "(404)" in client.refused("analyze", f"docker://{host}/app")
        assert "--plain-http" in client.refused("analyze", f"docker://{front.address}/app", "--no-plain-http")


def test_default_access() -> None:
    assert Access() == Access(plain_http=None, ca_file=None, timeout=20)
