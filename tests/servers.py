"""Small HTTP servers in threads of the tests, which answer as a test wants."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any


@dataclass
class Exchange:
    """One request, and ways to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes
    handler: BaseHTTPRequestHandler = field(repr=False)
    stopping: Event = field(repr=False)
    """Set at the end of the test, so that endless answers end."""

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send a complete answer; to HEAD only its head."""
        complete = {"content-length": str(len(body)), **{key.lower(): value for key, value in (headers or {}).items()}}
        self.begin(status, complete)
        if self.method != "HEAD":
            self.handler.wfile.write(body)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """Send the head of an answer."""
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        """Send the same piece again and again, until nobody listens."""
        while not self.stopping.wait(seconds):
            self.handler.wfile.write(data)
            self.handler.wfile.flush()

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)


Respond = Callable[[Exchange], None]


class Server:
    """A server on a free port of this machine, while the context lasts."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self.respond = respond
        self.seen: list[Exchange] = []
        self.stopping = Event()
        self._server = _Threaded(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http{'s' if tls else ''}://{self.address}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def paths(self) -> list[str]:
        """What was requested, such as `GET /v2/app/manifests/main`."""
        return [f"{exchange.method} {exchange.path}" for exchange in self.seen]


class _Threaded(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Several sources are read at the same time; a connection that finds no room is tried again only after a second.
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), (OSError, ValueError)):
            super().handle_error(request, client_address)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are written separately; by default the body would wait until the head is acknowledged.
        disable_nagle_algorithm = True

        def _any(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            exchange = Exchange(self.command, self.path, headers, body, self, server.stopping)
            server.seen.append(exchange)
            server.respond(exchange)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    return Handler


def forward(address: str) -> Respond:
    """Answer with what the server at another address answers."""

    def respond(exchange: Exchange) -> None:
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.request(exchange.method, exchange.path, exchange.body or None, exchange.headers)
            answer = connection.getresponse()
            body = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() != "transfer-encoding"}
            exchange.answer(answer.status, body, kept)
        finally:
            connection.close()

    return respond
