"""Whatever the bytes are, they are read or refused in one line."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.io import streams
from cachedoctor.sources import CacheDocument, archive, descriptors, load, oci
from cachedoctor.sources import document as sources_document
from cachedoctor.sources import layout as sources_layout
from tests.sources.layouts import IMAGE_MANIFEST, INDEX, INLINE, MANIFEST, MANIFEST_LIST, Layout, tar
from tests.support import FIXTURES

RECORDS = [{"digest": "sha256:" + "a" * 64}]
WRONG: list[Any] = [None, True, 7, 1 << 70, 1.5, "x", "", [], [7], {}, {"a": 1}, [[]]]


def refused(source: Path | str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(str(source), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    target = Layout(tmp_path / "layout")
    target.cache({"records": RECORDS})
    return target


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from places(below, (*path, key))


def with_wrong(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    changed = copy.deepcopy(value)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = wrong
    return changed


INDEX_JSON = {
    "schemaVersion": 2,
    "mediaType": INDEX,
    "manifests": [
        {
            "mediaType": MANIFEST,
            "digest": "sha256:" + "0" * 64,
            "size": 9,
            "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
            "annotations": {"org.opencontainers.image.ref.name": "latest", "io.containerd.image.name": "a:latest"},
        }
    ],
}


@pytest.mark.slow
def test_refuses_wrong_types_in_an_index(layout: Layout) -> None:
    for path in places(INDEX_JSON):
        for wrong in WRONG:
            (layout.folder / "index.json").write_text(json.dumps(with_wrong(INDEX_JSON, path, wrong)))
            assert refused(layout.folder)


@pytest.mark.slow
@pytest.mark.parametrize("origin", [MANIFEST_LIST, INLINE])
def test_wrong_types_in_a_manifest_and_an_image(origin: Path, tmp_path: Path) -> None:
    """Each is a cache that can still be read, or is refused in one line."""
    named = json.loads((origin / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
    manifest = json.loads((origin / "blobs/sha256" / named).read_text())
    target = Layout(tmp_path / "layout")
    config = manifest.get("config") or manifest["manifests"][-1]
    document = json.loads((origin / "blobs/sha256" / config["digest"].removeprefix("sha256:")).read_text())
    target.blob((origin / "blobs/sha256" / config["digest"].removeprefix("sha256:")).read_bytes(), "")
    seen = set()
    for path in places(manifest):
        for wrong in WRONG:
            target.manifests.clear()
            target.tag(target.blob(with_wrong(manifest, path, wrong), MANIFEST))
            seen.add(outcome(target.folder))
    for path in places(document):
        if "layers" in path or "records" in path:
            continue
        for wrong in WRONG:
            changed = target.blob(with_wrong(document, path, wrong), config["mediaType"])
            target.manifests.clear()
            target.tag(
                target.blob(
                    {**manifest, "manifests": [changed]}
                    if origin == MANIFEST_LIST
                    else {**manifest, "config": changed},
                    MANIFEST,
                )
            )
            seen.add(outcome(target.folder))
    assert seen == {"read", "refused"}


def outcome(folder: Path) -> str:
    return attempt(str(folder))


def attempt(source: str, data: bytes | None = None) -> str:
    """Whether a source is read or refused. A refusal is one line; nothing else may be raised."""
    try:
        documents = load(source, stdin=None if data is None else io.BytesIO(data))
    except InputError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    return "read" if documents else "nothing read"


@pytest.mark.parametrize(
    "digest", ["sha256:../../x", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "../../etc/passwd", "", "md5:" + "0" * 32]
)
def test_refuses_malformed_digests(digest: str, layout: Layout) -> None:
    layout.manifests[0]["digest"] = digest
    layout.save()
    assert "is not a digest" in refused(layout.folder)
    assert "is not a digest" in _in_tar(layout.folder)


def test_refuses_descriptors_that_are_nested_too_deep(layout: Layout) -> None:
    """They are written again as they were read, and no JSON writer supports any depth."""
    layout.manifests[0]["platform"] = {"os.features": json.loads("[" * 98 + "]" * 98)}
    layout.save()
    assert load(str(layout.folder))
    layout.manifests[0]["platform"] = {"os.features": json.loads("[" * 99 + "]" * 99)}
    layout.save()
    assert "$.manifests[0]: nested more than 100 deep" in refused(layout.folder)
    assert "$.manifests[0]: nested more than 100 deep" in _in_tar(layout.folder)


def _in_tar(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load("-", stdin=io.BytesIO(tar(folder)))
    return str(caught.value)


def test_follows_no_link_out_of_the_layout(layout: Layout, tmp_path: Path) -> None:
    blob = layout.folder / "blobs/sha256" / layout.manifests[0]["digest"].removeprefix("sha256:")
    outside = tmp_path / "outside"
    outside.write_bytes(blob.read_bytes())
    blob.unlink()
    blob.symlink_to(outside)
    assert "leads out of the layout" in refused(layout.folder)
    blob.unlink()
    inside = layout.folder / "elsewhere"
    inside.write_bytes(outside.read_bytes())
    blob.symlink_to(inside)
    assert load(str(layout.folder))


def test_follows_no_linked_folder_out_of_the_layout(layout: Layout, tmp_path: Path) -> None:
    (layout.folder / "blobs").rename(tmp_path / "blobs")
    (layout.folder / "blobs").symlink_to(tmp_path / "blobs")
    assert "leads out of the layout" in refused(layout.folder)


def test_refuses_content_with_another_digest(layout: Layout) -> None:
    blob = layout.folder / "blobs/sha256" / layout.manifests[0]["digest"].removeprefix("sha256:")
    data = blob.read_bytes()
    blob.write_bytes(data.replace(b"2", b"3", 1))
    assert "another digest" in refused(layout.folder)
    assert "another digest" in _in_tar(layout.folder)
    blob.write_bytes(data + b" ")
    assert "expected" in refused(layout.folder)
    blob.unlink()
    assert "not there" in refused(layout.folder)
    assert "not in the archive" in _in_tar(layout.folder)


def test_does_not_wait_for_pipes_and_devices(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "neither a regular file nor a folder" in refused(pipe)
    assert "neither a regular file nor a folder" in refused("/dev/zero")


def test_refuses_what_is_not_a_file(tmp_path: Path) -> None:
    assert "an empty folder" in refused(tmp_path)
    (tmp_path / "file").touch()
    assert "is not an OCI image layout" in refused(tmp_path)
    assert "cannot read it" in refused(tmp_path / "gone")
    assert "cannot read it" in refused("a\0b")


def test_refuses_indexes_that_are_nested_too_deep(tmp_path: Path) -> None:
    target = Layout(tmp_path / "layout")
    inner = target.cache({"records": RECORDS})
    for depth in range(oci.DEEPEST_INDEX + 1):
        inner = target.blob({"schemaVersion": 2, "manifests": [inner]}, INDEX)
        target.manifests.clear()
        target.tag(inner)
        if depth < oci.DEEPEST_INDEX:
            assert load(str(target.folder))
    assert refused(target.folder).endswith("more than 4 indexes nested in each other")


@pytest.mark.slow
def test_refuses_too_many_manifests(tmp_path: Path) -> None:
    """The index itself counts as one."""
    target = Layout(tmp_path / "layout")
    listed = [target.blob({"schemaVersion": 2, "manifests": [], "n": n}, INDEX) for n in range(oci.MOST_MANIFESTS)]
    cache = target.cache({"records": RECORDS})
    for others, problem in ((listed[2:], ""), (listed[1:], "more than 1,000 manifests")):
        target.manifests.clear()
        target.tag(target.blob({"schemaVersion": 2, "manifests": [*others, cache]}, INDEX))
        assert problem in refused(target.folder) if problem else load(str(target.folder))


def test_bounds_all_image_configs_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand small manifests may name one large config, which would be read a thousand times."""
    target = Layout(tmp_path / "layout")
    image = target.blob({"rootfs": {"diff_ids": []}, "moby.buildkit.cache.v0": "W10=", "os": "linux"}, "")
    for number in range(3):
        target.tag(target.blob({"schemaVersion": 2, "config": image, "layers": [], "n": number}, MANIFEST))
    monkeypatch.setattr(oci, "MOST_IMAGE_BYTES", 3 * image["size"])
    assert len(load(str(target.folder))) == 3
    monkeypatch.setattr(oci, "MOST_IMAGE_BYTES", 3 * image["size"] - 1)
    assert refused(target.folder).endswith(f": more than {3 * image['size'] - 1} bytes of image configs")
    monkeypatch.setattr(oci, "MOST_IMAGE_BYTES", image["size"] - 1)
    assert refused(target.folder).endswith(f": more than {image['size'] - 1} bytes, which is refused")


