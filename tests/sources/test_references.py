"""What references to registries mean, and which do not mean anything."""

from __future__ import annotations

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources.registry.reference import parse
from tests.registries import Client


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/app",
        "127.0.0.1:5000",
        "docker.io",
        "docker.io/",
        "docker.io/:3",
        "127.0.0.1:5000/",
        "127.0.0.1:5000/App",
        "127.0.0.1:5000/app:",
        "127.0.0.1:5000/app:bad tag",
        "127.0.0.1:5000/app:t@sha256:0",
        "127.0.0.1:5000/../app",
        "127.0.0.1:5000/a//b",
        "127.0.0.1:port/app",
        "127.0.0.1:99999/app",
        "127.0.0.1:0/app",
        "[:::]/app",
        "[::1]x/app",
        "127.0.0.1:5000/app?x=1",
        "127.0.0.1:5000/app#x",
        "127.0.0.1:5000/app/%2e%2e",
        "bad_host.example.com/app",
        "h.example.com\\@127.0.0.1/app",
        "a/" * 5000 + "a",
        "h.example.com/" + "a" * 100_000,
    ],
)
def test_refuses_malformed_references(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag"),
    [
        ("h.example.com/a/b:t", "h.example.com", "a/b", "t"),
        ("host:5000/a", "host:5000", "a", None),
        ("localhost/a", "localhost", "a", None),
        ("[::1]:5000/a:t", "[::1]:5000", "a", "t"),
        ("alpine:3", "", "library/alpine", "3"),
        ("team/app:3", "", "team/app", "3"),
        ("docker.io/alpine:3", "", "library/alpine", "3"),
        ("docker.io/library/alpine", "", "library/alpine", None),
        ("index.docker.io/team/app", "", "team/app", None),
        ("Docker.IO/alpine", "", "library/alpine", None),
        ("registry-1.docker.io/alpine", "", "library/alpine", None),
        ("docker.io:5000/alpine", "docker.io:5000", "alpine", None),
        (f"h.example.com/a:t@sha256:{'0' * 64}", "h.example.com", "a", "t"),
    ],
)
def test_parses_references(text: str, host: str, repository: str, tag: str | None) -> None:
    reference = parse(text)
    assert (reference.host, reference.repository, reference.tag) == (host, repository, tag)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"])
def test_this_machine(host: str) -> None:
    assert parse(f"{host}/app").is_loopback


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "a.localhost:1", "h:5000", "[::2]"]
)
def test_other_machines(host: str) -> None:
    assert not parse(f"{host}/app").is_loopback


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x", "1e9"])
def test_refuses_malformed_timeouts(client: Client, seconds: str) -> None:
    got = client.run("analyze", "docker://127.0.0.1:1/app", "--timeout", seconds)
    assert got.returncode == 2
    assert b"Invalid value for '--timeout'" in got.stderr
