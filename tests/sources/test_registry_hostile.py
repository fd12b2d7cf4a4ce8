"""Registries that lie, fail or never end: one line, in bounded time and memory."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from cachedoctor.errors import InputError
from cachedoctor.sources import Access, load
from cachedoctor.sources.registry import client as registry_client
from cachedoctor.sources.registry.reference import parse
from tests.registries import PASSWORD, Client
from tests.servers import Exchange, Respond, Server
from tests.sources.tiny_registry import digest, error

CONFIG = b'{"records":[{"digest":"sha256:0"}]}'
CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def manifest(**config: Any) -> bytes:
    own = {"mediaType": CONFIG_TYPE, "digest": digest(CONFIG), "size": len(CONFIG), **config}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": own, "layers": []}).encode()


def serving(manifest: bytes, blob: bytes = CONFIG, **headers: str) -> Respond:
    """A registry with one manifest and one blob, whatever is asked for."""
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda one: one.answer(200, manifest if "/manifests/" in one.path else blob, own)


def endless(one: Exchange) -> None:
    one.begin(200, {"transfer-encoding": "chunked"})
    one.drip(b"10000\r\n" + b" " * 65536 + b"\r\n", seconds=0)


def endless_blob(one: Exchange) -> None:
    if "/manifests/" in one.path:
        one.answer(200, manifest())
    else:
        endless(one)


def dripping_body(one: Exchange) -> None:
    one.begin(200, {"content-length": "100000"})
    one.drip(b" ")


def dripping_head(one: Exchange) -> None:
    one.handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    one.drip(b"x-one: more\r\n", seconds=0.1)


def silent(one: Exchange) -> None:
    one.stopping.wait(60)


def no_http(one: Exchange) -> None:
    one.handler.wfile.write(b"\0" * 100 + b"\r\n")
    one.drop()


def asking(challenge: str) -> Respond:
    return lambda one: one.answer(401, error("UNAUTHORIZED"), {"WWW-Authenticate": challenge})


LIES: dict[str, tuple[Respond, str]] = {
    "HTML": (lambda one: one.answer(200, b"<!doctype html><p>Log in"), "HTML instead of a manifest"),
    "no JSON": (serving(b"hello"), "expected JSON"),
    "an empty manifest": (serving(b""), "expected JSON"),
    "a list": (serving(b"[]"), "expected an object, found an array"),
    "another digest of the manifest": (
        serving(manifest(), docker_content_digest="sha256:" + "0" * 64),
        "another digest",
    ),
    "another digest": (serving(manifest(), CONFIG.replace(b"0", b"1")), "the content has another digest"),
    "a shorter blob": (serving(manifest(), b"{}"), f"expected {len(CONFIG)} bytes, found 2"),
    "a longer blob": (serving(manifest(), CONFIG + b" "), f"expected at most {len(CONFIG)}"),
    "a digest that is none": (serving(manifest(digest="sha256:../../x")), "is no digest"),
    "a negative size": (serving(manifest(size=-1)), "found a negative one"),
    "a size past the limit": (serving(manifest(size=1 << 40)), "more than 536,870,912 bytes"),
    "a body that is cut short": (
        lambda one: (one.begin(200, {"content-length": "5000"}), one.drop())[1],  # type: ignore[func-returns-value]
        "connection was lost",
    ),
    "an endless manifest": (endless, "more than the expected 16,777,216 bytes"),
    "an endless blob": (endless_blob, f"more than the expected {len(CONFIG)} bytes"),
    "a gigantic announcement": (
        lambda one: one.begin(200, {"content-length": str(10**30)}),
        "expected at most 16,777,216",
    ),
    "a bomb": (serving(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip"), "'gzip', which was not asked for"),
    "a body byte by byte": (dripping_body, "did not answer in full within 0.5 seconds"),
    "a head line by line": (dripping_head, "did not answer in full within 0.5 seconds"),
    "silence": (silent, "did not answer in full within 0.5 seconds"),
    "no HTTP": (no_http, "what came is no HTTP"),
    "a redirect to itself": (lambda one: one.answer(302, b"", {"Location": one.path}), "more than 5 redirects"),
    "ever new redirects": (lambda one: one.answer(307, b"", {"Location": one.path + "x"}), "more than 5 redirects"),
    "a redirect to a file": (lambda one: one.answer(302, b"", {"Location": "file:///etc/passwd"}), "no HTTP address"),
    "a redirect to nowhere": (lambda one: one.answer(302, b"", {"Location": "http://[x"}), "no HTTP address"),
    "a redirect with a user": (
        lambda one: one.answer(302, b"", {"Location": "http://u:p@127.0.0.1:1/"}),
        "no HTTP address",
    ),
    "a redirect without a place": (lambda one: one.answer(302), "answers 302"),
    "a basic loop": (asking('Basic realm="x"'), "access denied (401)"),
    "a challenge that says nothing": (asking("Bearer"), "access denied (401)"),
    "a challenge without a realm": (asking('Bearer service="x"'), "no address to get it from"),
    "a realm that is a file": (asking('Bearer realm="file:///etc/passwd"'), "no address to get it from"),
    "a realm with a user": (asking('Bearer realm="http://u:p@127.0.0.1:1/"'), "no address to get it from"),
    "a giant challenge": (asking("Bearer " + "A" * 60_000), "access denied (401)"),
    "a challenge in no words": (asking("\xff\xfe"), "access denied (401)"),
    "forbidden": (lambda one: one.answer(403, error("DENIED")), "access denied (403)"),
    "a teapot": (lambda one: one.answer(418, b"\0\xff"), "answers 418"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_one_line(client: Client, lie: str) -> None:
    respond, told = LIES[lie]
    with Server(respond) as server:
        client.log_in(server.address)
        line = client.refused("analyze", f"docker://{server.address}/app:main", "--timeout", "0.5")
        assert told in line
        assert len(line) < 600


TOKENS: dict[str, Callable[[Exchange], None]] = {
    "endless": endless,
    "HTML": lambda one: one.answer(200, b"<p>"),
    "a list": lambda one: one.answer(200, b"[]"),
    "a number": lambda one: one.answer(200, b'{"token":5}'),
    "empty": lambda one: one.answer(200, b'{"token":""}'),
    "with a line break": lambda one: one.answer(200, b'{"token":"a\\r\\nX-More: 1"}'),
    "far too long": lambda one: one.answer(200, json.dumps({"token": "x" * 100_000}).encode()),
    "refused": lambda one: one.answer(401, b"", {"WWW-Authenticate": "Basic"}),
    "deeply nested": lambda one: one.answer(200, b"[" * 500_000),
    "deep in an object": lambda one: one.answer(200, b'{"token":' + b"[" * 500_000),
    "no UTF-8": lambda one: one.answer(200, b'{"token":"\xff"}'),
    "byte by byte": dripping_body,
    "in a loop": lambda one: one.answer(302, b"", {"Location": one.path}),
    "never good": lambda one: one.answer(200, b'{"token":"bad"}'),
}


@pytest.mark.parametrize("token", TOKENS)
def test_token_servers_that_lie(client: Client, token: str) -> None:
    with Server(TOKENS[token]) as tokens, Server(asking(f'Bearer realm="http://{tokens.address}/"')) as server:
        client.log_in(server.address)
        client.refused("analyze", f"docker://{server.address}/app", "--timeout", "0.5")
        client.config(auths={server.address: {"identitytoken": PASSWORD}})
        client.refused("analyze", f"docker://{server.address}/app", "--timeout", "0.5")
        assert len(server.seen) <= 4
        assert len(tokens.seen) <= 7


def test_what_a_registry_says_is_cut_and_made_harmless(client: Client) -> None:
    said = "\x1b[2J\u202e\nnext line\r" + "long " * 5000
    with Server(lambda one: one.answer(403, error("DENIED", said))) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "(DENIED: \\u{1b}[2J\\u{202e} next line long" in line
    assert len(line) < 600


@pytest.mark.parametrize("status", [400, 403, 404, 503])
@pytest.mark.parametrize("said", ["##[set-output name=verdict;]passed", "::error::passed", "\n ::error::passed"])
def test_what_a_registry_says_is_no_command(client: Client, status: int, said: str) -> None:
    """GitHub's runner reads commands from standard error as well."""
    with Server(lambda one: one.answer(status, error("", said), {"Retry-After": "0"})) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "passed" in line or status == 404
    assert "##[" not in line
    assert "(::" not in line


