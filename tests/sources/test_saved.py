"""Images that `docker save` wrote before Docker 25: `manifest.json` names the config, and layers by path."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.sources import load, saved
from tests.sources.layouts import CHAINS, IMAGE_MANIFEST, INLINE, PACKERS, PLAIN, PLATFORMS, tar
from tests.support import run

NOTE = "This archive of an image names its layers by path"
CONFIG_NAMES = ["{}.json", "blobs/sha256/{}", "sha256:{}", "{}"]


def config_of(layout: Path, number: int = 0) -> bytes:
    """The image config of a layout."""
    blobs = layout / "blobs/sha256"
    configs = [data for path in sorted(blobs.iterdir()) if b'"rootfs"' in (data := path.read_bytes())]
    return configs[number]


def save(folder: Path, *configs: bytes, names: list[list[str] | None] | None = None, named: str = "{}.json") -> Path:
    """Write images as `docker save` does, with a folder for each layer."""
    folder.mkdir()
    images = []
    for number, config in enumerate(configs):
        name = named.format(sha256(config).hexdigest())
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(config)
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
        layers = [f"{number:032}{index:032}/layer.tar" for index in range(len(diff_ids))]
        for layer in layers:
            (folder / layer).parent.mkdir(exist_ok=True)
            (folder / layer).write_bytes(bytes(1024))
        tags = names[number] if names else [f"local.example/img:v{number}"]
        images.append({"Config": name, "RepoTags": tags, "Layers": layers})
    (folder / "manifest.json").write_text(json.dumps(images))
    (folder / "repositories").write_text("{}")
    return folder


def packed(folder: Path, how: str = "plain") -> Path:
    archive = folder.with_suffix(".tar")
    archive.write_bytes(PACKERS[how](tar(folder)))
    return archive


def analyzed(source: Path, *options: str) -> dict[str, Any]:
    got = run("analyze", source, *options, "--format", "json")
    assert (got.returncode, got.stderr) == (0, b"")
    document: dict[str, Any] = json.loads(got.stdout)
    return document


def refused(source: Path, *options: str) -> str:
    got = run("analyze", source, *options)
    assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (2, b"", 1)
    return got.stderr.decode()


@pytest.mark.parametrize("named", CONFIG_NAMES)
@pytest.mark.parametrize("how", ["folder", "manifest.json", *PACKERS])
def test_reads_the_inline_cache_of_an_image(named: str, how: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(INLINE), named=named)
    source = {"folder": folder, "manifest.json": folder / "manifest.json"}.get(how) or packed(folder, how)
    report = analyzed(source)
    (read,) = report["inputs"]
    (original,) = analyzed(INLINE)["inputs"]
    for key in ("kind", "digest", "bytes", "platform", "records", "layers"):
        assert read[key] == original[key]
    assert (read["blobs"], read["manifest_bytes"]) == (None, None)
    assert read["notes"][0].startswith(NOTE)
    assert report["findings"] == analyzed(INLINE)["findings"]


def test_layers_have_the_digests_of_their_unpacked_content(tmp_path: Path) -> None:
    (document,) = load(str(packed(save(tmp_path / "img", config_of(CHAINS)))))
    assert document.config.blobs == json.loads(config_of(CHAINS))["rootfs"]["diff_ids"]
    assert document.config.parents == [-1, 0, 1]
    assert document.config.chains == load(str(CHAINS))[0].config.chains


def test_reads_from_standard_input(tmp_path: Path) -> None:
    archive = packed(save(tmp_path / "img", config_of(INLINE)))
    got = run("analyze", "-", "--format", "json", stdin=archive.read_bytes())
    assert (got.returncode, json.loads(got.stdout)["inputs"][0]["records"]) == (0, 15)


def test_chooses_one_of_several_images(tmp_path: Path) -> None:
    archive = packed(save(tmp_path / "img", config_of(INLINE), config_of(CHAINS)))
    assert "several tags in it, and none is latest; choose one with --tag: v0, v1" in refused(archive)
    assert analyzed(archive, "--tag", "v1")["inputs"][0]["records"] == 19
    assert "no tag 'v2' in it; there is v0, v1" in refused(archive, "--tag", "v2")
    assert run("check", archive, "--tag", "v2", "--missing-ok").returncode == 0


def test_says_that_other_images_were_not_read(tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(INLINE), config_of(CHAINS), names=[["a:latest"], ["a:v1"]])
    archive = packed(folder)
    (read,) = analyzed(archive)["inputs"]
    assert read["notes"][1:] == ["Only the tag latest was read; 1 other was not: v1. --tag NAME reads another."]
    assert len(analyzed(archive, "--tag", "latest")["inputs"][0]["notes"]) == 1


def test_reads_all_images_of_one_tag(tmp_path: Path) -> None:
    archive = packed(save(tmp_path / "img", config_of(INLINE), config_of(PLAIN), names=[["a:v1", "b:v1"], None]))
    assert [read["records"] for read in analyzed(archive)["inputs"]] == [15]


def test_chooses_a_platform(tmp_path: Path) -> None:
    configs = [config_of(PLATFORMS, number) for number in range(2)]
    archive = packed(save(tmp_path / "img", *configs, names=[["a:v1"], ["a:v1"]]))
    assert {read["platform"] for read in analyzed(archive)["inputs"]} == {"linux/amd64", "linux/arm64"}
    assert [read["platform"] for read in analyzed(archive, "--platform", "linux/arm64")["inputs"]] == ["linux/arm64"]
    assert "there is linux/amd64, linux/arm64" in refused(archive, "--platform", "linux/s390x")


@pytest.mark.parametrize("how", ["folder", "tar"])
def test_an_image_without_a_cache_says_how_to_get_one(how: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(PLAIN))
    line = refused(folder if how == "folder" else packed(folder))
    assert "an image without any build cache; to put one into it" in line
    assert "--cache-to type=inline" in line
    assert "--cache-to type=inline" in refused(PLAIN)
    (tmp_path / "config.json").write_bytes(config_of(PLAIN))
    assert "--cache-to type=inline" in refused(tmp_path / "config.json")


def test_an_index_wins(tmp_path: Path) -> None:
    """Docker 25 and later write both."""
    folder = save(tmp_path / "img", config_of(PLAIN))
    for path in INLINE.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(INLINE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for source in (folder, packed(folder)):
        assert analyzed(source)["inputs"][0]["manifest_bytes"] is not None


def test_repair_writes_its_records_to_a_file(tmp_path: Path) -> None:
    archive = packed(save(tmp_path / "img", config_of(INLINE)))
    got = run("repair", archive, "-o", tmp_path / "new.json")
    assert got.returncode == 0
    assert b"an inline cache is a part of its image, and no file replaces it" in got.stderr
    assert len(load(str(tmp_path / "new.json"))[0].config.digests) == 15


def manifest(**changes: Any) -> list[dict[str, Any]]:
    config = config_of(INLINE)
    name = f"{sha256(config).hexdigest()}.json"
    return [{"Config": name, "RepoTags": ["a:v1"], "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"], **changes}]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (manifest(Config="config.json"), r"manifest.json: \$\[0\].Config: expected the name of a config"),
        (manifest(Config="../../etc/passwd"), "expected the name of a config"),
        (manifest(Config=1), r"\$\[0\].Config: expected a string, found an integer"),
        (manifest(RepoTags="a:v1"), "expected an array, found a string"),
        (manifest(Config="0" * 64 + ".json"), "named by a manifest, but not|without the config"),
        (manifest(Layers=["1/layer.tar"]), "3 layers in rootfs, 1 in the manifest"),
        (manifest() * 1_001, "more than 1,000 images"),
        ([1], "not an OCI image layout, nor is it from docker save|expected"),
        ({"Config": "x"}, "expected|nor is it from docker save"),
    ],
)
def test_refuses_what_is_not_like_that(content: Any, says: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(INLINE))
    (folder / "manifest.json").write_text(json.dumps(content))
    for source in (folder, packed(folder)):
        assert re.search(says, refused(source))


def test_a_damaged_config_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(INLINE))
    (config,) = folder.glob("*[0-9a-f].json")
    config.write_bytes(config.read_bytes().replace(b"amd64", b"arm64"))
    for source in (folder, packed(folder)):
        assert "the content has another digest" in refused(source)


def test_a_config_that_links_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "img", config_of(INLINE))
    (config,) = folder.glob("*[0-9a-f].json")
    config.rename(tmp_path / "elsewhere")
    config.symlink_to(tmp_path / "elsewhere")
    assert "leads out of" in refused(folder)


def test_a_copy_by_skopeo_is_a_folder_of_blobs(tmp_path: Path) -> None:
    """`skopeo copy docker://… dir:DIR` names blobs by their digits."""
    (document,) = load(str(IMAGE_MANIFEST))
    blobs = IMAGE_MANIFEST / "blobs/sha256"
    folder = tmp_path / "dir"
    folder.mkdir()
    for name in [document.digest, *(document.blobs or ())]:
        (folder / name[7:]).write_bytes((blobs / name[7:]).read_bytes())
    (folder / "manifest.json").write_bytes((blobs / document.manifest_digest[7:]).read_bytes())
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (read,) = analyzed(folder)["inputs"]
    assert (read["kind"], read["blobs"]["absent"]) == ("image-manifest", [])


def test_the_configs_of_many_images_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "MOST_IMAGE_BYTES", 5_000)
    configs = [config_of(INLINE), config_of(PLATFORMS)]
    folder = save(tmp_path / "img", *configs, names=[None, None])
    assert "more than 5,000 bytes of image configs" in refused(folder)
