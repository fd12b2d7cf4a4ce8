"""A registry in memory: the part of the OCI distribution protocol that reading and writing caches needs."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers import Exchange

_TAGS = re.compile(r"/v2/(?P<repository>.+?)/tags/list")
_PATH = re.compile(r"/v2/(?P<repository>.+?)/(?P<what>manifests|blobs/uploads|blobs)/(?P<name>[^/]*)")


class TinyRegistry:
    """Answers for a `Server`. With a user, it requires the password."""

    most_tags = 1_000
    """How many tags one answer lists."""

    def __init__(self, user: str = "", password: str = "") -> None:
        self._expected = "Basic " + b64encode(f"{user}:{password}".encode()).decode() if user else ""
        self._blobs: dict[tuple[str, str], bytes] = {}
        self._manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._uploads: set[str] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Answer a request."""
        if self._expected and exchange.headers.get("authorization") != self._expected:
            exchange.answer(401, error("UNAUTHORIZED"), {"WWW-Authenticate": 'Basic realm="tiny"'})
            return
        url = urlsplit(exchange.path)
        if match := _TAGS.fullmatch(url.path):
            self._list(exchange, match["repository"], parse_qs(url.query))
            return
        match = _PATH.fullmatch(url.path)
        if match is None:
            exchange.answer(200 if url.path == "/v2/" else 404, b"{}")
            return
        handle = {"manifests": self._manifest, "blobs": self._blob, "blobs/uploads": self._upload}[match["what"]]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        handle(exchange, match["repository"], match["name"], query)

    def _manifest(self, exchange: Exchange, repository: str, name: str, query: dict[str, str]) -> None:
        if exchange.method == "PUT":
            document = json.loads(exchange.body)
            if not all(self._has(repository, descriptor["digest"]) for descriptor in _descriptors(document)):
                exchange.answer(400, error("MANIFEST_BLOB_UNKNOWN"))
                return
            manifest = (exchange.body, exchange.headers["content-type"])
            self._manifests[repository, name] = self._manifests[repository, digest(exchange.body)] = manifest
            exchange.answer(201, b"", {"Docker-Content-Digest": digest(exchange.body)})
            return
        if (repository, name) not in self._manifests:
            exchange.answer(404, error("MANIFEST_UNKNOWN"))
            return
        data, media_type = self._manifests[repository, name]
        exchange.answer(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest(data)})

    def _list(self, exchange: Exchange, repository: str, query: dict[str, list[str]]) -> None:
        tags = sorted(name for home, name in self._manifests if home == repository and ":" not in name)
        if not tags:
            exchange.answer(404, error("NAME_UNKNOWN"))
            return
        rest = [tag for tag in tags if tag > query.get("last", [""])[0]]
        page = rest[: min(self.most_tags, int(query["n"][0]))]
        following = f'</v2/{repository}/tags/list?last={page[-1]}&n={query["n"][0]}>; rel="next"'
        link = {"Link": following} if len(page) < len(rest) else {}
        exchange.answer(200, json.dumps({"name": repository, "tags": page}).encode(), link)

    def _has(self, repository: str, name: str) -> bool:
        return (repository, name) in self._blobs or (repository, name) in self._manifests

    def _blob(self, exchange: Exchange, repository: str, name: str, query: dict[str, str]) -> None:
        data = self._blobs.get((repository, name))
        if data is None:
            exchange.answer(404, error("BLOB_UNKNOWN"))
        else:
            exchange.answer(200, data, {"Content-Type": "application/octet-stream"})

    def _upload(self, exchange: Exchange, repository: str, name: str, query: dict[str, str]) -> None:
        if exchange.method == "POST":
            mounted = self._blobs.get((query.get("from", ""), query.get("mount", "")))
            if mounted is not None:
                self._blobs[repository, query["mount"]] = mounted
                exchange.answer(201)
                return
            self._uploads.add(f"u{len(self._uploads)}")
            exchange.answer(202, b"", {"Location": f"/v2/{repository}/blobs/uploads/u{len(self._uploads) - 1}"})
        elif name not in self._uploads:
            exchange.answer(404, error("BLOB_UPLOAD_UNKNOWN"))
        elif exchange.method == "DELETE":
            exchange.answer(204)
        elif digest(exchange.body) != query.get("digest"):
            exchange.answer(400, error("DIGEST_INVALID"))
        else:
            self._blobs[repository, query["digest"]] = exchange.body
            exchange.answer(201)


def _descriptors(document: dict[str, Any]) -> list[dict[str, Any]]:
    config = [document["config"]] if "config" in document else []
    return [*config, *document.get("layers", []), *document.get("manifests", [])]


def digest(data: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{sha256(data).hexdigest()}"


def error(code: str, message: str = "no") -> bytes:
    """An error in the form of the OCI distribution spec, "Error Codes"."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
