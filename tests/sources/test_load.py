"""Every form of a cache is read, and detected by its content."""

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


def only(source: Path | str, **options: str) -> CacheDocument:
    documents = load(str(source), **options)  # type: ignore[arg-type]
    assert len(documents) == 1
    return documents[0]


def refused(source: Path | str, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        load(str(source), **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reads_a_bare_config() -> None:
    document = only(SERVICE)
    assert (document.kind, document.size, document.blobs, document.manifest_size) == ("cache-config", 3091, None, None)
    assert len(document.config.digests) == 11
    assert len(document.config.blobs) == 8


@pytest.mark.parametrize("packed", PACKERS)
def test_the_name_of_a_file_does_not_matter(packed: str, tmp_path: Path) -> None:
    file = tmp_path / "cache.exe"
    file.write_bytes(PACKERS[packed](SERVICE.read_bytes()))
    assert only(file).digest == only(SERVICE).digest
    assert load("-", stdin=io.BytesIO(file.read_bytes()))[0].digest == only(SERVICE).digest


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
def test_reads_layouts(layout: Path, kind: str, records: int, layers: int, packed: str, tmp_path: Path) -> None:
    source = layout
    if packed != "folder":
        source = tmp_path / "layout"
        source.write_bytes(PACKERS[packed](tar(layout, prefix="./")))
    document = only(source)
    assert (document.kind, len(document.config.digests), len(document.config.blobs)) == (kind, records, layers)
    assert document.blobs is not None
    assert set(document.config.blobs) <= document.blobs
    assert document.manifest_size
    assert document.manifest_size > 100
    assert document.platform == ("linux/amd64" if kind == "inline" else "")


def test_each_inline_layer_is_the_child_of_the_previous_one() -> None:
    assert only(INLINE).config.parents == [-1, 0, 1]
    assert only(CHAINS).config.chains


def test_finds_the_manifest_that_v0_21_tags_by_another_digest() -> None:
    document = only(IMAGE_MANIFEST)
    assert document.named_digest.startswith("sha256:10bd658b")
    assert document.manifest_digest.startswith("sha256:1c8fd4e0")
    assert only(MANIFEST_LIST).named_digest == ""


def test_reads_one_cache_for_each_platform() -> None:
    assert [document.platform for document in load(str(PLATFORMS))] == ["linux/amd64", "linux/arm64"]
    assert only(PLATFORMS, platform="linux/arm64").platform == "linux/arm64"
    assert "there is linux/amd64, linux/arm64" in refused(PLATFORMS, platform="linux/s390x")
    assert "there is linux/amd64" in refused(INLINE, platform="windows/amd64")


def test_skips_attestations(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": RECORDS}, None)
    junk = {**layout.blob(b"[]", MANIFEST), "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    layout.manifests.clear()
    layout.tag(layout.blob({"schemaVersion": 2, "manifests": [cache, junk]}, INDEX))
    assert only(layout.folder).kind == "image-manifest"


def test_reads_an_index_of_blobs(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    blob = layout.blob(b"layer", "application/vnd.oci.image.layer.v1.tar+gzip")
    config = layout.blob({"records": RECORDS}, CONFIG)
    layout.tag(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [blob, config]}, INDEX))
    document = only(layout.folder)
    assert (document.kind, document.blobs) == ("index", frozenset({blob["digest"]}))


def test_chooses_a_tag(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "lay:out")
    for name, count in (("main", 1), ("dev", 2)):
        layout.cache({"records": RECORDS * count}, name)
    assert "choose one with --tag: dev, main" in refused(layout.folder)
    assert len(only(layout.folder, tag="dev").config.digests) == 2
    assert len(only(f"oci:{layout.folder}:main").config.digests) == 1
    assert "no tag 'gone' in it; there is dev, main" in refused(f"oci:{layout.folder}:gone")
    layout.cache({"records": RECORDS * 3})
    assert len(only(f"oci:{layout.folder}").config.digests) == 3


def test_containerd_names_are_tags(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": RECORDS}, None)
    layout.manifests.clear()
    layout.tag({**cache, "annotations": {"io.containerd.image.name": "host:5000/app:v1"}}, None)
    assert only(layout.folder, tag="v1")


def test_finds_the_config_of_a_manifest_in_its_layout() -> None:
    document = only(MANIFEST_LIST / "blobs/sha256" / only(MANIFEST_LIST).manifest_digest.removeprefix("sha256:"))
    assert (document.kind, document.digest) == ("manifest-list", only(MANIFEST_LIST).digest)


@pytest.mark.parametrize("layout", [IMAGE_MANIFEST, MANIFEST_LIST, INLINE])
def test_a_manifest_alone_says_what_to_pass(layout: Path, tmp_path: Path) -> None:
    origin = only(layout)
    alone = tmp_path / "manifest.json"
    shutil.copy(layout / "blobs/sha256" / origin.manifest_digest.removeprefix("sha256:"), alone)
    for message in (refused(alone), refused_stdin(alone.read_bytes())):
        assert (
            "a manifest or index without the config that it names; what is needed is the config that it names"
            in message
        )
        assert origin.digest in message
    shutil.copy(layout / "blobs/sha256" / origin.digest.removeprefix("sha256:"), tmp_path)
    assert only(alone).digest == origin.digest


def refused_stdin(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        load("-", stdin=io.BytesIO(data))
    return str(caught.value)


def test_reads_an_image_config_alone() -> None:
    blob = INLINE / "blobs/sha256" / only(INLINE).digest.removeprefix("sha256:")
    document = only(blob)
    assert (document.kind, len(document.config.digests), document.blobs) == ("inline", 15, None)
    assert len(document.config.blobs) == 3


def test_an_image_without_cache_says_so() -> None:
    assert "an image without any build cache" in refused(PLAIN)
    config = json.loads((PLAIN / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    manifest = json.loads((PLAIN / "blobs/sha256" / config).read_text())
    image = PLAIN / "blobs/sha256" / manifest["config"]["digest"].removeprefix("sha256:")
    assert "the config of an image without any build cache" in refused(image)


def test_refuses_a_registry_without_a_repository() -> None:
    assert "names no repository" in refused("docker://host.example.com:5000/")


def test_a_platform_may_not_have_been_copied(tmp_path: Path) -> None:
    """An image may be copied for one platform only; its index still names the others."""
    shutil.copytree(PLATFORMS, tmp_path / "layout")
    amd64, arm64 = (document.manifest_digest.removeprefix("sha256:") for document in load(str(PLATFORMS)))
    (tmp_path / "layout/blobs/sha256" / amd64).unlink()
    assert only(tmp_path / "layout").platform == "linux/arm64"
    (tmp_path / "layout/blobs/sha256" / arm64).unlink()
    assert f"sha256:{arm64}, which is not there" in refused(tmp_path / "layout")


def test_two_tags_of_one_manifest_need_no_choice(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.cache({"records": RECORDS}, "main"), "dev")
    assert only(layout.folder).kind == "image-manifest"


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
def test_matches_platforms(platform: str, wanted: str, fits: bool) -> None:
    assert matches(platform, wanted) is fits


def test_points_out_a_layout_in_a_folder_of_a_tar(tmp_path: Path) -> None:
    file = tmp_path / "layout.tar"
    file.write_bytes(tar(MANIFEST_LIST, prefix="cache/"))
    assert "there is one in its folder 'cache'" in refused(file)


@pytest.mark.parametrize("source", ["https://registry.example.com/app", "s3://bucket/cache", "type=gha,scope=main"])
def test_lists_what_a_reference_may_be(source: str) -> None:
    with pytest.raises(InputError, match=r"expected one of: docker://HOST.*, oci:DIR.*, FILE") as caught:
        load(source)
    assert not caught.value.missing


def test_a_missing_file_is_marked_as_missing() -> None:
    with pytest.raises(InputError) as caught:
        load("caches/none.json")
    assert caught.value.missing
    assert "docker" not in str(caught.value)


def test_points_out_that_a_file_may_be_a_profile() -> None:
    with pytest.raises(InputError, match="perhaps a profile, which cachedoctor profile reads"):
        load(str(FIXTURES / "profiles" / "cpu-stuck.pprof"))


def test_says_that_other_binary_data_is_no_cache(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    with pytest.raises(InputError, match="binary data, not JSON; expected a cache config"):
        load(str(image))


def test_points_out_a_missing_prefix(tmp_path: Path) -> None:
    for name, meant in (
        ("moby/cache:main", "docker://HOST/moby/cache:main"),
        (f"{tmp_path}:main", f"oci:{tmp_path}:main"),
    ):
        with pytest.raises(InputError, match=f"No such file or directory; for a .*: {meant}$") as caught:
            load(name)
        assert not caught.value.missing


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_reads_what_a_windows_shell_writes(encoding: str, tmp_path: Path) -> None:
    """Its `>` puts a byte order mark before the text, and may encode it as UTF-16; BuildKit imports the text."""
    file = tmp_path / "manifest.json"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file.write_bytes((mark + SERVICE.read_text()).encode(encoding))
    plain, marked = only(SERVICE), only(file)
    assert (marked.config, marked.size, marked.digest) == (plain.config, plain.size, plain.digest)
    file.write_bytes(file.read_bytes()[:-1] + b"\xff" * 2)
    with pytest.raises(InputError, match=r"^.*manifest.json: byte \d+: (not UTF|expected JSON)"):
        load(str(file))
