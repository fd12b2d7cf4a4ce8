"""Whatever a registry answers, reading and writing succeed or raise an `InputError`, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.sources import Access, load
from cachedoctor.sources.registry import transport
from cachedoctor.sources.registry.client import Repository
from cachedoctor.sources.registry.reference import parse
from tests.registries import BASIC, PASSWORD
from tests.servers import Exchange, Server
from tests.sources.tiny_registry import digest, error

CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"
CONFIG = b'{"records":[]}'
MANIFEST = json.dumps(
    {"config": {"mediaType": CONFIG_TYPE, "digest": digest(CONFIG), "size": len(CONFIG)}, "layers": []}
).encode()
HEADERS: dict[str, tuple[int, ...]] = {
    "Location": (202, 302),
    "WWW-Authenticate": (401,),
    "Retry-After": (429,),
    "Content-Type": (200,),
    "Content-Length": (200,),
    "Content-Encoding": (200,),
    "Transfer-Encoding": (200,),
    "Docker-Content-Digest": (200,),
    "Set-Cookie": (200,),
    "Connection": (200,),
    "Link": (200,),
}
"""The headers that are read, here or in a library, each with the statuses of answers in which they are."""
ODD = (
    "",
    "\xff\xfe",
    "-1",
    "9" * 30,
    "1_000",
    "Mon, 01 Jan 2024 00:00:00 +99999999999999",
    "Mon, 01 Jan 9999 23:59:59 -2359",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "https://[x",
    "http://[::1",
    "http://127.0.0.1:99999/v2/app/blobs/uploads/x",
    "http://127.0.0.1:0/v2/app/blobs/uploads/x",
    "http://u:p@HERE/v2/app/blobs/uploads/x",
    "http://HERE/v2/app/blobs/uploads/\xe9?a=%zz&a&=#x",
    "http://HERE/v2/app/manifests/x",
    "//HERE/v2/app/blobs/uploads/x",
    "//" + "a" * 300 + "/",
    "http://a..b/",
    "http://\xe9.\xe9/",
    "http://\u00ad/",
    "javascript:x",
    "data:,x",
    ".evil.example/x",
    "@evil.example/x",
    'Bearer realm="http://HERE/token",service="s",scope="a b"',
    'Bearer realm="http://HERE/token?x=\xe9",service="\xe9",scope="\t"',
    'Bearer realm="http://[",service="s"',
    'Bearer realm="https://HERE/"',
    'Bearer realm="HERE"',
    'Bearer realm="http://HERE:x/"',
    "Bearer " + ",".join(f'a{i}="b"' for i in range(200)),
    'Basic realm="x"',
    "gzip",
    "chunked",
    "identity, chunked",
    "text/html; charset=\xff; charset",
    'application/json; charset="',
    "sha256:" + "0" * 64,
    "sha512:" + "0" * 128,
    "a=b; Max-Age=99999999999999999999999; Expires=Mon, 99 Xyz 99999999999 99:99:99 GMT; Version=\xff; Port=x",
    "a=b; Domain=\xff; Path=//; Secure; Expires=Mon, 01-Jan-0000 00:00:00 +9999999",
    "close",
)
DEEP = b"[" * 200_000
BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    DEEP,
    b'{"token":' + DEEP,
    b'{"errors":' + DEEP,
    b'{"token":[1]}',
    b'{"token":"\\ud800"}',
    b'{"token":"good","access_token":5}',
    b'{"errors":[]}',
    b'{"errors":[5]}',
    b'{"errors":{"0":1}}',
    error("DENIED", "::error::\ud7ff##[group]"),
    MANIFEST,
    CONFIG,
)
STATUSES = (200, 201, 202, 204, 206, 299, 301, 302, 307, 400, 401, 403, 404, 416, 429, 500, 503, 599, 999)

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="http://HERE/token",service="s"'}
Answer = tuple[int, dict[str, str], bytes]

values = st.sampled_from(ODD) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=60)
statuses = st.sampled_from(STATUSES)
bodies = st.sampled_from(BODIES)
fitting = st.sampled_from([(name, status) for name, known in HEADERS.items() for status in known])
answers = st.tuples(statuses, st.dictionaries(st.sampled_from(list(HEADERS)), values, max_size=3), bodies) | st.builds(
    lambda pair, value, body: (pair[1], {pair[0]: value}, body), fitting, values, bodies
)
# Sockets of answers that urllib3 gave up on in the middle are closed by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose answers each example sets, and credentials for it. What fails is tried only once more."""
    folder: Path = tmp_path_factory.mktemp("odd")
    with Server(lambda exchange: None) as server, pytest.MonkeyPatch.context() as patch:
        stored = {"auth": BASIC, "identitytoken": PASSWORD}
        (folder / "config.json").write_text(json.dumps({"auths": {server.address: stored}}))
        patch.setenv("DOCKER_CONFIG", str(folder))
        patch.setattr(transport, "ATTEMPTS", 2)
        yield server


def everything(address: str) -> None:
    """Do all that can be done with a registry, each step on its own."""
    url = f"docker://{address}/app:t"
    access = Access(timeout=0.3)
    with suppress(InputError):
        load(url, access=access)
    registry = Repository(parse(f"{address}/app:t"), access)
    steps: tuple[Callable[[], object], ...] = (
        lambda: registry.blob_size(digest(b"")),
        lambda: registry.mount(digest(b""), "other"),
        lambda: registry.push_blob(digest(b"x"), b"x"),
        lambda: registry.push_manifest("t", b"{}", "application/json"),
    )
    for step in steps:
        with suppress(InputError), registry.transport.opened():
            step()


def try_everything(here: Server, replies: list[Answer]) -> None:
    """Do everything with a registry that gives these answers in turn."""
    asked = 0

    def respond(exchange: Exchange) -> None:
        nonlocal asked
        status, headers, body = replies[asked % len(replies)]
        asked += 1
        sent = {name: value.replace("HERE", here.address) for name, value in headers.items()}
        exchange.begin(status, {"content-length": str(len(body)), "connection": "close", **sent})
        if exchange.method != "HEAD":
            exchange.handler.wfile.write(body)
        exchange.handler.close_connection = True

    here.respond = respond
    everything(here.address)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADERS)
def test_each_odd_header(here: Server, name: str) -> None:
    for status in HEADERS[name]:
        for value in ODD:
            try_everything(here, [(status, {name: value}, MANIFEST)])


@pytest.mark.slow
def test_each_odd_body(here: Server) -> None:
    for body in BODIES:
        for status in (200, 202, 403, 404):
            try_everything(here, [(status, {}, body)])
            try_everything(here, [(401, CHALLENGE, b""), (status, {}, body)])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(answers, min_size=1, max_size=4))
def test_odd_answers(here: Server, replies: list[Answer]) -> None:
    try_everything(here, replies)
