"""Blobs that a manifest lists are looked for where it was read, and what needs a missing one is unusable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.sources import CacheDocument, load
from tests import independent
from tests.sources.layouts import CHAINS, IMAGE_MANIFEST, INLINE, MANIFEST_LIST, PACKERS, PLATFORMS, Layout, tar
from tests.support import digest, layers, record, run

LAYOUTS = [IMAGE_MANIFEST, MANIFEST_LIST, INLINE, CHAINS, PLATFORMS]
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def copied(layout: Path, folder: Path) -> Path:
    return Path(shutil.copytree(layout, folder / "layout"))


def blob(layout: Path, name: str) -> Path:
    return layout / "blobs/sha256" / name.removeprefix("sha256:")


def analyzed(source: Path | str, *options: str) -> dict[str, Any]:
    got = run("analyze", source, *options, "--format", "json")
    assert (got.returncode, got.stderr) == (0, b"")
    document: dict[str, Any] = json.loads(got.stdout)
    return document


def missing(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for finding in document["findings"] if finding["rule"] == "CD303"]


def leaf(document: CacheDocument) -> str:
    """A blob that exactly one layer has, which is nobody's parent."""
    config = document.config
    return next(blob for layer, blob in enumerate(config.blobs) if layer not in config.parents)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("packed", ["folder", "plain", "gzip"])
def test_a_complete_layout_has_all_its_blobs(layout: Path, packed: str, tmp_path: Path) -> None:
    source = layout
    if packed != "folder":
        source = tmp_path / "layout.tar"
        source.write_bytes(PACKERS[packed](tar(layout)))
    document = analyzed(source)
    assert not missing(document)
    for read in document["inputs"]:
        place = "folder" if packed == "folder" else "archive"
        assert read["blobs"] == {
            "place": place,
            "listed": read["layers"],
            "absent": [],
            "wrong_size": [],
            "unknown": 0,
        }


@pytest.mark.parametrize("layout", [IMAGE_MANIFEST, MANIFEST_LIST, INLINE], ids=lambda layout: layout.name)
@pytest.mark.parametrize("packed", [False, True])
def test_a_blob_that_is_gone_is_found(layout: Path, packed: bool, tmp_path: Path) -> None:
    source = copied(layout, tmp_path)
    gone = leaf(load(str(layout))[0])
    blob(source, gone).unlink()
    if packed:
        archive = tmp_path / "layout.tar"
        archive.write_bytes(tar(source))
        source = archive
    document = analyzed(source)
    (finding,) = missing(document)
    place = "archive" if packed else "folder"
    assert f"1 blob that the manifest lists is not in the {place}." in finding["message"]
    assert "The next export with v0.25.0 fails (fixed in v0.25.1)" in finding["message"]
    assert (finding["severity"], document["inputs"][0]["blobs"]["absent"]) == ("warning", [gone])
    assert finding["records"]


@pytest.mark.parametrize(
    ("release", "says"),
    [
        ("v0.24.0", "The next export writes a cache that lacks the same blobs."),
        ("v0.25.0", "The next export fails (fixed in v0.25.1)."),
        ("v0.25.1", "is not in the folder."),
    ],
)
def test_what_a_missing_blob_means_depends_on_the_release(release: str, says: str, tmp_path: Path) -> None:
    source = copied(MANIFEST_LIST, tmp_path)
    blob(source, leaf(load(str(MANIFEST_LIST))[0])).unlink()
    assert missing(analyzed(source, "--buildkit", release))[0]["message"].endswith(says)


def test_a_blob_of_another_size_is_no_blob(tmp_path: Path) -> None:
    source = copied(MANIFEST_LIST, tmp_path)
    cut = leaf(load(str(MANIFEST_LIST))[0])
    whole = blob(source, cut).stat().st_size
    blob(source, cut).write_bytes(b"x")
    document = analyzed(source)
    assert document["inputs"][0]["blobs"]["wrong_size"] == [cut]
    assert f"has the wrong size ({cut[7:19]} has 1 byte instead of {whole:,})" in missing(document)[0]["message"]


