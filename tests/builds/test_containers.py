"""Records of builds in all forms, found by their content."""

import base64
import gzip
import json
import tarfile
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.buildkit import IMAGE_MANIFEST, INDEX
from cachedoctor.builds.build import Build
from cachedoctor.builds.containers import load
from cachedoctor.errors import InputError
from cachedoctor.sources import Access, Location
from cachedoctor.sources.document import digest_of
from tests.builds.records import BUILDS, load_bytes, predicate, read, source, step
from tests.registries import TINY, push, serve
from tests.support import FIXTURES

T = BUILDS / "t-history-predicate-v0.32.2.json"
FORMS = [
    ("t-imagetools-v0.32.2.json", "imagetools"),
    ("t-metadata-file-max-v0.32.2.json", "metadata"),
    ("t-provenance-v0.32.2-intoto.json", "statement"),
    ("t-v0.32.2.dockerbuild", "dockerbuild"),
    ("t-imagetools-v0.21.1.json", "imagetools"),
    ("t-provenance-v0.21.1-intoto.json", "statement"),
    ("t-v0.21.1.dockerbuild", "dockerbuild"),
]
STATEMENT = "application/vnd.in-toto+json"
PREDICATE_TYPE = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
SMALL = predicate([step("a", "source", source("local://context"))])


def plain(build: Build) -> Build:
    """A build without where it is from, and without vertices and layers, which differ from build to build."""
    return replace(
        build, source="", kind="", steps=tuple(replace(found, vertex="", results=frozenset()) for found in build.steps)
    )