def test_what_a_manifest_says_is_no_command(client: Client) -> None:
    with Server(serving(manifest(digest="##[group]x"))) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "'## [group]x' is no digest" in line


def test_a_secret_in_a_redirect_is_not_told(client: Client) -> None:
    with Server(lambda one: one.answer(302, b"", {"Location": f"http://127.0.0.1:1/?sig={PASSWORD}"})) as server:
        assert "nothing listens" in client.refused("analyze", f"docker://{server.address}/app")


def failing(times: int, then: Respond, how: Respond) -> Respond:
    """Fails some times, and then does not."""
    left = [times]

    def respond(one: Exchange) -> None:
        left[0] -= 1
        (how if left[0] >= 0 else then)(one)

    return respond


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that are waited between attempts, which are not waited here."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_registry_is_asked_again(waits: list[float], status: int) -> None:
    with Server(failing(3, serving(manifest()), lambda one: one.answer(status))) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
        assert len(server.seen) == 5
    assert waits == [0.5, 1, 2]


def test_a_lost_connection_is_tried_again(waits: list[float]) -> None:
    with Server(failing(2, serving(manifest()), Exchange.drop)) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
    assert waits == [0.5, 1]


def test_a_registry_that_stays_busy(client: Client) -> None:
    with Server(lambda one: one.answer(503, error("UNAVAILABLE", "come back"))) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
        assert "answers 503 every time, 4 times (UNAVAILABLE: come back)" in line
        assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        ("7", 7, 7),
        pytest.param(formatdate(time.time() + 30, usegmt=True), 0.5, 30, id="in 30 seconds"),
        (formatdate(0, usegmt=True), 0.5, 0.5),
        ("x", 0.5, 0.5),
        ("-1", 0.5, 0.5),
        ("", 0.5, 0.5),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", 0.5, 0.5),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.5, 0.5),
    ],
)
def test_retry_after_is_followed(waits: list[float], wait: str, least: float, most: float) -> None:
    with Server(failing(1, serving(manifest()), lambda one: one.answer(429, b"", {"Retry-After": wait}))) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
    assert len(waits) == 1
    assert least <= waits[0] <= most


