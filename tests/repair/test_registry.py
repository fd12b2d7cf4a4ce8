"""Repaired caches go back to registries: config and manifest, while layers stay."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from cachedoctor.sources import load
from tests.registries import Client, ask, push, push_blob
from tests.servers import Exchange, Respond, Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, INDEX, INLINE, MANIFEST, MANIFEST_LIST
from tests.sources.tiny_registry import digest
from tests.support import FIXTURES

ACCEPT = {"Accept": f"{MANIFEST}, {INDEX}, application/vnd.docker.distribution.manifest.list.v2+json"}
_numbers = count()


@pytest.fixture
def app(registry: str) -> str:
    """A repository of its own, with an image manifest as `main` and a manifest list as `list`."""
    name = f"repair/app{next(_numbers)}"
    push(registry, IMAGE_MANIFEST, name, "main")
    push(registry, MANIFEST_LIST, name, "list")
    return f"{registry}/{name}"


def manifest(reference: str) -> bytes | None:
    """What a registry has under `HOST/REPO:TAG`."""
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
    status, _, data = ask(host, "GET", f"/v2/{repository}/manifests/{tag}", None, ACCEPT)
    return data if status == 200 else None


@pytest.mark.parametrize(("tag", "kind"), [("main", "image-manifest"), ("list", "manifest-list")])
def test_a_new_tag_beside_the_old(app: str, client: Client, tag: str, kind: str) -> None:
    before = manifest(f"{app}:{tag}")
    told = client.json("repair", f"docker://{app}:{tag}", "-o", f"docker://{app}:fixed", "--prune", "minimal")
    assert told["output"]["path"] == f"docker://{app}:fixed"
    assert told["lost"] == {"records": 0, "results": 0}
    (source,) = load(f"docker://{app}:{tag}")
    (found,) = load(f"docker://{app}:fixed")
    assert (found.kind, found.digest, found.blobs) == (kind, told["output"]["digest"], source.blobs)
    assert found.descriptors == source.descriptors
    assert told["after"]["links"] < told["before"]["links"]
    assert manifest(f"{app}:{tag}") == before


def test_a_tag_that_is_there_needs_force(app: str, client: Client) -> None:
    before = manifest(f"{app}:list")
    source = f"docker://{app}:main"
    assert "there is a tag 'list' already; --force moves it" in client.refused(
        "repair", source, "-o", f"docker://{app}:list"
    )
    assert "there is a tag 'main' already" in client.refused("repair", source, "-o", source)
    assert manifest(f"{app}:list") == before
    client.json("repair", source, "-o", source, "--force", "--prune", "minimal")
    client.json("repair", source, "-o", f"docker://{app}:list", "--force")
    assert manifest(f"{app}:list") == manifest(f"{app}:main") != before


def test_a_dry_run_asks_for_nothing_but_the_source(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(forward(host)) as front:
        url = f"docker://{front.address}/{repository}"
        assert client.json("repair", f"{url}:main", "-o", f"{url}:new", "--dry-run")["output"]["path"] is None
        assert {path.split()[0] for path in front.paths} == {"GET"}
        assert len(front.paths) == 2


def test_no_layer_is_fetched_and_all_are_asked_for(app: str, client: Client) -> None:
    (source,) = load(f"docker://{app}:main")
    assert source.blobs is not None
    host, _, repository = app.partition("/")
    with Server(forward(host)) as front:
        url = f"docker://{front.address}/{repository}"
        client.json("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        asked = [f"HEAD /v2/{repository}/blobs/{blob}" for blob in source.blobs]
        assert set(asked) <= set(front.paths)
        assert not any(f"GET /v2/{repository}/blobs/{blob}" in front.paths for blob in source.blobs)
        puts = [path for path in front.paths if path.startswith("PUT ")]
        assert len(puts) == 3
        assert puts[-1] == f"PUT /v2/{repository}/manifests/new"
        assert max(front.paths.index(path) for path in asked) < front.paths.index(puts[0])


def test_layers_are_mounted_from_another_repository(app: str, client: Client) -> None:
    client.json("repair", f"docker://{app}:main", "-o", f"docker://{app}-copy/deep:x")
    (source,) = load(f"docker://{app}:main")
    (found,) = load(f"docker://{app}-copy/deep:x")
    assert (found.config, found.descriptors) == (source.config, source.descriptors)
    host, _, repository = app.partition("/")
    for blob in source.blobs or ():
        assert ask(host, "HEAD", f"/v2/{repository}-copy/deep/blobs/{blob}")[0] == 200


def without_mounts(address: str) -> Respond:
    """A registry that begins an upload instead of mounting, as the protocol allows."""

    def respond(exchange: Exchange) -> None:
        exchange.path = exchange.path.partition("?mount=")[0]
        forward(address)(exchange)

    return respond


def test_a_registry_that_does_not_mount(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(without_mounts(host)) as front:
        source = f"docker://{front.address}/{repository}:main"
        line = client.refused("repair", source, "-o", f"docker://{front.address}/{repository}-x:new")
        assert f"the registry does not mount it from {repository}" in line
        assert not any(path.startswith(("PUT ", "DELETE ")) for path in front.paths)
    assert manifest(f"{app}-x:new") is None


def test_another_registry_is_refused_with_the_reason(app: str, client: Client) -> None:
    with Server(forward(app.partition("/")[0])) as other:
        line = client.refused("repair", f"docker://{app}:main", "-o", f"docker://{other.address}/elsewhere:main")
    assert "it is in another registry" in line
    assert manifest(f"{app.partition('/')[0]}/elsewhere:main") is None


def test_several_sources_become_one_tag(app: str, client: Client) -> None:
    host = app.partition("/")[0]
    push(host, INLINE, f"{app.partition('/')[2]}/image", "v1")
    client.json("repair", f"docker://{app}/image:v1", f"docker://{app}:main", "-o", f"docker://{app}:joined")
    (found,) = load(f"docker://{app}:joined")
    assert found.kind == "image-manifest"
    assert set(found.blobs or ()) == {
        blob for one in ("/image:v1", ":main") for blob in load(f"docker://{app}{one}")[0].blobs or ()
    }


def test_targets_that_are_none(app: str, client: Client) -> None:
    source = f"docker://{app}:main"
    for target, told in (
        (f"docker://{app}", "names no tag"),
        (f"docker://{app}@sha256:{'0' * 64}", "a digest cannot be written to"),
        (f"docker://{app}:t@sha256:{'0' * 64}", "a digest cannot be written to"),
        ("docker://127.0.0.1:1/App:t", "names no repository"),
        ("docker://somebody:open-sesame-5@127.0.0.1:1/app:t", "must hold no credentials"),
    ):
        assert told in client.refused("repair", source, "-o", target)
    assert f"-o {source} --force" in client.run("repair", source, "--in-place").stderr.decode()


def test_a_file_goes_where_its_layers_are(app: str, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    client.json("repair", f"docker://{app}:main", "-o", file)
    client.json("repair", file, "-o", f"docker://{app}:from-file")
    (source,) = load(f"docker://{app}:main")
    (found,) = load(f"docker://{app}:from-file")
    assert (found.config, found.blobs) == (source.config, source.blobs)
    for blob, one in found.descriptors.items():
        assert {key: source.descriptors[blob][key] for key in ("mediaType", "digest", "size")} == one
    line = client.refused("repair", FIXTURES / "manifests/service.json", "-o", f"docker://{app}:service")
    assert "layers are not uploaded" in line
    assert manifest(f"{app}:service") is None


def test_annotations_tell_what_layers_are(registry: str, client: Client, tmp_path: Path) -> None:
    """What the `s3` backend stores says it of each layer."""
    blob = tmp_path / "blob"
    blob.write_bytes(b"a layer")
    layer = digest(b"a layer")
    push_blob(registry, "annotated", layer, b"a layer")
    config = {
        "layers": [{"blob": layer, "parent": -1, "annotations": {"mediaType": "application/x", "size": 7}}],
        "records": [{"layers": [{"layer": 0}], "digest": layer}],
    }
    (tmp_path / "cache.json").write_text(json.dumps(config))
    client.json("repair", tmp_path / "cache.json", "-o", f"docker://{registry}/annotated:t")
    written = json.loads(manifest(f"{registry}/annotated:t") or b"")
    assert written["layers"] == [{"mediaType": "application/x", "digest": layer, "size": 7}]


def test_a_layout_goes_to_a_registry_that_has_its_layers(app: str, client: Client) -> None:
    client.json("repair", MANIFEST_LIST, "-o", f"docker://{app}:from-layout")
    assert load(f"docker://{app}:from-layout")[0].kind == "manifest-list"


def test_a_registry_is_no_source_for_a_layout(app: str, client: Client, tmp_path: Path) -> None:
    assert "not from a registry" in client.refused("repair", f"docker://{app}:main", "-o", f"oci:{tmp_path}/new")


def test_what_is_read_back_decides(app: str, client: Client) -> None:
    """A registry that keeps another config than it was sent: the tag is never put."""
    host, _, repository = app.partition("/")

    def forgetful(exchange: Exchange) -> None:
        if exchange.method == "GET" and "/blobs/" in exchange.path and put:
            exchange.answer(200, b"{}")
            return
        put.extend([exchange.path] if exchange.method == "PUT" else [])
        forward(host)(exchange)

    put: list[str] = []
    with Server(forgetful) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        assert "what was read back is not what was written" in line
    assert manifest(f"{app}:new") is None


def test_a_manifest_that_is_changed_is_told(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")

    def changing(exchange: Exchange) -> None:
        if exchange.method == "GET" and exchange.path.endswith("/manifests/new"):
            exchange.answer(200, b"{}")
        else:
            forward(host)(exchange)

    with Server(changing) as front:
        url = f"docker://{front.address}/{repository}"
        assert "is not what was written" in client.refused("repair", f"{url}:main", "-o", f"{url}:new")


def test_an_upload_goes_nowhere_else_by_plain_http(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(lambda one: one.answer(201)) as elsewhere:

        def leading_away(exchange: Exchange) -> None:
            if exchange.method == "POST":
                exchange.answer(202, b"", {"Location": f"http://{elsewhere.address}/upload"})
            else:
                forward(host)(exchange)

        with Server(leading_away) as front:
            url = f"docker://{front.address}/{repository}"
            line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        assert "no address for it that can be trusted" in line
        assert elsewhere.seen == []


def test_a_private_registry(private: str, client: Client) -> None:
    url = f"docker://{private}/team/app"
    client.log_in(private)
    client.json("repair", f"{url}:main", "-o", f"{url}:fixed", "--force")
    client.json("repair", f"{url}:main", "-o", f"docker://{private}/team/other:x", "--force")
    assert client.json("analyze", f"{url}:fixed", f"docker://{private}/team/other:x")["verdict"] == "ok"
    client.config()
    assert "docker login" in client.refused("repair", f"{url}:main", "-o", f"{url}:more")
