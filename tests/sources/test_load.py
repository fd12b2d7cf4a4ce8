"""Every form of a cache is read, and known by its content."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources import CacheDocument, load
from cachedoctor.sources.oci import matches
from tests.sources.layouts import (
    CHAINS,
    CONFIG,
    IMAGE_MANIFEST,
    INDEX,
    INLINE,
    MANIFEST,
    MANIFEST_LIST,
    PACKERS,
    PLAIN,
    PLATFORMS,
    Layout,
    tar,
)
from tests.support import FIXTURES

SERVICE = FIXTURES / "manifests/service.json"
RECORDS = [{"digest": "sha256:" + "a" * 64}]


def one(source: Path | str, **options: str) -> CacheDocument:
    found = load(str(source), **options)  # type: ignore[arg-type]
    assert len(found) == 1
    return found[0]


def refused(source: Path | str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        load(str(source), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bare_config() -> None:
    found = one(SERVICE)
    assert (found.kind, found.size, found.blobs, found.manifest_size) == ("cache-config", 3091, None, None)
    assert len(found.config.digests) == 11
    assert len(found.config.blobs) == 8


@pytest.mark.parametrize("packed", PACKERS)
def test_a_name_means_nothing(packed: str, tmp_path: Path) -> None:
    file = tmp_path / "cache.exe"
    file.write_bytes(PACKERS[packed](SERVICE.read_bytes()))
    assert one(file).digest == one(SERVICE).digest
    assert load("-", stdin=io.BytesIO(file.read_bytes()))[0].digest == one(SERVICE).digest


@pytest.mark.parametrize(
    ("layout", "kind", "records", "layers"),
    [
        (IMAGE_MANIFEST, "image-manifest", 15, 8),
        (MANIFEST_LIST, "manifest-list", 15, 8),
        (INLINE, "inline", 15, 3),
        (CHAINS, "inline", 19, 3),
    ],
)
@pytest.mark.parametrize("packed", ["folder", *PACKERS])
def test_layouts(layout: Path, kind: str, records: int, layers: int, packed: str, tmp_path: Path) -> None:
    source = layout
    if packed != "folder":
        source = tmp_path / "layout"
        source.write_bytes(PACKERS[packed](tar(layout, prefix="./")))
    found = one(source)
    assert (found.kind, len(found.config.digests), len(found.config.blobs)) == (kind, records, layers)
    assert found.blobs is not None
    assert set(found.config.blobs) <= found.blobs
    assert found.manifest_size
    assert found.manifest_size > 100
    assert found.platform == ("linux/amd64" if kind == "inline" else "")


def test_inline_layers_are_each_the_child_of_the_one_before() -> None:
    assert one(INLINE).config.parents == [-1, 0, 1]
    assert one(CHAINS).config.chains


def test_a_tag_of_v0_21_that_names_another_form_of_the_manifest() -> None:
    found = one(IMAGE_MANIFEST)
    assert found.named_digest.startswith("sha256:10bd658b")
    assert found.manifest_digest.startswith("sha256:1c8fd4e0")
    assert one(MANIFEST_LIST).named_digest == ""


def test_one_cache_for_each_platform() -> None:
    assert [found.platform for found in load(str(PLATFORMS))] == ["linux/amd64", "linux/arm64"]
    assert one(PLATFORMS, platform="linux/arm64").platform == "linux/arm64"
    assert "there is linux/amd64, linux/arm64" in refused(PLATFORMS, platform="linux/s390x")
    assert "there is linux/amd64" in refused(INLINE, platform="windows/amd64")


def test_attestations_are_passed_over(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": RECORDS}, None)
    junk = {**layout.blob(b"[]", MANIFEST), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    layout.manifests.clear()
    layout.tag(layout.blob({"schemaVersion": 2, "manifests": [cache, junk]}, INDEX))
    assert one(layout.folder).kind == "image-manifest"


def test_an_index_of_blobs_is_a_cache(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    blob = layout.blob(b"layer", "application/vnd.oci.image.layer.v1.tar+gzip")
    config = layout.blob({"records": RECORDS}, CONFIG)
    layout.tag(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [blob, config]}, INDEX))
    found = one(layout.folder)
    assert (found.kind, found.blobs) == ("index", frozenset({blob["digest"]}))


def test_tags(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "lay:out")
    for name, count in (("main", 1), ("dev", 2)):
        layout.cache({"records": RECORDS * count}, name)
    assert "choose one with --tag: dev, main" in refused(layout.folder)
    assert len(one(layout.folder, tag="dev").config.digests) == 2
    assert len(one(f"oci:{layout.folder}:main").config.digests) == 1
    assert "no tag 'gone' in it; there is dev, main" in refused(f"oci:{layout.folder}:gone")
    layout.cache({"records": RECORDS * 3})
    assert len(one(f"oci:{layout.folder}").config.digests) == 3


def test_containerd_names_are_tags(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": RECORDS}, None)
    layout.manifests.clear()
    layout.tag({**cache, "annotations": {"io.containerd.image.name": "host:5000/app:v1"}}, None)
    assert one(layout.folder, tag="v1")


def test_a_manifest_alone_finds_its_config_in_the_layout() -> None:
    found = one(MANIFEST_LIST / "blobs/sha256" / one(MANIFEST_LIST).manifest_digest.removeprefix("sha256:"))
    assert (found.kind, found.digest) == ("manifest-list", one(MANIFEST_LIST).digest)


@pytest.mark.parametrize("layout", [IMAGE_MANIFEST, MANIFEST_LIST, INLINE])
def test_a_manifest_alone_says_what_to_pass(layout: Path, tmp_path: Path) -> None:
    origin = one(layout)
    alone = tmp_path / "manifest.json"
    shutil.copy(layout / "blobs/sha256" / origin.manifest_digest.removeprefix("sha256:"), alone)
    for message in (refused(alone), refused_stdin(alone.read_bytes())):
        assert "a manifest or index without the config that it names; pass the OCI layout" in message
        assert origin.digest in message
    shutil.copy(layout / "blobs/sha256" / origin.digest.removeprefix("sha256:"), tmp_path)
    assert one(alone).digest == origin.digest


def refused_stdin(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        load("-", stdin=io.BytesIO(data))
    return str(caught.value)


def test_an_image_config_alone() -> None:
    blob = INLINE / "blobs/sha256" / one(INLINE).digest.removeprefix("sha256:")
    found = one(blob)
    assert (found.kind, len(found.config.digests), found.blobs) == ("inline", 15, None)
    assert len(found.config.blobs) == 3


def test_an_image_without_cache_says_so() -> None:
    assert "an image without any build cache" in refused(PLAIN)
    config = json.loads((PLAIN / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    manifest = json.loads((PLAIN / "blobs/sha256" / config).read_text())
    image = PLAIN / "blobs/sha256" / manifest["config"]["digest"].removeprefix("sha256:")
    assert "the config of an image without any build cache" in refused(image)


def test_a_registry_without_a_repository() -> None:
    assert "names no repository" in refused("docker://host.example.com:5000/")


def test_a_platform_that_was_left_behind(tmp_path: Path) -> None:
    """An image may be copied for one platform alone; its index still names the others."""
    shutil.copytree(PLATFORMS, tmp_path / "layout")
    amd64, arm64 = (found.manifest_digest.removeprefix("sha256:") for found in load(str(PLATFORMS)))
    (tmp_path / "layout/blobs/sha256" / amd64).unlink()
    assert one(tmp_path / "layout").platform == "linux/arm64"
    (tmp_path / "layout/blobs/sha256" / arm64).unlink()
    assert f"sha256:{arm64}, not there" in refused(tmp_path / "layout")


def test_two_tags_of_one_manifest_need_no_choice(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.cache({"records": RECORDS}, "main"), "dev")
    assert one(layout.folder).kind == "image-manifest"


@pytest.mark.parametrize(
    ("platform", "wanted", "fits"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm64", "linux/arm", False),
        ("linux/arm64", "linux", False),
    ],
)
def test_platforms(platform: str, wanted: str, fits: bool) -> None:
    assert matches(platform, wanted) is fits


def test_a_layout_one_folder_down_in_a_tar(tmp_path: Path) -> None:
    file = tmp_path / "layout.tar"
    file.write_bytes(tar(MANIFEST_LIST, prefix="cache/"))
    assert "there is one in its folder 'cache'" in refused(file)


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("registry.example.com/app:cache", "docker://HOST"),
        ("localhost:5000/app", "docker://HOST"),
        ("https://registry.example.com/app", "docker://HOST"),
        ("type=registry,ref=app", "docker://REF"),
    ],
)
def test_a_source_that_means_a_registry_is_told_how_to_name_it(source: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        load(source)
    assert not caught.value.missing


def test_a_file_that_is_not_there_may_come() -> None:
    with pytest.raises(InputError) as caught:
        load("caches/none.json")
    assert caught.value.missing
    assert "docker" not in str(caught.value)


def test_a_profile_is_told_from_a_cache() -> None:
    with pytest.raises(InputError, match="perhaps a profile, which cachedoctor profile reads"):
        load(str(FIXTURES / "profiles" / "cpu-stuck.pprof"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_what_a_windows_shell_wrote(encoding: str, tmp_path: Path) -> None:
    """Its `>` puts a mark before the text, and recodes it; what BuildKit imports is the text."""
    file = tmp_path / "manifest.json"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file.write_bytes((mark + SERVICE.read_text()).encode(encoding))
    plain, marked = one(SERVICE), one(file)
    assert (marked.config, marked.size, marked.digest) == (plain.config, plain.size, plain.digest)
    file.write_bytes(file.read_bytes()[:-1] + b"\xff" * 2)
    with pytest.raises(InputError, match=r"^.*manifest.json: byte \d+: (no UTF|expected JSON)"):
        load(str(file))