@pytest.mark.parametrize(
    "wait", ["3600", "999999999", pytest.param(formatdate(time.time() + 86400, usegmt=True), id="tomorrow")]
)
def test_a_long_wait_is_not_waited_for(client: Client, wait: str) -> None:
    with Server(lambda one: one.answer(429, b"", {"Retry-After": wait})) as server:
        assert "asks to come back in" in client.refused("analyze", f"docker://{server.address}/app")
        assert len(server.seen) == 1


def test_all_requests_of_a_source_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of very many manifests, each of which is answered in time."""
    listed = [{"mediaType": MANIFEST_TYPE, "digest": digest(str(i).encode()), "size": 1} for i in range(900)]
    index = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()

    def slow(one: Exchange) -> None:
        one.stopping.wait(0.05)
        one.answer(*((404, b"") if "sha256:" in one.path else (200, index)))

    monkeypatch.setattr(registry_client, "DEADLINE", 0.6)
    with Server(slow) as server, pytest.raises(InputError, match=r"more than 0\.6 seconds in all"):
        load(f"docker://{server.address}/app", access=Access(timeout=0.2))
    assert len(server.seen) < 100


def endless_redirect(one: Exchange) -> None:
    one.begin(302, {"location": "/v2/", "transfer-encoding": "chunked"})
    one.drip(b"10000\r\n" + b" " * 65536 + b"\r\n", seconds=0)


def packed_redirect(one: Exchange) -> None:
    """A gigabyte and a half, if it were unpacked."""
    part = gzip.compress(bytes(512 << 20), 1)
    one.answer(302, part * 3, {"Location": "/v2/", "Content-Encoding": "gzip"})


@pytest.mark.parametrize("respond", [endless, endless_redirect, packed_redirect])
def test_memory_stays_small_whatever_comes(respond: Respond) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    with Server(respond) as server:
        got = subprocess.run(
            [sys.executable, "-m", "cachedoctor", "analyze", f"docker://{server.address}/app"],
            capture_output=True,
            timeout=60,
            check=False,
            preexec_fn=limited,
        )
    assert got.returncode == 2
    assert b"more than the expected" in got.stderr or b"was not asked for" in got.stderr


@pytest.mark.parametrize(
    "url",
    [
        "docker://",
        "docker:///app",
        "docker://127.0.0.1:5000",
        "docker://docker.io",
        "docker://docker.io/",
        "docker://docker.io/:3",
        "docker://127.0.0.1:5000/",
        "docker://127.0.0.1:5000/App",
        "docker://127.0.0.1:5000/app:",
        "docker://127.0.0.1:5000/app:bad tag",
        "docker://127.0.0.1:5000/app:t@sha256:0",
        "docker://127.0.0.1:5000/../app",
        "docker://127.0.0.1:5000/a//b",
        "docker://127.0.0.1:port/app",
        "docker://127.0.0.1:99999/app",
        "docker://127.0.0.1:0/app",
        "docker://[:::]/app",
        "docker://[::1]x/app",
        "docker://127.0.0.1:5000/app?x=1",
        "docker://127.0.0.1:5000/app#x",
        "docker://127.0.0.1:5000/app/%2e%2e",
        "docker://bad_host.example.com/app",
        "docker://h.example.com\\@127.0.0.1/app",
        "docker://" + "a/" * 5000 + "a",
        "docker://h.example.com/" + "a" * 100_000,
    ],
)
def test_urls_that_name_nothing(url: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "repository", "tag"),
    [
        ("docker://h.example.com/a/b:t", "h.example.com", "a/b", "t"),
        ("docker://host:5000/a", "host:5000", "a", None),
        ("docker://localhost/a", "localhost", "a", None),
        ("docker://[::1]:5000/a:t", "[::1]:5000", "a", "t"),
        ("docker://alpine:3", "", "library/alpine", "3"),
        ("docker://team/app:3", "", "team/app", "3"),
        ("docker://docker.io/alpine:3", "", "library/alpine", "3"),
        ("docker://docker.io/library/alpine", "", "library/alpine", None),
        ("docker://index.docker.io/team/app", "", "team/app", None),
        ("docker://Docker.IO/alpine", "", "library/alpine", None),
        ("docker://registry-1.docker.io/alpine", "", "library/alpine", None),
        ("docker://docker.io:5000/alpine", "docker.io:5000", "alpine", None),
        (f"docker://h.example.com/a:t@sha256:{'0' * 64}", "h.example.com", "a", "t"),
    ],
)
def test_urls(url: str, host: str, repository: str, tag: str | None) -> None:
    found = parse(url)
    assert (found.host, found.repository, found.tag) == (host, repository, tag)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"])
def test_this_machine(host: str) -> None:
    assert parse(f"docker://{host}/app").is_loopback


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.0.0.1.example.com", "localhost.example.com", "a.localhost:1", "h:5000", "[::2]"]
)
def test_other_machines(host: str) -> None:
    assert not parse(f"docker://{host}/app").is_loopback


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x", "1e9"])
def test_times_that_are_none(client: Client, seconds: str) -> None:
    got = client.run("analyze", "docker://127.0.0.1:1/app", "--timeout", seconds)
    assert got.returncode == 2
    assert b"Invalid value for '--timeout'" in got.stderr