def test_all_three_cases_are_told_apart(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    blobs = [layout.blob(f"layer {index}".encode(), LAYER) for index in range(4)]
    config = {
        "layers": [{"blob": descriptor["digest"], "parent": -1} for descriptor in blobs],
        "records": [record(f"root {index}", layer=index) for index in range(4)],
    }
    described = layout.blob(config, "application/vnd.buildkit.cacheconfig.v0")
    manifest = {"schemaVersion": 2, "config": described, "layers": [blobs[0], blobs[1], {**blobs[2], "size": 3}]}
    layout.tag(layout.blob(manifest, "application/vnd.oci.image.manifest.v1+json"))
    blob(layout.folder, blobs[1]["digest"]).unlink()
    (finding,) = missing(analyzed(layout.folder))
    assert finding["records"] == [1, 2, 3]
    assert finding["message"].startswith(
        "3 records lose 3 results, because 3 of 4 layers cannot be used: the manifest does not list 1 blob, 1 blob "
        "that it lists is not in the folder and 1 blob in the folder has the wrong size ("
    )


@pytest.mark.parametrize("layout", [IMAGE_MANIFEST, MANIFEST_LIST], ids=lambda layout: layout.name)
def test_layers_that_were_left_out_are_no_accusation(layout: Path, tmp_path: Path) -> None:
    source = copied(layout, tmp_path)
    (document,) = load(str(layout))
    for name in document.blobs or ():
        blob(source, name).unlink()
    report = analyzed(source)
    (finding,) = missing(report)
    assert (finding["severity"], finding["records"]) == ("warning", [])
    assert "has none of the 8 blobs that the manifest lists, only the manifest and the config" in finding["message"]
    got = run("repair", source, "-o", tmp_path / "out.json", "--format", "json")
    assert json.loads(got.stdout)["removed"]["results"]["missing_blob"] == 0
    assert b"a layer that is not there" in run("repair", source, "-o", f"oci:{tmp_path}/new").stderr


def test_a_manifest_with_only_its_config_beside_it_is_not_looked_at(tmp_path: Path) -> None:
    (document,) = load(str(MANIFEST_LIST))
    shutil.copy(blob(MANIFEST_LIST, document.manifest_digest), tmp_path / "manifest.json")
    shutil.copy(blob(MANIFEST_LIST, document.digest), tmp_path)
    report = analyzed(tmp_path / "manifest.json")
    (read,) = report["inputs"]
    assert (read["blobs"]["unknown"], read["blobs"]["absent"], missing(report)) == (8, [], [])
    assert read["notes"] == [
        "8 blobs that the manifest lists could not be looked up in the folder: only the config is beside the manifest."
    ]
    shutil.copy(blob(MANIFEST_LIST, document.config.blobs[0]), tmp_path)
    report = analyzed(tmp_path / "manifest.json")
    assert len(report["inputs"][0]["blobs"]["absent"]) == 7
    assert missing(report)


def test_a_manifest_in_a_layout_is_looked_at(tmp_path: Path) -> None:
    source = copied(MANIFEST_LIST, tmp_path)
    (document,) = load(str(source))
    blob(source, leaf(document)).unlink()
    assert missing(analyzed(blob(source, document.manifest_digest)))


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    """A link within the layout has the size of its target, one out of it is not followed, a broken one is nothing."""
    source = copied(MANIFEST_LIST, tmp_path)
    names = sorted(load(str(source))[0].blobs or ())
    inside, outside, broken, folder = (blob(source, name) for name in names[:4])
    for path, target in ((inside, source / "real"), (outside, tmp_path / "real"), (broken, source / "none")):
        if target.name == "real":
            shutil.copy(path, target)
        path.unlink()
        path.symlink_to(target)
    folder.unlink()
    folder.mkdir()
    assert analyzed(source)["inputs"][0]["blobs"]["absent"] == [f"sha256:{broken.name}", f"sha256:{folder.name}"]


def test_links_in_an_archive_are_there(tmp_path: Path) -> None:
    source = copied(MANIFEST_LIST, tmp_path)
    path = blob(source, leaf(load(str(source))[0]))
    path.unlink()
    path.symlink_to("../../somewhere")
    archive = tmp_path / "layout.tar"
    archive.write_bytes(tar(source))
    assert not missing(analyzed(archive))


@pytest.mark.parametrize(
    "fields",
    [
        {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
        {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
        {"mediaType": LAYER, "urls": ["https://example.com/layer"]},
    ],
)
def test_layers_of_a_vendor_are_never_there(fields: dict[str, Any], tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    own = layout.blob(b"layer", LAYER)
    config = {
        "layers": [{"blob": digest("windows"), "parent": -1}, {"blob": own["digest"]}],
        "records": [record("root", layer=1)],
    }
    described = layout.blob(config, "application/vnd.buildkit.cacheconfig.v0")
    manifest = {"schemaVersion": 2, "config": described, "layers": [{"digest": digest("windows"), **fields}, own]}
    layout.tag(layout.blob(manifest, "application/vnd.oci.image.manifest.v1+json"))
    assert not missing(analyzed(layout.folder))


def test_what_is_not_a_digest_is_not_looked_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    config = layout.blob({"records": [record("root")]}, "application/vnd.buildkit.cacheconfig.v0")
    manifest = {"schemaVersion": 2, "config": config, "layers": [{"digest": "../../etc/passwd"}, {"digest": ""}]}
    layout.tag(layout.blob(manifest, "application/vnd.oci.image.manifest.v1+json"))
    assert analyzed(layout.folder)["inputs"][0]["blobs"] is None


@given(st.lists(st.sampled_from(["whole", "gone", "cut", "unlisted"]), min_size=1, max_size=6), st.data())
def test_repair_keeps_just_the_results_that_can_be_used(states: list[str], data: st.DataObject) -> None:
    """The independent model: a result is usable if the blobs of its layer and of all parents are listed and whole."""
    import tempfile

    count = len(states)
    parents = [data.draw(st.integers(-1, index - 1)) for index in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder) / "layout")
        blobs = [layout.blob(f"layer {index}".encode(), LAYER) for index in range(count)]
        spare = layout.blob(b"another", LAYER)
        config = {
            "layers": [
                {"blob": descriptor["digest"], "parent": parent}
                for descriptor, parent in zip(blobs, parents, strict=True)
            ],
            "records": [record(f"root {index}", layer=index) for index in range(count)],
        }
        described = layout.blob(config, "application/vnd.buildkit.cacheconfig.v0")
        listed = [descriptor for descriptor, state in zip(blobs, states, strict=True) if state != "unlisted"]
        manifest = {"schemaVersion": 2, "config": described, "layers": [spare, *listed]}
        layout.tag(layout.blob(manifest, "application/vnd.oci.image.manifest.v1+json"))
        for descriptor, state in zip(blobs, states, strict=True):
            if state == "gone":
                blob(layout.folder, descriptor["digest"]).unlink()
            elif state == "cut":
                blob(layout.folder, descriptor["digest"]).write_bytes(b"")
        target = Path(folder) / "new"
        got = run("repair", layout.folder, "-o", f"oci:{target}", "--format", "json")
        usable: list[bool] = []
        for index, state in enumerate(states):
            usable.append(state == "whole" and (parents[index] < 0 or usable[parents[index]]))
        if not any(usable):
            assert got.returncode == 2
            assert b"no result would be left" in got.stderr
            return
        assert got.returncode == 0, got.stderr
        expected = {digest(f"root {index}") for index in range(count) if usable[index]}
        removed = json.loads(got.stdout)["removed"]["results"]
        (written,) = load(str(target))
        owners = {
            name
            for name, start, stop in zip(
                written.config.digests, written.config.result_start, written.config.result_start[1:], strict=False
            )
            if stop > start
        }
        assert (owners, removed["missing_blob"]) == (expected, count - len(expected))
        assert not (written.presence and written.presence.unusable)
        assert bool(missing(analyzed(layout.folder))) is (len(expected) < count)


def test_repair_takes_a_layer_from_where_it_is_whole(tmp_path: Path) -> None:
    whole, cut = copied(MANIFEST_LIST, tmp_path), tmp_path / "cut"
    shutil.copytree(MANIFEST_LIST, cut)
    name = leaf(load(str(whole))[0])
    blob(cut, name).write_bytes(b"x")
    got = run("repair", cut, whole, "-o", f"oci:{tmp_path}/new", "--format", "json")
    assert got.returncode == 0, got.stderr
    assert blob(tmp_path / "new", name).read_bytes() == blob(whole, name).read_bytes()
    # Into the folder that has the damaged one, too.
    got = run("repair", cut, whole, "-o", f"oci:{cut}:latest", "--force", "--format", "json")
    assert got.returncode == 0, got.stderr
    assert blob(cut, name).read_bytes() == blob(whole, name).read_bytes()
    assert blob(whole, name).stat().st_size > 1


def test_a_repaired_folder_has_no_such_finding(tmp_path: Path) -> None:
    source = copied(MANIFEST_LIST, tmp_path)
    blob(source, leaf(load(str(source))[0])).unlink()
    got = run("repair", source, "--in-place", "--format", "json")
    assert json.loads(got.stdout)["removed"]["results"]["missing_blob"] == 1
    assert not missing(analyzed(source))
    config = blob(source, analyzed(source)["inputs"][0]["digest"]).read_bytes()
    assert not independent.has_loop(independent.parse(config))


def test_chains_of_an_inline_cache_lose_their_layers(tmp_path: Path) -> None:
    source = copied(CHAINS, tmp_path)
    (document,) = load(str(source))
    _, listed, _ = document.config.chains[0]
    blob(source, document.config.blobs[listed[0]]).unlink()
    (finding,) = missing(analyzed(source))
    assert document.config.chains[0][0] in finding["records"]


def test_many_blobs_are_looked_up_in_bounded_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    count = 5_000
    names = [digest(f"layer {index}") for index in range(count)]
    config = layout.blob({"layers": layers(*[-1] * count), "records": [record("root", layer=0)]}, LAYER)
    described = {**config, "mediaType": "application/vnd.buildkit.cacheconfig.v0"}
    spare = layout.blob(b"spare", LAYER)
    manifest = {"schemaVersion": 2, "config": described, "layers": [spare, *({"digest": name} for name in names)]}
    layout.tag(layout.blob(manifest, "application/vnd.oci.image.manifest.v1+json"))
    report = analyzed(layout.folder)
    assert len(report["inputs"][0]["blobs"]["absent"]) == count
    assert missing(report)[0]["records"] == [0]