@pytest.mark.parametrize("letters", [descriptors.LONGEST_PLATFORM, descriptors.LONGEST_PLATFORM + 1])
def test_refuses_a_long_platform(letters: int, tmp_path: Path) -> None:
    """Every report shows it."""
    named = {"os": "linux", "architecture": "a" * (letters - len("linux/"))}
    image = {"rootfs": {"diff_ids": []}, "moby.buildkit.cache.v0": "W10=", **named}
    target = Layout(tmp_path / "layout")
    config = target.blob({**image, "architecture": ""}, "")
    target.tag(target.blob({"schemaVersion": 2, "config": config, "layers": []}, MANIFEST), platform=named)
    if letters == descriptors.LONGEST_PLATFORM:
        assert len(_read(image).platform) == letters
        assert len(load(str(target.folder))[0].platform) == letters
    else:
        assert _stdin(json.dumps(image).encode()) == "-: $: expected a platform of at most 255 letters"
        assert "$.manifests[0].platform: expected a platform of at most 255 letters" in refused(target.folder)


def _read(image: Any) -> CacheDocument:
    (document,) = load("-", stdin=io.BytesIO(json.dumps(image).encode()))
    return document


@pytest.mark.slow
def test_refuses_small_bombs() -> None:
    """Ten kilobytes of gzip with 30 MiB of empty objects, and with 3 MiB of them, which are not a bomb to gzip."""
    assert "unpacks to more than" in _stdin(gzip.compress(b'{"records":[{}' + b",{}" * (10 << 20) + b"]}", 5))
    assert "which no cache has" in _stdin(gzip.compress(b'{"records":[{}' + b",{}" * (1 << 20) + b"]}", 5))


