"""References to places: what kind each is, what it names, and which files it occupies."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources import Access, CacheDocument, Location, load, parse
from cachedoctor.sources.schemes import kinds, usages
from cachedoctor.sources.schemes.docker import DockerLocation
from cachedoctor.sources.schemes.file import FileLocation
from cachedoctor.sources.schemes.oci import OciLocation
from tests.sources.layouts import MANIFEST_LIST

DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file, two folders, and a file whose name looks like a reference."""
    monkeypatch.chdir(tmp_path)
    for name in ("cache", "lay:out", "my.cache"):
        (tmp_path / name).mkdir()
    for name in ("file", "oci:file", "my.cache/app:main"):
        (tmp_path / name).write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "kind", "name", "tag", "selects", "local", "is_path"),
    [
        ("-", FileLocation, "-", None, False, "/dev/stdin", False),
        ("file", FileLocation, "file", None, False, "file", True),
        ("none.json", FileLocation, "none.json", None, False, "none.json", True),
        ("none/none", FileLocation, "none/none", None, False, "none/none", True),
        ("oci:file", FileLocation, "oci:file", None, False, "oci:file", True),
        ("my.cache/app:main", FileLocation, "my.cache/app:main", None, False, "my.cache/app:main", True),
        ("my.cache/none:main", FileLocation, "my.cache/none:main", None, False, "my.cache/none:main", True),
        ("s3://bucket/x", FileLocation, "bucket/x", None, False, "s3:/bucket/x", True),
        ("cache", OciLocation, "cache", None, False, "cache", True),
        ("new/", OciLocation, "new/", None, False, "new", True),
        ("oci:cache", OciLocation, "oci:cache", None, False, "cache", False),
        ("oci:cache:main", OciLocation, "oci:cache:main", "main", True, "cache", False),
        ("oci:none:main", OciLocation, "oci:none:main", "main", True, "none", False),
        ("oci:lay:out", OciLocation, "oci:lay:out", None, False, "lay:out", False),
        ("oci:lay:out:x", OciLocation, "oci:lay:out:x", "x", True, "lay:out", False),
        ("docker://h.example.com/app", DockerLocation, "h.example.com/app", None, False, None, False),
        ("docker://h.example.com/app:x", DockerLocation, "h.example.com/app:x", "x", True, None, False),
        (f"docker://h/app@{DIGEST}", DockerLocation, f"h/app@{DIGEST}", None, True, None, False),
        ("h.example.com/app:x", DockerLocation, "h.example.com/app:x", "x", True, None, False),
        ("h.example.com:5000/app", DockerLocation, "h.example.com:5000/app", None, False, None, False),
        ("localhost/app:x", DockerLocation, "localhost/app:x", "x", True, None, False),
        ("type=registry,ref=team/app:x", DockerLocation, "team/app:x", "x", True, None, False),
        ("mode=max,ref=h:1/app,type=registry", DockerLocation, "h:1/app", None, False, None, False),
        ("type=local,src=cache", FileLocation, "type=local,src=cache", None, False, "type=local,src=cache", True),
    ],
)
def test_parses_references(
    text: str, kind: type[Location], name: str, tag: str | None, selects: bool, local: str | None, is_path: bool
) -> None:
    location = parse(text)
    assert type(location) is kind
    assert (location.text, location.name, location.tag, location.selects) == (text, name, tag, selects)
    assert location.local == (None if local is None else Path(local))
    assert location.is_path is is_path


def test_a_tag_may_be_an_option() -> None:
    for text in ("cache", "oci:cache", "docker://h/app", "file"):
        location = parse(text, "x")
        assert (location.tag, location.selects) == ("x", False)
    assert parse("oci:cache:main", "x").tag == "main"
    assert parse("docker://h/app:main", "main").tag == "main"
    with pytest.raises(InputError, match=r"^docker://h/app:main: names a tag, and --tag another; leave one out$"):
        parse("docker://h/app:main", "x")
    with pytest.raises(InputError, match="'b d' is not a tag"):
        parse("docker://h/app", "b d")


def test_errors_name_the_reference_but_no_credentials() -> None:
    with pytest.raises(InputError, match=r"^docker://h/App: names no repository; expected HOST"):
        parse("docker://h/App")
    for text in ("docker://me:secret@h/app", "h.example.com:1/me:secret@h/app:x"):
        with pytest.raises(InputError) as caught:
            parse(text)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "path", "held"),
    [
        ("file", "file", True),
        ("file", "./cache/../file", True),
        ("file", "other", False),
        ("none", "none", True),
        ("cache", "cache/index.json", True),
        ("cache", "cache/oci-layout", True),
        ("cache", "cache/blobs/sha256/x", True),
        ("cache", "cache/report.json", False),
        ("oci:cache:main", "cache/index.json", True),
        ("oci:none:main", "none", True),
        ("oci:none:main", "none/index.json", False),
        ("docker://h/app", "h/app", False),
        ("-", "file", False),
    ],
)
def test_knows_which_files_are_part_of_a_cache(source: str, path: str, held: bool) -> None:
    assert parse(source).holds(path) is held


def test_says_what_cannot_be_written_or_repaired_in_place() -> None:
    with pytest.raises(InputError, match=r"^-: a cache cannot be written there"):
        parse("-").writer([])
    (document,) = load(str(MANIFEST_LIST))
    for text in ("file", "docker://h/app"):
        with pytest.raises(InputError, match="only a cache in an OCI layout folder"):
            parse(text).in_place(document)
    assert document.location is not None
    place = document.location.in_place(document)
    assert (place.local, place.tag) == (MANIFEST_LIST, "latest")
    assert document.location.in_place(document, "x").tag == "x"
    with pytest.raises(InputError, match=r"^oci:new: 'b d' is not a tag"):
        parse("oci:new", "b d").writer([document])


def test_documents_know_where_they_were_read() -> None:
    (document,) = load(f"oci:{MANIFEST_LIST}:latest")
    assert isinstance(document.location, OciLocation)
    assert (document.source, document.location.text) == (f"oci:{MANIFEST_LIST}:latest",) * 2


def test_lists_all_kinds_of_places() -> None:
    assert kinds() == (DockerLocation, OciLocation, FileLocation)
    assert usages() == ["docker://HOST[:PORT]/REPO[:TAG|@DIGEST]", "oci:DIR[:TAG]", "FILE or - for standard input"]
    assert all(kind("x").writable for kind in kinds())
    assert not parse("-").writable


class Broken(Location):
    """A kind of place whose reader lets the system's errors through."""

    def documents(self, platform: str | None, stdin: BinaryIO | None, access: Access) -> list[CacheDocument]:
        with open(self.text, "rb"):  # noqa: PTH123
            raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(
    ("name", "problem", "missing"), [("none", "No such file or directory", True), ("file", "Permission denied", False)]
)
def test_errors_of_the_system_are_one_line(name: str, problem: str, missing: bool) -> None:
    with pytest.raises(InputError) as caught:
        Broken(name).read()
    assert (str(caught.value), caught.value.missing) == (f"{name}: cannot read it: {problem}", missing)
    with pytest.raises(InputError, match="x: cannot be read"):
        Location("x").read()
