"""Registries that lie, fail or never stop sending: one line, in bounded time and memory."""

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
from tests.registries import PASSWORD, Client
from tests.servers import Exchange, Respond, Server
from tests.sources.tiny_registry import digest, error

CONFIG = b'{"records":[{"digest":"sha256:0"}]}'
CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def manifest(**config: Any) -> bytes:
    descriptor = {"mediaType": CONFIG_TYPE, "digest": digest(CONFIG), "size": len(CONFIG), **config}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptor, "layers": []}).encode()


def serving(manifest: bytes, blob: bytes = CONFIG, **headers: str) -> Respond:
    """A registry with one manifest and one blob, under any name."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(200, manifest if "/manifests/" in exchange.path else blob, sent)


def endless(exchange: Exchange) -> None:
    exchange.begin(200, {"transfer-encoding": "chunked"})
    exchange.drip(b"10000\r\n" + b" " * 65536 + b"\r\n", seconds=0)


def endless_blob(exchange: Exchange) -> None:
    if "/manifests/" in exchange.path:
        exchange.answer(200, manifest())
    else:
        endless(exchange)


def dripping_body(exchange: Exchange) -> None:
    exchange.begin(200, {"content-length": "100000"})
    exchange.drip(b" ")


def dripping_head(exchange: Exchange) -> None:
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    exchange.drip(b"x-one: more\r\n", seconds=0.1)


def silent(exchange: Exchange) -> None:
    exchange.stopping.wait(60)


def no_http(exchange: Exchange) -> None:
    exchange.handler.wfile.write(b"\0" * 100 + b"\r\n")
    exchange.drop()


def asking(challenge: str) -> Respond:
    return lambda exchange: exchange.answer(401, error("UNAUTHORIZED"), {"WWW-Authenticate": challenge})


def bomb(exchange: Exchange) -> None:
    serving(gzip.compress(bytes(50 << 20)), Content_Encoding="gzip")(exchange)


LIES: dict[str, tuple[Respond, str]] = {
    "HTML": (lambda exchange: exchange.answer(200, b"<!doctype html><p>Log in"), "HTML instead of a manifest"),
    "not JSON": (serving(b"hello"), "expected JSON"),
    "an empty manifest": (serving(b""), "expected JSON"),
    "a list": (serving(b"[]"), "expected an object, found an array"),
    "another digest of the manifest": (
        serving(manifest(), docker_content_digest="sha256:" + "0" * 64),
        "another digest",
    ),
    "another digest": (serving(manifest(), CONFIG.replace(b"0", b"1")), "the content has another digest"),
    "a shorter blob": (serving(manifest(), b"{}"), f"expected {len(CONFIG)} bytes, found 2"),
    "a longer blob": (serving(manifest(), CONFIG + b" "), f"expected at most {len(CONFIG)}"),
    "a malformed digest": (serving(manifest(digest="sha256:../../x")), "is not a digest"),
    "a negative size": (serving(manifest(size=-1)), "expected a size of 0 or more bytes, found -1"),
    "a size past the limit": (serving(manifest(size=1 << 40)), "more than 536,870,912 bytes"),
    "a body that is cut short": (
        lambda exchange: (exchange.begin(200, {"content-length": "5000"}), exchange.drop())[1],  # type: ignore[func-returns-value]
        "connection was lost",
    ),
    "an endless manifest": (endless, "more than the expected 16,777,216 bytes"),
    "an endless blob": (endless_blob, f"more than the expected {len(CONFIG)} bytes"),
    "a huge Content-Length": (
        lambda exchange: exchange.begin(200, {"content-length": str(10**30)}),
        "expected at most 16,777,216",
    ),
    "a bomb": (bomb, "'gzip', which was not asked for"),
    "a body byte by byte": (dripping_body, "did not answer in full within 0.5 seconds"),
    "a head line by line": (dripping_head, "did not answer in full within 0.5 seconds"),
    "silence": (silent, "did not answer in full within 0.5 seconds"),
    "not HTTP": (no_http, "the answer is not HTTP"),
    "a redirect to itself": (
        lambda exchange: exchange.answer(302, b"", {"Location": exchange.path}),
        "more than 5 redirects",
    ),
    "endless redirects": (
        lambda exchange: exchange.answer(307, b"", {"Location": exchange.path + "x"}),
        "more than 5 redirects",
    ),
    "a redirect to a file": (
        lambda exchange: exchange.answer(302, b"", {"Location": "file:///etc/passwd"}),
        "not an HTTP address",
    ),
    "a redirect to nowhere": (
        lambda exchange: exchange.answer(302, b"", {"Location": "http://[x"}),
        "not an HTTP address",
    ),
    "a redirect with a user": (
        lambda exchange: exchange.answer(302, b"", {"Location": "http://u:p@127.0.0.1:1/"}),
        "not an HTTP address",
    ),
    "a redirect without a place": (lambda exchange: exchange.answer(302), "answers 302"),
    "a basic loop": (asking('Basic realm="x"'), "access denied (401)"),
    "an empty challenge": (asking("Bearer"), "access denied (401)"),
    "a challenge without a realm": (asking('Bearer service="x"'), "no address to get it from"),
    "a realm that is a file": (asking('Bearer realm="file:///etc/passwd"'), "no address to get it from"),
    "a realm with a user": (asking('Bearer realm="http://u:p@127.0.0.1:1/"'), "no address to get it from"),
    "a giant challenge": (asking("Bearer " + "A" * 60_000), "access denied (401)"),
    "a challenge of odd bytes": (asking("\xff\xfe"), "access denied (401)"),
    "forbidden": (lambda exchange: exchange.answer(403, error("DENIED")), "access denied (403)"),
    "a teapot": (lambda exchange: exchange.answer(418, b"\0\xff"), "answers 418"),
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_lies_end_in_one_line(client: Client, lie: str) -> None:
    respond, problem = LIES[lie]
    with Server(respond) as server:
        client.log_in(server.address)
        # Only those that never answer in full are given little time, since the machine may be busy.
        timeout = "0.5" if "0.5 seconds" in problem else "30"
        line = client.refused("analyze", f"docker://{server.address}/app:main", "--timeout", timeout)
        assert problem in line
        assert len(line) < 600


TOKENS: dict[str, Callable[[Exchange], None]] = {
    "endless": endless,
    "HTML": lambda exchange: exchange.answer(200, b"<p>"),
    "a list": lambda exchange: exchange.answer(200, b"[]"),
    "a number": lambda exchange: exchange.answer(200, b'{"token":5}'),
    "empty": lambda exchange: exchange.answer(200, b'{"token":""}'),
    "with a line break": lambda exchange: exchange.answer(200, b'{"token":"a\\r\\nX-More: 1"}'),
    "far too long": lambda exchange: exchange.answer(200, json.dumps({"token": "x" * 100_000}).encode()),
    "refused": lambda exchange: exchange.answer(401, b"", {"WWW-Authenticate": "Basic"}),
    "deeply nested": lambda exchange: exchange.answer(200, b"[" * 500_000),
    "deep in an object": lambda exchange: exchange.answer(200, b'{"token":' + b"[" * 500_000),
    "not UTF-8": lambda exchange: exchange.answer(200, b'{"token":"\xff"}'),
    "byte by byte": dripping_body,
    "in a loop": lambda exchange: exchange.answer(302, b"", {"Location": exchange.path}),
    "never good": lambda exchange: exchange.answer(200, b'{"token":"bad"}'),
}


@pytest.mark.slow
@pytest.mark.parametrize("token", TOKENS)
def test_token_servers_that_lie(client: Client, token: str) -> None:
    with Server(TOKENS[token]) as tokens, Server(asking(f'Bearer realm="http://{tokens.address}/"')) as server:
        client.log_in(server.address)
        timeout = "0.5" if token == "byte by byte" else "30"
        client.refused("analyze", f"docker://{server.address}/app", "--timeout", timeout)
        client.config(auths={server.address: {"identitytoken": PASSWORD}})
        client.refused("analyze", f"docker://{server.address}/app", "--timeout", timeout)
        assert len(server.seen) <= 4
        assert len(tokens.seen) <= 7


def test_messages_of_a_registry_are_cut_and_escaped(client: Client) -> None:
    message = "\x1b[2J\u202e\nnext line\r" + "long " * 5000
    with Server(lambda exchange: exchange.answer(403, error("DENIED", message))) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "(DENIED: \\u{1b}[2J\\u{202e} next line long" in line
    assert len(line) < 600


@pytest.mark.parametrize("status", [400, 403, 404, 503])
@pytest.mark.parametrize("message", ["##[set-output name=verdict;]passed", "::error::passed", "\n ::error::passed"])
def test_messages_of_a_registry_are_not_commands(client: Client, status: int, message: str) -> None:
    """GitHub's runner obeys commands on standard error as well."""
    with Server(lambda exchange: exchange.answer(status, error("", message), {"Retry-After": "0"})) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "passed" in line or status == 404
    assert "##[" not in line
    assert "(::" not in line