def test_reads_a_manifest_once_that_is_listed_many_times(tmp_path: Path) -> None:
    target = Layout(tmp_path / "layout")
    cache = target.cache({"records": RECORDS})
    target.manifests.clear()
    target.tag(target.blob({"schemaVersion": 2, "manifests": [cache] * 5_000}, INDEX))
    assert len(load(str(target.folder))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
def test_stops_early_at_a_bomb(pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    bomb = pack(b'{"records":' + b" " * (64 << 20))
    assert "unpacks to more than" in _stdin(bomb)


@pytest.mark.slow
def test_stops_early_at_a_bomb_in_a_tar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_TAR_BYTES", 1 << 20)
    assert "unpacks to more than" in _stdin(_zeros(64 << 20))


@pytest.mark.slow
def test_a_layer_of_zeros_is_not_a_bomb() -> None:
    assert "without index.json" in _stdin(_zeros(64 << 20))


def _zeros(size: int) -> bytes:
    """A compressed tar with one layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("blobs/sha256/layer")
        member.size = size
        archive.addfile(member, io.BytesIO(bytes(size)))
    return gzip.compress(buffer.getvalue())


def _stdin(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        load("-", stdin=io.BytesIO(data))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_refuses_what_is_compressed_many_times() -> None:
    data = (FIXTURES / "manifests/service.json").read_bytes()
    for _ in range(streams.MOST_PACKED):
        data = gzip.compress(data)
    assert load("-", stdin=io.BytesIO(data))
    assert "compressed more than" in _stdin(gzip.compress(data))


def test_limits_on_json(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    size = (FIXTURES / "manifests/service.json").stat().st_size
    monkeypatch.setattr("cachedoctor.sources.content.MOST_CONFIG_BYTES", size)
    assert load(str(FIXTURES / "manifests/service.json"))
    monkeypatch.setattr("cachedoctor.sources.content.MOST_CONFIG_BYTES", size - 1)
    assert f"more than {size - 1:,} bytes" in refused(FIXTURES / "manifests/service.json")
    size = layout.manifests[0]["size"]
    monkeypatch.setattr("cachedoctor.sources.oci.MOST_MANIFEST_BYTES", size)
    assert load(str(layout.folder))
    monkeypatch.setattr("cachedoctor.sources.oci.MOST_MANIFEST_BYTES", size - 1)
    assert f"more than {size - 1} bytes" in refused(layout.folder)
    assert f"more than {size - 1} bytes" in _in_tar(layout.folder)
    assert sources_document.MOST_CONFIG_BYTES > 300 << 20


def test_limits_on_archives(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    whole = tar(layout.folder)
    # The layout's own file is JSON, but not a blob.
    kept = [path for path in layout.folder.rglob("*") if path.is_file() and path.name != "oci-layout"]
    size = sum(path.stat().st_size for path in kept)
    monkeypatch.setattr(archive, "MOST_KEPT_BYTES", size)
    assert load("-", stdin=io.BytesIO(whole))
    monkeypatch.setattr(archive, "MOST_KEPT_BYTES", size - 1)
    assert f"more than {size - 1:,} bytes of JSON" in _in_tar(layout.folder)
    monkeypatch.setattr(archive, "MOST_KEPT_BYTES", size)
    members = len(list(layout.folder.rglob("*")))
    # The one after the last is asked for as well.
    monkeypatch.setattr(archive, "MOST_MEMBERS", members + 1)
    assert load("-", stdin=io.BytesIO(whole))
    monkeypatch.setattr(archive, "MOST_MEMBERS", members - 1)
    assert f"more than {members - 1} files" in _in_tar(layout.folder)


def test_bounds_the_headers_of_a_member(monkeypatch: pytest.MonkeyPatch, layout: Layout) -> None:
    """Each has 512 bytes, with no extended header in this format, and tarfile reads one byte before it to be sure."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(layout.folder, arcname="")
    monkeypatch.setattr(archive, "MOST_HEADER_BYTES", 513)
    assert load("-", stdin=io.BytesIO(buffer.getvalue()))
    monkeypatch.setattr(archive, "MOST_HEADER_BYTES", 511)
    assert _stdin(buffer.getvalue()).endswith("damaged tar: a header of more than 511 bytes")


def test_bounds_the_search_for_a_manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """BuildKit v0.21.1 tags another digest than it writes, so the manifest has to be searched for."""
    folder = Path(shutil.copytree(IMAGE_MANIFEST, tmp_path / "layout"))
    monkeypatch.setattr(sources_layout, "MOST_FILES", len(list((folder / "blobs/sha256").iterdir())))
    assert load(str(folder))[0].named_digest
    monkeypatch.setattr(sources_layout, "MOST_FILES", 0)
    assert "named by a manifest, but not there" in refused(folder)


def test_refuses_a_tar_without_a_layout() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("manifest.json"))
    assert "without index.json" in _stdin(buffer.getvalue())


def test_json_errors_name_the_byte() -> None:
    assert "byte 13: expected JSON" in _stdin('{"é": "é", x}'.encode())
    assert "cut short" in _stdin(b'{"records": [')
    assert "cut short" not in _stdin(b'{"records": [}        , 1]}')


@pytest.mark.parametrize("wrong", [0, True, "%%%", "e30", "bnVsbA", "WzFd", "eyJ", "e30=", "WyJ4Il0=", "/////w=="])
def test_refuses_malformed_inline_records(wrong: Any) -> None:
    image = {"rootfs": {"diff_ids": []}, "moby.buildkit.cache.v0": wrong}
    assert _stdin(json.dumps(image).encode())


def test_inline_records_may_be_null() -> None:
    image = {"rootfs": {"diff_ids": []}, "moby.buildkit.cache.v0": "bnVsbA=="}
    assert load("-", stdin=io.BytesIO(json.dumps(image).encode()))[0].config.digests == []


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_cut_or_flipped_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            [
                tar(MANIFEST_LIST),
                gzip.compress(tar(INLINE)),
                zstandard.ZstdCompressor().compress(tar(INLINE)),
                (FIXTURES / "manifests/service.json").read_bytes(),
            ]
        )
    )
    changed = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if changed:
            changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert attempt("-", bytes(changed)) in ("read", "refused")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_noise_never_raises_anything_else(noise: bytes) -> None:
    for head in (b"", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b'{"records":', b'{"manifests":[{'):
        with pytest.raises(InputError):
            load("-", stdin=io.BytesIO(head + noise))