def problem(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        load_bytes(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("name", "kind"), FORMS)
def test_every_form_gives_the_same_build(name: str, kind: str) -> None:
    (expected,) = load(str(T))
    (build,) = load(str(BUILDS / name))
    assert (build.kind, build.source) == (kind, str(BUILDS / name))
    assert plain(build) == plain(expected)


@pytest.mark.parametrize("name", [name for name, _ in FORMS])
def test_the_name_of_a_file_does_not_matter(name: str, tmp_path: Path) -> None:
    data = (BUILDS / name).read_bytes()
    (tmp_path / "x.log").write_bytes(data)
    piped, packed = load_bytes(data), load_bytes(gzip.compress(data))
    assert load(str(tmp_path / "x.log"))[0].steps == piped[0].steps == packed[0].steps


def test_a_tar_that_is_not_compressed() -> None:
    data = gzip.decompress((BUILDS / "t-v0.32.2.dockerbuild").read_bytes())
    assert load_bytes(data)[0].steps == load(str(BUILDS / "t-v0.32.2.dockerbuild"))[0].steps


def test_a_tar_in_a_file_is_read_by_seeking(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.decompress((BUILDS / "t-v0.32.2.dockerbuild").read_bytes()))
    assert len(load(str(tmp_path / "x"))[0].steps) == 26


def zipped(files: dict[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_an_artifact_in_a_zip() -> None:
    record = (BUILDS / "t-v0.32.2.dockerbuild").read_bytes()
    builds = load_bytes(zipped({"o~r~ABC.dockerbuild": record, "README": b"text", "p.json": T.read_bytes(), "d/": b""}))
    assert [build.kind for build in builds] == ["dockerbuild", "predicate"]
    assert plain(builds[0]) == plain(builds[1])


def test_zips_that_cannot_be_read() -> None:
    assert "x: not JSON" in problem(zipped({"x": b"text"}))
    assert "an empty zip" in problem(zipped({"d/": b""}))
    assert "damaged or encrypted" in problem(zipped({"x": b"y" * 1000})[:60])
    damaged = bytearray(zipped({"x": json.dumps(SMALL).encode()}))
    damaged[60] ^= 0xFF
    assert "damaged or encrypted" in problem(bytes(damaged))
    assert "x: not JSON" in problem(zipped({"x": zipped({"y": b"{}"})}))


def test_zips_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.containers.MOST_ZIP_BYTES", 1_000)
    assert "more than 1,000 files or 1,000 bytes" in problem(zipped({"x": b"0" * 1001}))
    monkeypatch.setattr("cachedoctor.builds.containers.MOST_MEMBERS", 1)
    assert "more than 1 files" in problem(zipped({"x": b"0", "y": b"0"}))


def test_records_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.containers.MOST_RECORD_BYTES", 1_000)
    assert "more than 1,000 bytes" in problem(T.read_bytes())


def test_an_envelope() -> None:
    payload = base64.b64encode((BUILDS / "t-provenance-v0.32.2-intoto.json").read_bytes()).decode()
    (build,) = read({"payloadType": STATEMENT, "payload": payload, "signatures": []})
    assert (build.kind, len(build.steps)) == ("statement", 26)
    assert "$.payload: expected base64" in problem(json.dumps({"payload": "?"}).encode())
    assert "$.payload: byte" in problem(json.dumps({"payload": "Pw=="}).encode())
    assert "about something else" in problem(json.dumps({"payload": "W10="}).encode())


@pytest.mark.parametrize("predicate", [{}, {"SPDXID": "x"}])
def test_statements_about_something_else(predicate: Any) -> None:
    assert "about something else" in problem(json.dumps({"_type": "x", "predicate": predicate}).encode())


def test_several_platforms_and_targets() -> None:
    several = {"linux/386": {"SLSA": SMALL}, "linux/arm64": {"SLSA": SMALL}}
    for document in (several, {"Provenance": several, "Manifest": {}}):
        assert [(build.platform, build.kind) for build in read(document)] == [
            ("linux/386", "imagetools"),
            ("linux/arm64", "imagetools"),
        ]
    metadata = {"buildx.build.provenance/linux/386": SMALL, "buildx.build.ref": "x"}
    assert [build.platform for build in read(metadata)] == ["linux/386"]
    bake = {"one": {"buildx.build.provenance": SMALL}, "two": metadata, "buildx.build.warnings": []}
    assert [(build.platform, build.kind) for build in read(bake)] == [
        ("linux/amd64", "metadata"),
        ("linux/386", "metadata"),
    ]


def test_records_without_steps_are_left_out_if_others_have_some() -> None:
    least = {"buildType": "https://mobyproject.org/buildkit@v1"}
    one = {"linux/386": {"SLSA": least}, "linux/arm64": {"SLSA": SMALL}}
    assert [build.platform for build in read(one)] == ["linux/arm64"]
    assert "min mode" in problem(json.dumps({"linux/386": {"SLSA": least}}).encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_of_windows_shells(encoding: str) -> None:
    assert len(load_bytes(json.dumps(SMALL).encode(encoding))) == 1
    assert "byte order mark" in problem(b"\xff\xfe" + b"\x00\xd8" * 3)
    assert "expected the record of a build" in problem("7".encode("utf-16"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty; expected the record of a build"),
        (b"text", "not JSON; expected"),
        (b"{", "expected JSON"),
        (b"{}", "expected the record of a build"),
        (b"[]", "a list without operations"),
        (b'[{"digest": 1}]', "a list without operations"),
        (b'{"a": 1}', "expected the record"),
        (b'{"layers": [], "records": []}', "a cache, or a manifest"),
        (b'{"buildType": "buildkit", "buildConfig": ' + b"[" * 2000, "expected JSON"),
        (b"\x1f\x8b" + b"\0" * 600, "gzip"),
        (b"\0" * 1024, "not JSON"),
    ],
)
def test_what_cannot_be_read(data: bytes, expected: str) -> None:
    assert expected in problem(data)


def test_caches_are_not_records() -> None:
    with pytest.raises(InputError, match="a cache, or a manifest"):
        load(str(FIXTURES / "manifests/tag-a.json"))
    with pytest.raises(InputError, match="a cache, which has no record"):
        load(str(BUILDS / "t-cache-v0.32.2"))
    with pytest.raises(InputError, match=r"no provenance in it; .* --provenance=mode=max"):
        load(str(FIXTURES / "layouts/plain-image"))


def test_operations_of_a_daemon() -> None:
    (build,) = load(str(FIXTURES / "debug/cache-all.json"))
    assert (build.kind, len(build.steps)) == ("cache-debug", 8)
    labels = {found.label: found for found in build.steps}
    assert labels["RUN test -f /app"].kind == "exec"
    (service,) = load(str(BUILDS / "captures/service.json"))
    known = {found.digests[0] for found in service.steps if found.digests}
    assert {found.digests[0] for found in build.steps} <= known
    assert not any(found.inputs or found.locations for found in build.steps)


def blobs(*documents: Any) -> list[tuple[bytes, dict[str, Any]]]:
    """Each document with its descriptor."""
    written = [document if isinstance(document, bytes) else json.dumps(document).encode() for document in documents]
    return [(data, {"digest": digest_of(data), "size": len(data)}) for data in written]


def layout(folder: Path, *, platforms: tuple[str, ...] = ("linux/amd64",), record: Any = None) -> Path:
    """An image with an attestation for each platform, as BuildKit writes it."""
    (folder / "blobs/sha256").mkdir(parents=True)
    listed = []

    def write(document: Any) -> dict[str, Any]:
        ((data, descriptor),) = blobs(document)
        (folder / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).write_bytes(data)
        return descriptor

    for platform in platforms:
        os, architecture = platform.split("/")
        config = write({"os": os, "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}})
        image = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "layers": []}
        image["config"] = {"mediaType": "application/vnd.oci.image.config.v1+json"} | config
        named = {"mediaType": IMAGE_MANIFEST} | write(image)
        statement = write({"_type": "x", "subject": [{"name": platform}], "predicate": record or SMALL})
        bill = write({"_type": "x", "predicateType": "z", "predicate": {}})
        layers = [
            {"mediaType": STATEMENT, "annotations": {"in-toto.io/predicate-type": "https://spdx.dev/Document"}} | bill,
            {"mediaType": STATEMENT, "annotations": PREDICATE_TYPE} | statement,
        ]
        empty = {"mediaType": "application/vnd.oci.empty.v1+json"} | write({})
        about = write({"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": empty, "layers": layers})
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": named["digest"]}
        unknown = {"os": "unknown", "architecture": "unknown"}
        listed += [
            named | {"platform": {"os": os, "architecture": architecture}},
            {"mediaType": IMAGE_MANIFEST, "annotations": notes, "platform": unknown} | about,
        ]
    index = {"mediaType": INDEX} | write({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return folder


def test_an_image_with_attestations(tmp_path: Path) -> None:
    folder = layout(tmp_path / "image", platforms=("linux/386", "linux/arm64"))
    expected = [("attestation", "linux/386"), ("attestation", "linux/arm64")]
    for named in (str(folder), f"oci:{folder}"):
        assert [(build.kind, build.platform) for build in load(named)] == expected
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(folder, ".")
    assert [(build.kind, build.platform) for build in load(str(tmp_path / "image.tar"))] == expected
    with pytest.raises(InputError, match="no tag 'x'"):
        load(f"oci:{folder}:x")


def test_an_image_in_a_registry(tmp_path: Path) -> None:
    folder = layout(tmp_path / "image", record=json.loads(T.read_text()))
    with serve(TINY, tmp_path) as address:
        push(address, folder, "app", "main")
        (build,) = load(f"docker://{address}/app:main", access=Access())
        assert (build.kind, build.platform, len(build.steps)) == ("attestation", "linux/amd64", 26)
        with pytest.raises(InputError, match="no tag 'x'") as caught:
            load(f"docker://{address}/app:x")
        assert caught.value.missing


def test_an_attestation_that_is_missing_is_left_out(tmp_path: Path) -> None:
    folder = layout(tmp_path / "image", platforms=("linux/386", "linux/arm64"))
    (named,) = json.loads((folder / "index.json").read_text())["manifests"]
    index = json.loads((folder / "blobs/sha256" / named["digest"].removeprefix("sha256:")).read_text())
    (folder / "blobs/sha256" / index["manifests"][1]["digest"].removeprefix("sha256:")).unlink()
    assert [build.platform for build in load(str(folder))] == ["linux/arm64"]


def history(folder: Path, record: Any, *predicates: Any) -> Path:
    """An exported build history."""
    (folder / "blobs/sha256").mkdir(parents=True)
    config, *layers = (descriptor for _, descriptor in blobs(record, *predicates))
    config["mediaType"] = "application/vnd.buildkit.historyrecord.v0"
    layers = [layer | {"mediaType": STATEMENT, "annotations": PREDICATE_TYPE} for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": config, "layers": layers}
    listed = [descriptor for _, descriptor in blobs(manifest)]
    for data, descriptor in blobs(record, manifest, *predicates):
        (folder / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))
    return folder


def test_what_a_build_history_knows_of_its_builds(tmp_path: Path) -> None:
    other = predicate([step("b", "source", source("local://context"))], dockerfile="FROM a", lines={"b": [1]})
    (_, first), (_, second) = blobs(SMALL, other)
    record = {
        "FrontendAttrs": {"filename": "Dockerfile", "vcs:localdir:dockerfile": "svc", "target": "tests"},
        "Results": {"linux/386": {"Attestations": [first]}, "linux/arm64": {"Attestations": [second]}},
    }
    builds = load(str(history(tmp_path / "history", record, SMALL, other)))
    assert [(build.platform, build.target, build.dockerfile) for build in builds] == [
        ("linux/386", "tests", "svc/Dockerfile"),
        ("linux/arm64", "tests", "svc/Dockerfile"),
    ]
    assert builds[1].steps[0].locations[0].file == "svc/Dockerfile"


def test_a_build_history_with_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected provenance"):
        load(str(history(tmp_path / "history", {}, [])))


def test_a_build_that_has_no_provenance(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was still running, or a step of it failed"):
        load(str(history(tmp_path / "history", {"Ref": "x"})))


def test_too_many_manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.attestations.MOST_MANIFESTS", 1)
    with pytest.raises(InputError, match="more than 1 manifests"):
        load(str(layout(tmp_path / "image")))
    monkeypatch.undo()
    monkeypatch.setattr("cachedoctor.builds.attestations.DEEPEST_INDEX", 0)
    with pytest.raises(InputError, match="more than 0 indexes nested"):
        load(str(tmp_path / "image"))


def test_what_a_local_export_left(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/provenance.json").write_bytes((BUILDS / "captures/service.json").read_bytes())
    (tmp_path / "many/linux_386").mkdir(parents=True)
    (tmp_path / "many/linux_arm64").mkdir()
    for name in ("linux_386", "linux_arm64"):
        (tmp_path / "many" / name / "provenance.json").write_text(json.dumps(SMALL))
    assert [build.dockerfile for build in load(str(tmp_path / "one"))] == ["service.Dockerfile"]
    assert len(load(str(tmp_path / "many"))) == 2
    (tmp_path / "many/linux_386/provenance.json").write_text("{}")
    with pytest.raises(InputError, match=r"many: linux_386/provenance.json: expected the record"):
        load(str(tmp_path / "many"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"without index.json or provenance.json"):
        load(str(tmp_path / "empty"))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read it: No such file") as caught:
        load(str(tmp_path / "x"))
    assert caught.value.missing


def test_what_the_system_cannot_read() -> None:
    with (
        Path("/proc/self/mem").open("rb") as unreadable,
        pytest.raises(InputError, match="cannot read it: Input/output"),
    ):
        load("-", stdin=unreadable)


def test_places_without_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cachedoctor.builds.containers.parse_source", Location)
    with pytest.raises(InputError, match="toy://x: no place for records of builds"):
        load("toy://x")


def test_a_tar_of_something_else() -> None:
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    assert "a tar archive without index.json" in problem(stream.getvalue())
