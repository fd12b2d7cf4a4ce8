"""A place to which no cache has been exported yet is missing, and not broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.sources.layouts import MANIFEST_LIST, Layout, tar
from tests.support import FIXTURES, record, run


def empty(folder: Path) -> None:
    folder.mkdir()


def with_names(*names: str) -> object:
    def create(folder: Path) -> None:
        folder.mkdir()
        for name in names:
            (folder / name).mkdir(parents=True) if "." not in name else (folder / name).write_text("")

    return create


def with_index(manifests: object) -> object:
    def create(folder: Path) -> None:
        folder.mkdir()
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))

    return create


PLACES = {
    "none": lambda folder: None,
    "empty": empty,
    "begun": with_names("ingest", "blobs/sha256"),
    "volume": with_names("lost+found", ".gitkeep"),
    "no manifests": with_index([]),
    "null": with_index(None),
    "begun index": with_names("oci-layout", "index.json"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["{}", "{}/", "oci:{}", "oci:{}:main"])
def test_nothing_there_yet_may_be_all_right(place: str, form: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    PLACES[place](folder)  # type: ignore[operator]
    source = form.format(folder)
    got = run("check", source, "--missing-ok")
    assert (got.returncode, got.stderr.count(b"\n")) == (0, 1)
    assert b"There is no cache yet." in got.stdout
    for command in ("check", "analyze"):
        got = run(command, source)
        assert (got.returncode, got.stdout, got.stderr.count(b"\n")) == (2, b"", 1)
    document = json.loads(run("check", source, "--missing-ok", "--format", "json").stdout)
    assert (document["missing"], document["verdict"]) == ([source], "ok")


def test_an_archive_of_an_empty_layout_is_missing_too(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    (tmp_path / "layout.tar").write_bytes(tar(layout.folder))
    assert run("check", tmp_path / "layout.tar", "--missing-ok").returncode == 0
    got = run("check", tmp_path / "layout.tar")
    assert got.returncode == 2
    assert b"index.json: lists no manifest: no cache has been exported to it yet" in got.stderr


@pytest.mark.parametrize(
    "names", [("README.md",), ("blobs/sha256", "package.json"), ("index.html",)], ids=lambda names: names[-1]
)
def test_another_folder_is_not_a_missing_cache(names: tuple[str, ...], tmp_path: Path) -> None:
    with_names(*names)(tmp_path / "cache")  # type: ignore[operator]
    got = run("check", tmp_path / "cache", "--missing-ok")
    assert got.returncode == 2
    assert b"a folder without index.json is not an OCI image layout" in got.stderr


def test_blobs_without_an_index_are_not_a_missing_cache(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.blob(b"layer", "application/octet-stream")
    (layout.folder / "index.json").unlink()
    assert run("check", layout.folder, "--missing-ok").returncode == 2


@pytest.mark.parametrize("index", ['{"manifests": 1}', "[]", '{"manifests": [1]}'])
def test_a_broken_index_is_not_a_missing_cache(index: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    (layout.folder / "index.json").write_text(index)
    got = run("check", layout.folder, "--missing-ok")
    assert (got.returncode, got.stderr.count(b"\n")) == (2, 1)


def test_the_other_sources_are_judged(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    got = run("check", tmp_path / "empty", MANIFEST_LIST, "--missing-ok", "--format", "json")
    document = json.loads(got.stdout)
    assert (len(document["inputs"]), document["missing"]) == (1, [str(tmp_path / "empty")])


def test_a_layout_with_only_another_tag(tmp_path: Path) -> None:
    """A build without `tag=` looks for `latest` (moby/buildkit#6595)."""
    layout = Layout(tmp_path / "layout")
    layout.cache({"records": [record("root")]}, "main")
    for source, options, severity in (
        (layout.folder, (), "warning"),
        (layout.folder, ("--tag", "main"), "note"),
        (f"oci:{layout.folder}:main", (), "note"),
    ):
        document = json.loads(run("analyze", source, *options, "--format", "json").stdout)
        (finding,) = [finding for finding in document["findings"] if finding["rule"] == "CD106"]
        assert finding["severity"] == severity
        assert finding["message"] == (
            "The layout has no tag latest, only main. BuildKit looks for latest unless a build names another tag, so "
            "builds find this cache only with tag=main. With v0.28 and earlier, a build without it fails."
        )
        assert "type=local,src=" in finding["help"]
        assert "tag=main" in finding["help"]
    layout.cache({"records": [record("root")]})
    document = json.loads(run("analyze", layout.folder, "--format", "json").stdout)
    assert document["findings"] == []
    document = json.loads(run("analyze", layout.folder, "--tag", "main", "--format", "json").stdout)
    assert document["findings"] == []


@pytest.mark.parametrize(
    ("release", "end"), [("v0.28.1", "With v0.28.1, a build without it fails."), ("v0.29.0", "tag=main.")]
)
def test_what_a_build_does_depends_on_the_release(release: str, end: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.cache({"records": [record("root")]}, "main")
    document = json.loads(run("analyze", layout.folder, "--buildkit", release, "--format", "json").stdout)
    assert document["findings"][0]["message"].endswith(end)


def test_a_layout_without_tags_is_found_by_its_digest(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": [record("root")]}, None)
    document = json.loads(run("analyze", layout.folder, "--format", "json").stdout)
    (finding,) = document["findings"]
    assert (finding["rule"], finding["severity"]) == ("CD106", "note")
    assert f"only with digest={cache['digest']}." in finding["message"]


def test_many_and_hostile_tags_stay_short(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    descriptor = layout.cache({"records": [record("root")]}, "a\x1b[31m" + "x" * 10_000)
    for index in range(20):
        layout.tag(descriptor, f"tag-{index:02}")
    got = run("analyze", layout.folder, "--tag", "tag-00", "-v")
    assert b"\x1b" not in got.stdout
    assert b"x" * 200 not in got.stdout
    assert b"and 16 more" in b" ".join(got.stdout.split())


@pytest.mark.parametrize("name", ["v0.32.2-inline-image", "v0.32.2-inline-chains", "v0.32.2-inline-multi-platform"])
def test_an_image_is_no_local_cache(name: str) -> None:
    got = run("analyze", FIXTURES / "layouts" / name, "--format", "json")
    assert "CD106" not in [finding["rule"] for finding in json.loads(got.stdout)["findings"]]


def test_what_docker_save_wrote_is_no_local_cache(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    cache = layout.cache({"records": [record("root")]}, None)
    layout.manifests.clear()
    names = {"io.containerd.image.name": "example.com/app:v1", "org.opencontainers.image.ref.name": "v1"}
    layout.tag({**cache, "annotations": names}, None)
    assert json.loads(run("analyze", layout.folder, "--format", "json").stdout)["findings"] == []