def test_text_of_a_manifest_is_not_a_command(client: Client) -> None:
    with Server(serving(manifest(digest="##[group]x"))) as server:
        line = client.refused("analyze", f"docker://{server.address}/app")
    assert "'## [group]x' is not a digest" in line


def test_a_secret_in_a_redirect_is_not_shown(client: Client) -> None:
    with Server(
        lambda exchange: exchange.answer(302, b"", {"Location": f"http://127.0.0.1:1/?sig={PASSWORD}"})
    ) as server:
        assert "nothing listens" in client.refused("analyze", f"docker://{server.address}/app")


def failing(times: int, then: Respond, how: Respond) -> Respond:
    """Fails so many times, and then no more."""
    left = [times]

    def respond(exchange: Exchange) -> None:
        left[0] -= 1
        (how if left[0] >= 0 else then)(exchange)

    return respond


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_asks_a_busy_registry_again(waits: list[float], status: int) -> None:
    with Server(failing(3, serving(manifest()), lambda exchange: exchange.answer(status))) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
        assert len(server.seen) == 5
    assert waits == [0.5, 1, 2]


def test_asks_again_if_the_connection_is_lost(waits: list[float]) -> None:
    with Server(failing(2, serving(manifest()), Exchange.drop)) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
    assert waits == [0.5, 1]


