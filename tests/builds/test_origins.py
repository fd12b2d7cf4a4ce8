"""What builds start from."""

from hashlib import sha256

import pytest

from cachedoctor.builds.messages import Platform, Source
from cachedoctor.builds.origins import Materials, digests

AMD64 = Platform("amd64", "linux")
COMMIT = "0123456789" * 4
IMAGE = f"sha256:{'a' * 64}"


def op_digest(key: str) -> str:
    return f"sha256:{sha256(f'buildkit.source.v0:{key}'.encode()).hexdigest()}"


def key(text: str) -> str:
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def of(identifier: str, materials: Materials | None = None, attrs: dict[str, str] | None = None) -> list[str]:
    return digests(Source(identifier, attrs or {}), AMD64, materials or Materials())


def test_an_image_is_known_by_its_digest() -> None:
    text = f'{{"Digest":"{IMAGE}","OS":"linux","Arch":"amd64"}}'
    assert of(f"docker-image://docker.io/library/a:1@{IMAGE}") == [op_digest(key(text))]
    assert of(f"oci-layout://a@{IMAGE}") == [op_digest(key(text))]
    limited = text[:-1] + ',"Limit":0}'
    assert of(f"docker-image://a@{IMAGE}", attrs={"image.layerlimit": "0"}) == [op_digest(key(limited))]


@pytest.mark.parametrize(
    ("identifier", "uri"),
    [
        ("docker-image://docker.io/library/alpine:3", "pkg:docker/alpine@3?platform=linux%2Famd64"),
        ("docker-image://docker.io/library/alpine", "pkg:docker/alpine@latest?platform=linux%2Famd64"),
        ("docker-image://docker.io/bitnami/redis:7", "pkg:docker/bitnami/redis@7"),
        ("docker-image://localhost:5000/a/b:1", "pkg:docker/localhost%3A5000/a/b@1?platform=linux%2Famd64"),
    ],
)
def test_an_image_without_a_digest_is_looked_up(identifier: str, uri: str) -> None:
    materials = Materials([(uri, {"sha256": "a" * 64})])
    assert of(identifier, materials) == of(f"docker-image://x@{IMAGE}")
    assert of(identifier) == []


@pytest.mark.parametrize(
    ("identifier", "attrs", "keys"),
    [
        (f"git://h/r.git#{COMMIT}", {}, [COMMIT]),
        (f"git://h/r.git#{COMMIT}:a//b/", {}, [f"{COMMIT}:a/b"]),
        (f"git://h/r.git#{COMMIT}", {"git.keepgitdir": "true"}, [f"{COMMIT}.git#{COMMIT}", f"{COMMIT}.git"]),
        (
            f"git://h/r.git#{COMMIT}:d",
            {"git.skipsubmodules": "true", "git.mtime": "commit", "git.checkoutbundle": "true"},
            [f"{COMMIT}:d(skip-submodules)(mtime=commit)(bundle)"],
        ),
        ("git://h/r.git#main:d", {"git.fullurl": "https://h/r.git"}, [f"{COMMIT}:d"]),
        ("git://h/r.git#main", {}, [COMMIT]),
        (
            "git://h/r.git#main",
            {"git.keepgitdir": "true"},
            [f"{COMMIT}.git#refs/heads/main", f"{COMMIT}.git#refs/tags/main", f"{COMMIT}.git"],
        ),
        ("git://h/r.git#refs/tags/x", {"git.keepgitdir": "true"}, [f"{COMMIT}.git#refs/tags/x", f"{COMMIT}.git"]),
        (
            "git://h/r.git",
            {"git.keepgitdir": "true"},
            [f"{COMMIT}.git#refs/heads/main", f"{COMMIT}.git#refs/heads/master", f"{COMMIT}.git"],
        ),
    ],
)
def test_a_repository_is_known_by_its_commit(identifier: str, attrs: dict[str, str], keys: list[str]) -> None:
    materials = Materials([("https://h/r.git#main", {"sha1": COMMIT})])
    assert of(identifier, materials, attrs) == list(map(op_digest, keys))


def test_a_repository_without_its_commit_is_unknown() -> None:
    two = Materials([("https://h/a.git#main", {"sha1": "1" * 40}), ("https://h/b.git#main", {"sha1": "2" * 40})])
    assert of("git://h/r.git#main", two) == []
    assert of("git://h/b.git#main", two) == [op_digest("2" * 40)]


@pytest.mark.parametrize(
    ("identifier", "attrs", "text"),
    [
        ("https://h/a/b.tgz?x=1", {}, '{"Filename":"b.tgz","Perm":0,"UID":0,"GID":0,"Checksum":"sha256:1"}'),
        ("https://h/a%20b/", {}, '{"Filename":"a b","Perm":0,"UID":0,"GID":0,"Checksum":"sha256:1"}'),
        ("http://h", {}, '{"Filename":"download","Perm":0,"UID":0,"GID":0,"Checksum":"sha256:1"}'),
        ("http://[", {}, '{"Filename":"download","Perm":0,"UID":0,"GID":0,"Checksum":"sha256:1"}'),
        (
            "http://h/x",
            {"http.filename": "n", "http.perm": "0755", "http.uid": "10", "http.gid": "x"},
            '{"Filename":"n","Perm":493,"UID":10,"GID":0,"Checksum":"sha256:1"}',
        ),
        (
            "http://h/x",
            {
                "http.authheadersecret": "s",
                "http.header.user-agent": "u",
                "http.header.accept": "*",
                "http.header.x": "y",
            },
            '{"Filename":"x","Perm":0,"UID":0,"GID":0,"Checksum":"sha256:1","AuthHeaderSecret":"s",'
            '"Header":[{"Name":"Accept","Value":"*"},{"Name":"User-Agent","Value":"u"}]}',
        ),
    ],
)
def test_a_download_is_known_by_its_checksum(identifier: str, attrs: dict[str, str], text: str) -> None:
    assert of(identifier, attrs=attrs | {"http.checksum": "sha256:1"}) == [op_digest(key(text))]
    assert of(identifier, Materials([(identifier, {"sha256": "1"})]), attrs) == [op_digest(key(text))]
    assert of(identifier, attrs=attrs) == []


@pytest.mark.parametrize("identifier", ["local://context", "later://x", "x", ""])
def test_other_sources_have_no_digest(identifier: str) -> None:
    assert of(identifier, Materials([(identifier, {"sha256": "a" * 64})])) == []