def test_does_not_believe_the_headers_of_a_tar() -> None:
    """An extended header may claim any length."""
    member = tarfile.TarInfo("x")
    member.type = tarfile.XHDTYPE
    member.size = 1 << 40
    block = member.tobuf(tarfile.USTAR_FORMAT if member.size < 8 << 30 else tarfile.GNU_FORMAT)
    assert "header of more than" in _stdin(block + bytes(2 << 20))
    assert "header of more than" in _stdin(gzip.compress(block + bytes(2 << 20)))


@pytest.mark.parametrize("cut", [5, 2, 1, 100])
def test_refuses_compressed_data_that_is_cut_short(cut: int) -> None:
    data = (FIXTURES / "manifests/service.json").read_bytes()
    checked = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    for packed in (checked, gzip.compress(data)):
        assert load("-", stdin=io.BytesIO(packed))
        assert "cut short" in _stdin(packed[:-cut])


def test_skips_layers_of_a_tar(tmp_path: Path, layout: Layout) -> None:
    """If the tar can seek, they are not read: the layer here is a hole of 16 GiB."""
    buffer = tar(layout.folder).rstrip(b"\0")
    buffer += bytes(-len(buffer) % 512)
    member = tarfile.TarInfo("blobs/sha256/" + "0" * 64)
    member.size = 16 << 30
    file = tmp_path / "layout.tar"
    with file.open("wb") as out:
        out.write(member.tobuf(tarfile.GNU_FORMAT))
        out.seek(member.size, os.SEEK_CUR)
        out.write(buffer + bytes(1024))
    assert load(str(file))[0].kind == "image-manifest"


def test_refuses_what_readers_disagree_about(tmp_path: Path) -> None:
    target = Layout(tmp_path / "layout")
    inner = target.cache({"records": RECORDS})
    target.manifests.clear()
    target.tag(target.blob({"schemaVersion": 2, "manifests": [inner], "layers": []}, INDEX))
    assert "both an index and a manifest" in refused(target.folder)


def test_refuses_an_inline_cache_that_buildkit_ignores(tmp_path: Path) -> None:
    target = Layout(tmp_path / "layout")
    image = target.blob({"rootfs": {"diff_ids": ["sha256:x"]}, "moby.buildkit.cache.v0": "bnVsbA=="}, "")
    target.tag(target.blob({"schemaVersion": 2, "config": image, "layers": []}, MANIFEST))
    assert "BuildKit ignores this cache" in refused(target.folder)


@pytest.mark.parametrize(("source", "problem"), [("", "the name of a source is empty"), ("oci:", "names no folder")])
def test_refuses_an_empty_name(source: str, problem: str) -> None:
    assert problem in refused(source)
