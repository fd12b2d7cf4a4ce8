"""Repaired caches are written to registries: config and manifest, while the layers stay where they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cachedoctor.buildkit import CACHE_CONFIG
from cachedoctor.sources import load
from cachedoctor.sources.registry.writer import is_cache
from tests.registries import Client, ask, push, push_blob, push_manifest
from tests.servers import Exchange, Respond, Server, forward
from tests.sources.layouts import IMAGE_MANIFEST, INDEX, INLINE, MANIFEST, MANIFEST_LIST, PLATFORMS
from tests.sources.tiny_registry import digest
from tests.support import FIXTURES

ACCEPT = {"Accept": f"{MANIFEST}, {INDEX}, application/vnd.docker.distribution.manifest.list.v2+json"}
_numbers = count()


@pytest.fixture
def app(registry: str) -> str:
    """A new repository, with an image manifest as `main` and a manifest list as `list`."""
    name = f"repair/app{next(_numbers)}"
    push(registry, IMAGE_MANIFEST, name, "main")
    push(registry, MANIFEST_LIST, name, "list")
    return f"{registry}/{name}"


def manifest(reference: str) -> bytes | None:
    """What a registry has under `HOST/REPO:TAG` or `HOST/REPO@DIGEST`."""
    host, _, rest = reference.partition("/")
    repository, _, tag = rest.partition("@") if "@" in rest else rest.rpartition(":")
    status, _, data = ask(host, "GET", f"/v2/{repository}/manifests/{tag}", None, ACCEPT)
    return data if status == 200 else None


@pytest.mark.parametrize(("tag", "kind"), [("main", "image-manifest"), ("list", "manifest-list")])
def test_writes_a_new_tag(app: str, client: Client, tag: str, kind: str) -> None:
    before = manifest(f"{app}:{tag}")
    report = client.json("repair", f"docker://{app}:{tag}", "-o", f"docker://{app}:fixed", "--prune", "minimal")
    assert report["output"]["path"] == f"docker://{app}:fixed"
    assert report["lost"] == {"records": 0, "results": 0}
    (source,) = load(f"docker://{app}:{tag}")
    (written,) = load(f"docker://{app}:fixed")
    assert (written.kind, written.digest, written.blobs) == (kind, report["output"]["digest"], source.blobs)
    assert written.descriptors == source.descriptors
    assert report["after"]["links"] < report["before"]["links"]
    assert manifest(f"{app}:{tag}") == before


def test_moves_a_tag_only_with_force(app: str, client: Client) -> None:
    before = manifest(f"{app}:list")
    source = f"docker://{app}:main"
    assert "there is a tag 'list' already; use --force to move it" in client.refused(
        "repair", source, "-o", f"docker://{app}:list"
    )
    assert "there is a tag 'main' already" in client.refused("repair", source, "-o", source)
    assert manifest(f"{app}:list") == before
    client.json("repair", source, "-o", source, "--force", "--prune", "minimal")
    client.json("repair", source, "-o", f"docker://{app}:list", "--force")
    assert manifest(f"{app}:list") == manifest(f"{app}:main") != before


def test_dry_run_only_reads_the_source(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(forward(host)) as front:
        url = f"docker://{front.address}/{repository}"
        assert client.json("repair", f"{url}:main", "-o", f"{url}:new", "--dry-run")["output"]["path"] is None
        assert {path.split()[0] for path in front.paths} == {"GET"}
        assert len(front.paths) == 2


def test_asks_for_each_layer_and_fetches_none(app: str, client: Client) -> None:
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


def test_mounts_layers_from_another_repository(app: str, client: Client) -> None:
    client.json("repair", f"docker://{app}:main", "-o", f"docker://{app}-copy/deep:x")
    (source,) = load(f"docker://{app}:main")
    (written,) = load(f"docker://{app}-copy/deep:x")
    assert (written.config, written.descriptors) == (source.config, source.descriptors)
    host, _, repository = app.partition("/")
    for blob in source.blobs or ():
        assert ask(host, "HEAD", f"/v2/{repository}-copy/deep/blobs/{blob}")[0] == 200


def without_mounts(address: str) -> Respond:
    """A registry that begins an upload instead of mounting, which the protocol allows."""

    def respond(exchange: Exchange) -> None:
        exchange.path = exchange.path.partition("?mount=")[0]
        forward(address)(exchange)

    return respond


def test_a_registry_may_not_mount(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(without_mounts(host)) as front:
        source = f"docker://{front.address}/{repository}:main"
        line = client.refused("repair", source, "-o", f"docker://{front.address}/{repository}-x:new")
        assert f"the registry does not mount it from {repository}" in line
        assert not any(path.startswith(("PUT ", "DELETE ")) for path in front.paths)
    assert manifest(f"{app}-x:new") is None


def test_refuses_another_registry_with_the_reason(app: str, client: Client) -> None:
    with Server(forward(app.partition("/")[0])) as other:
        line = client.refused("repair", f"docker://{app}:main", "-o", f"docker://{other.address}/elsewhere:main")
    assert "it is in another registry" in line
    assert manifest(f"{app.partition('/')[0]}/elsewhere:main") is None


def test_merges_several_sources_into_one_tag(app: str, client: Client) -> None:
    host = app.partition("/")[0]
    push(host, INLINE, f"{app.partition('/')[2]}/image", "v1")
    sources = [f"docker://{app}/image:v1", f"docker://{app}:main"]
    client.json("repair", *sources, "-o", f"docker://{app}:joined")
    (written,) = load(f"docker://{app}:joined")
    assert written.kind == "image-manifest"
    assert set(written.blobs or ()) == {blob for source in sources for blob in load(source)[0].blobs or ()}


def test_targets_that_cannot_be_written(app: str, client: Client) -> None:
    source = f"docker://{app}:main"
    for target, problem in (
        (f"docker://{app}", "names no tag"),
        (f"docker://{app}@sha256:{'0' * 64}", "a digest cannot be written to"),
        (f"docker://{app}:t@sha256:{'0' * 64}", "a digest cannot be written to"),
        ("docker://127.0.0.1:1/App:t", "names no repository"),
        ("docker://somebody:open-sesame-5@127.0.0.1:1/app:t", "must not contain credentials"),
    ):
        assert problem in client.refused("repair", source, "-o", target)
    assert f"-o {source} --force" in client.run("repair", source, "--in-place").stderr.decode()


def test_writes_a_file_to_the_repository_of_its_layers(app: str, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "cache.json"
    client.json("repair", f"docker://{app}:main", "-o", file)
    client.json("repair", file, "-o", f"docker://{app}:from-file")
    (source,) = load(f"docker://{app}:main")
    (written,) = load(f"docker://{app}:from-file")
    assert (written.config, written.blobs) == (source.config, source.blobs)
    for blob, descriptor in written.descriptors.items():
        assert {key: source.descriptors[blob][key] for key in ("mediaType", "digest", "size")} == descriptor
    line = client.refused("repair", FIXTURES / "manifests/service.json", "-o", f"docker://{app}:service")
    assert "layers are not uploaded" in line
    assert manifest(f"{app}:service") is None


def test_annotations_give_the_type_of_layers(registry: str, client: Client, tmp_path: Path) -> None:
    """The `s3` backend writes it for each layer."""
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


def test_writes_a_layout_to_a_registry_that_has_its_layers(app: str, client: Client) -> None:
    client.json("repair", MANIFEST_LIST, "-o", f"docker://{app}:from-layout")
    assert load(f"docker://{app}:from-layout")[0].kind == "manifest-list"


def test_a_registry_cannot_be_written_to_a_layout(app: str, client: Client, tmp_path: Path) -> None:
    assert "not from a registry" in client.refused("repair", f"docker://{app}:main", "-o", f"oci:{tmp_path}/new")


def test_does_not_tag_a_config_that_reads_back_differently(app: str, client: Client) -> None:
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


def test_reports_a_manifest_that_the_registry_changed(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")

    def changing(exchange: Exchange) -> None:
        put.extend([exchange.path] if exchange.method == "PUT" else [])
        if exchange.method == "GET" and put and exchange.path.endswith("/manifests/new") and put[-1] == exchange.path:
            exchange.answer(200, b"{}")
        else:
            forward(host)(exchange)

    put: list[str] = []
    with Server(changing) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new")
    assert "is not what was written" in line
    assert "'new' has been moved, and did not exist before" in line


def answering(address: str, where: Callable[[Exchange], bool], answer: Respond) -> Respond:
    """A registry that gives another answer if `where` says so, once something has been put."""
    put: list[str] = []

    def respond(exchange: Exchange) -> None:
        put.extend([exchange.path] if exchange.method == "PUT" else [])
        (answer if put and where(exchange) else forward(address))(exchange)

    return respond


@pytest.mark.parametrize("what", ["blobs", "manifests"])
def test_does_not_tag_what_cannot_be_read_back(app: str, client: Client, what: str) -> None:
    host, _, repository = app.partition("/")
    lost = answering(
        host,
        lambda exchange: exchange.method == "GET" and f"/{what}/sha256:" in exchange.path,
        lambda exchange: exchange.answer(404, b"{}"),
    )
    with Server(lost) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        assert "back" in line
        assert "404" in line
    assert manifest(f"{app}:new") is None


def test_does_not_put_a_tag_that_it_cannot_look_at(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    silent = answering(host, lambda exchange: exchange.path.endswith("/manifests/new"), Exchange.drop)
    with Server(silent) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        assert "may have been moved" not in line
        assert not any(path.startswith("PUT ") and path.endswith("/new") for path in front.paths)


def of_blobs(address: str, answer: Respond) -> Respond:
    """A registry that gives another answer if it is asked whether it has a blob."""
    return lambda exchange: (answer if exchange.method == "HEAD" else forward(address))(exchange)


def test_a_repository_may_have_lost_a_layer_of_its_own(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(of_blobs(host, lambda exchange: exchange.answer(404))) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new")
    assert f"is not in {repository}, although the manifest lists it; --verify-blobs leaves out" in line


def test_a_layer_of_another_size_is_another_layer(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(of_blobs(host, lambda exchange: exchange.answer(200, b"x"))) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new")
    assert "has 1 bytes there, expected " in line


def test_the_size_of_a_layer_has_to_be_known(app: str, client: Client, tmp_path: Path) -> None:
    """The manifest of a source may say it; a config alone does not."""
    host, _, repository = app.partition("/")
    client.json("repair", f"docker://{app}:main", "-o", tmp_path / "cache.json")
    with Server(of_blobs(host, lambda exchange: exchange.begin(200, {"connection": "close"}))) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", tmp_path / "cache.json", "-o", f"{url}:new")
        assert "the registry does not say the size of layer" in line
        client.json("repair", f"{url}:main", "-o", f"{url}:new")
    assert manifest(f"{app}:new") is not None


def test_lists_a_blob_of_several_layers_once(app: str, client: Client, tmp_path: Path) -> None:
    (source,) = load(f"docker://{app}:main")
    blob = source.config.blobs[0]
    config = {
        "layers": [{"blob": blob, "parent": -1}, {"blob": blob}],
        "records": [{"layers": [{"layer": 0}, {"layer": 1}], "digest": blob}],
    }
    (tmp_path / "cache.json").write_text(json.dumps(config))
    client.json("repair", tmp_path / "cache.json", "-o", f"docker://{app}:twice")
    written = json.loads(manifest(f"{app}:twice") or b"")
    assert [layer["digest"] for layer in written["layers"]] == [blob]
    assert load(f"docker://{app}:twice")[0].config.parents == [-1, 0]


def test_uploads_to_no_other_host(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    with Server(lambda exchange: exchange.answer(201)) as elsewhere:

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


BAD_UPLOADS = [
    "",
    "https://[x",
    "http://[",
    "https://HOST/v2/app/blobs/uploads/x",
    "http://somebody:word@HOST/v2/app/blobs/uploads/x",
    "http://@HOST/v2/app/blobs/uploads/x",
    "http://HOST:99999/v2/app/blobs/uploads/x",
    "https://registry.example.com/v2/app/blobs/uploads/x",
    "//registry.example.com/v2/app/blobs/uploads/x",
    "/v2/app/manifests/main",
    "/v2/app/manifests/uploads",
    "/v2/app/blobs/uploads/../../manifests/main",
    "/v2/app/blobs/uploads/%2e%2e/%2E%2E/manifests/main",
    "/v2/app/uploads/manifests%2Fmain",
    "/v2/uploads/manifests/main/",
    "/elsewhere",
    "javascript:uploads/",
    "/\xff\xfe",
]


@pytest.mark.slow
@pytest.mark.parametrize("location", BAD_UPLOADS)
def test_uploads_only_to_where_uploads_are(app: str, client: Client, location: str) -> None:
    """Whatever a registry names for an upload: one line, and nothing is put there, nor deleted."""
    host, _, repository = app.partition("/")

    def leading_astray(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.answer(202, b"", {"Location": location.replace("HOST", front.address)} if location else {})
        else:
            forward(host)(exchange)

    with Server(leading_astray) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        assert "no address for it that can be trusted" in line
        client.refused("repair", f"{url}:main", "-o", f"docker://{front.address}/{repository}-z:new")
        assert not any(path.startswith(("PUT ", "DELETE ")) for path in front.paths)


@pytest.mark.parametrize(
    "location", ["/artifacts-uploads/namespaces/n/repositories/r/uploads/x?a=b&a=%2B&e=", "upload/x"]
)
def test_uploads_may_be_anywhere_in_the_registry(app: str, client: Client, location: str) -> None:
    """The spec leaves the address to the registry, and its query is kept as it is."""
    host, _, repository = app.partition("/")
    begun: list[str] = []

    def respond(exchange: Exchange) -> None:
        if exchange.method == "POST":
            begun.append(ask(host, "POST", exchange.path, b"")[1]["location"])
            exchange.answer(202, b"", {"Location": location})
        elif exchange.method == "PUT" and "upload/" in exchange.path.replace("uploads/", "upload/"):
            query = exchange.path.rpartition("digest=")[2]
            upload = urlsplit(begun[0])
            joined = "&".join(filter(None, (upload.query, f"digest={query}")))
            status, _, body = ask(host, "PUT", f"{upload.path}?{joined}", exchange.body)
            exchange.answer(status, body)
        else:
            forward(host)(exchange)

    with Server(respond) as front:
        url = f"docker://{front.address}/{repository}"
        client.json("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
        (put,) = [path for path in front.paths if path.startswith("PUT ") and "upload" in path]
        expected = location if location.startswith("/") else f"/v2/{repository}/blobs/uploads/{location}"
        assert put.startswith(f"PUT {expected}{'&' if '?' in location else '?'}digest=sha256:")


def test_keeps_a_tag_that_moved_since_it_was_read(app: str, client: Client) -> None:
    """A build exports a newer cache between reading and writing: it is not lost."""
    host, _, repository = app.partition("/")
    newer = manifest(f"{app}:list") or b""
    (old,) = load(f"docker://{app}:main")
    for tag, options in ((":main", ()), ("", ("--tag", "main"))):
        push_manifest(host, repository, "main", manifest(f"{app}@{old.manifest_digest}") or b"")
        with Server(moving(host, lambda: push_manifest(host, repository, "main", newer))) as front:
            url = f"docker://{front.address}/{repository}"
            target = f"{url}:main"
            line = client.refused("repair", url + tag, "-o", target, *options, "--force", "--prune", "minimal")
            assert "'main' has moved since it was read" in line
            assert digest(newer) in line
            assert old.manifest_digest in line
        assert manifest(f"{app}:main") == newer


def moving(address: str, move: Callable[[], None]) -> Respond:
    """A registry in which somebody moves a tag once, after the manifest has been put under its digest."""
    left = [move]

    def respond(exchange: Exchange) -> None:
        forward(address)(exchange)
        if exchange.method == "PUT" and "/manifests/sha256:" in exchange.path and left:
            left.pop()()

    return respond


def test_does_not_put_a_tag_that_vanished_since_it_was_read(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")

    def respond(exchange: Exchange) -> None:
        seen.append(exchange.path)
        if exchange.path.endswith("/manifests/main") and seen.count(exchange.path) > 1:
            exchange.answer(404, b"{}")
        else:
            forward(host)(exchange)

    seen: list[str] = []
    with Server(respond) as front:
        url = f"docker://{front.address}/{repository}:main"
        line = client.refused("repair", url, "-o", url, "--force", "--prune", "minimal")
        assert "does not exist any more" in line
        assert not any(path.startswith("PUT ") for path in front.paths)


def test_keeps_a_tag_that_appeared_in_the_meantime(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    other = manifest(f"{app}:list") or b""
    with Server(moving(host, lambda: push_manifest(host, repository, "new", other))) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new", "--prune", "minimal")
    assert "there is a tag 'new' already; use --force to move it" in line
    assert manifest(f"{app}:new") == other


def test_reports_what_a_tag_held_before_so_that_it_can_be_restored(app: str, client: Client) -> None:
    url = f"docker://{app}:main"
    before = manifest(f"{app}:main") or b""
    new = client.json("repair", url, "-o", f"docker://{app}:new", "--prune", "minimal")
    assert new["output"]["replaced"] is None
    report = client.json("repair", url, "-o", url, "--force", "--prune", "minimal")
    assert report["output"]["replaced"] == digest(before)
    assert manifest(f"{app}@{digest(before)}") == before
    held = digest(manifest(f"{app}:list") or b"")
    text = client.run("repair", url, "-o", f"docker://{app}:list", "--force").stdout.decode()
    assert f"Wrote docker://{app}:list, which held {held} before: " in " ".join(text.split())
    dry = client.json("repair", url, "-o", url, "--dry-run", "--force")
    assert dry["output"]["replaced"] is None


def test_looks_at_a_tag_before_each_attempt(app: str, client: Client) -> None:
    """A busy registry is asked again, and much may happen until then."""
    host, _, repository = app.partition("/")
    newer = manifest(f"{app}:list") or b""

    def busy(exchange: Exchange) -> None:
        if exchange.method == "PUT" and exchange.path.endswith("/manifests/main") and not failed:
            failed.append(exchange.path)
            push_manifest(host, repository, "main", exchange.body if lost else newer)
            exchange.answer(503)
        else:
            forward(host)(exchange)

    before = digest(manifest(f"{app}:main") or b"")
    for lost in (True, False):
        failed: list[str] = []
        with Server(busy) as front:
            url = f"docker://{front.address}/{repository}:main"
            arguments = ("repair", url, "-o", url, "--force", *(("--prune", "minimal") if lost else ()))
            if lost:
                assert client.json(*arguments)["output"]["replaced"] == before
            else:
                assert "has moved since it was read" in client.refused(*arguments)
                assert manifest(f"{app}:main") == newer


def test_a_tag_may_have_moved_if_the_answer_is_lost(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")

    def silent(exchange: Exchange) -> None:
        if exchange.method == "PUT" and exchange.path.endswith("/manifests/new"):
            push_manifest(host, repository, "new", exchange.body)
            exchange.drop()
        else:
            forward(host)(exchange)

    with Server(silent) as front:
        url = f"docker://{front.address}/{repository}"
        line = client.refused("repair", f"{url}:main", "-o", f"{url}:new")
    assert "'new' may have been moved nonetheless, and did not exist before" in line
    assert manifest(f"{app}:new") is not None


def test_never_replaces_an_image(app: str, client: Client) -> None:
    host, _, repository = app.partition("/")
    images = f"{repository}/image"
    push(host, INLINE, images, "v1")
    push(host, PLATFORMS, images, "all")
    for tag in ("v1", "all"):
        before = manifest(f"{host}/{images}:{tag}")
        assert before is not None
        for source in (f"docker://{host}/{images}:{tag}", f"docker://{app}:main"):
            line = client.refused("repair", source, "-o", f"docker://{host}/{images}:{tag}", "--force")
            assert f"'{tag}' holds an image" in line
            assert "name another tag" in line
        assert manifest(f"{host}/{images}:{tag}") == before


CACHE, IMAGE = CACHE_CONFIG, "application/vnd.oci.image.config.v1+json"


@pytest.mark.parametrize(
    ("document", "cache"),
    [
        ({"config": {"mediaType": CACHE}}, True),
        ({"config": {"mediaType": IMAGE}}, False),
        ({"manifests": [{"mediaType": "application/x"}, {"mediaType": CACHE}]}, True),
        ({"manifests": [{"mediaType": CACHE}], "config": {"mediaType": IMAGE}}, False),
        ({"manifests": [{"mediaType": MANIFEST}, {"mediaType": CACHE}]}, False),
        ({"manifests": [{"mediaType": MANIFEST}]}, False),
        ({"manifests": []}, False),
        ({"manifests": [{"mediaType": []}]}, False),
        ({"config": "x"}, False),
        ({}, False),
        ([], False),
    ],
)
def test_tells_a_cache_from_an_image(document: object, cache: bool) -> None:
    assert is_cache(json.dumps(document).encode()) is cache
    assert not is_cache(b"not JSON")


def test_writes_to_a_private_registry(private: str, client: Client) -> None:
    url = f"docker://{private}/team/app"
    client.log_in(private)
    client.json("repair", f"{url}:main", "-o", f"{url}:fixed", "--force")
    client.json("repair", f"{url}:main", "-o", f"docker://{private}/team/other:x", "--force")
    assert client.json("analyze", f"{url}:fixed", f"docker://{private}/team/other:x")["verdict"] == "ok"
    client.config()
    assert "docker login" in client.refused("repair", f"{url}:main", "-o", f"{url}:more")