def test_gives_up_on_a_registry_that_stays_busy(client: Client) -> None:
    with Server(lambda exchange: exchange.answer(503, error("UNAVAILABLE", "come back"))) as server:
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
def test_follows_retry_after(waits: list[float], wait: str, least: float, most: float) -> None:
    with Server(
        failing(1, serving(manifest()), lambda exchange: exchange.answer(429, b"", {"Retry-After": wait}))
    ) as server:
        assert len(load(f"docker://{server.address}/app")) == 1
    assert len(waits) == 1
    assert least <= waits[0] <= most


@pytest.mark.parametrize(
    "wait", ["3600", "999999999", pytest.param(formatdate(time.time() + 86400, usegmt=True), id="tomorrow")]
)
def test_does_not_wait_for_long(client: Client, wait: str) -> None:
    with Server(lambda exchange: exchange.answer(429, b"", {"Retry-After": wait})) as server:
        assert "asks to come back in" in client.refused("analyze", f"docker://{server.address}/app")
        assert len(server.seen) == 1


@pytest.mark.slow
def test_all_requests_of_a_source_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of very many manifests, each of which comes in time."""
    listed = [{"mediaType": MANIFEST_TYPE, "digest": digest(str(i).encode()), "size": 1} for i in range(900)]
    index = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()

    def slow(exchange: Exchange) -> None:
        exchange.stopping.wait(0.05)
        exchange.answer(*((404, b"") if "sha256:" in exchange.path else (200, index)))

    monkeypatch.setattr(registry_client, "DEADLINE", 0.6)
    with Server(slow) as server, pytest.raises(InputError, match=r"more than 0\.6 seconds in all"):
        load(f"docker://{server.address}/app", access=Access(timeout=0.2))
    assert len(server.seen) < 100


def endless_redirect(exchange: Exchange) -> None:
    exchange.begin(302, {"location": "/v2/", "transfer-encoding": "chunked"})
    exchange.drip(b"10000\r\n" + b" " * 65536 + b"\r\n", seconds=0)


def packed_redirect(exchange: Exchange) -> None:
    """It would unpack to a gigabyte and a half."""
    part = gzip.compress(bytes(512 << 20), 1)
    exchange.answer(302, part * 3, {"Location": "/v2/", "Content-Encoding": "gzip"})


@pytest.mark.slow
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
