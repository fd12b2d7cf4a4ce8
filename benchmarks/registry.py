"""A registry on this machine that has one cache, and counts requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import orjson

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.buildkit.cacheconfig.v0"


@dataclass
class Served:
    """What the registry has served so far."""

    url: str
    layers: int
    requests: int = 0
    sent: int = 0
    """Bytes of manifests and blobs that were sent."""


@contextmanager
def serve(config: bytes) -> Iterator[Served]:
    """Serve a cache config and its manifest, but no layers, while the context lasts."""
    blobs = dict.fromkeys(layer["blob"] for layer in orjson.loads(config)["layers"])
    digest = f"sha256:{sha256(config).hexdigest()}"
    manifest = orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest, "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": blob, "size": 1000} for blob in blobs],
        }
    )
    answers = {"/v2/app/manifests/cache": manifest, f"/v2/app/blobs/{digest}": config}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = answers.get(self.path, b"")
            served.requests += 1
            served.sent += len(body)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"docker://127.0.0.1:{server.server_address[1]}/app:cache", len(blobs))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
