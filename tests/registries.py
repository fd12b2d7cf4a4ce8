"""Registries for tests: one in memory, and Debian's docker-registry if it is installed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt
import pytest

from tests.servers import Server
from tests.sources.tiny_registry import TinyRegistry
from tests.support import run

USER, PASSWORD = "somebody", "open-sesame-5"
BASIC = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD.encode(), BASIC.encode())
REQUIRED = "CACHEDOCTOR_REQUIRE_REGISTRY"

TINY, REAL = "tiny-registry", "docker-registry"


def available() -> bool:
    """Whether some tests run against docker-registry: if it is installed, or required."""
    return bool(shutil.which(REAL) or os.environ.get(REQUIRED))


@contextmanager
def public(kind: str, folder: Path, layouts: Mapping[str, Path]) -> Iterator[str]:
    """A registry with the layouts as tags of `app`; yields its address."""
    with serve(kind, folder) as address:
        for tag, layout in layouts.items():
            push(address, layout, "app", tag)
        yield address


@contextmanager
def protected(kind: str, folder: Path, layout: Path) -> Iterator[str]:
    """A registry that requires the password, with the layout as `team/app:main`; yields its address."""
    with serve(kind, folder, private=True) as address:
        push(address, layout, "team/app", "main")
        yield address


@contextmanager
def serve(kind: str, folder: Path, *, private: bool = False) -> Iterator[str]:
    """A registry on a free port, while the context lasts; yields its address. A private one requires the password."""
    if kind == TINY:
        with Server(TinyRegistry(USER, PASSWORD) if private else TinyRegistry()) as server:
            yield server.address
        return
    if shutil.which(REAL) is None:
        pytest.fail(f"{REQUIRED} is set, but docker-registry is not installed: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([REAL, "serve", _config(folder, address, private)], stdout=log, stderr=log)
    try:
        _wait(process, address, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait()


def _config(folder: Path, address: str, private: bool) -> Path:
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}, "level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    if private:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))
    return folder / "config.yml"


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            pytest.fail(f"docker-registry ended: {log.read_text()[-500:]}")
        try:
            ask(address, "GET", "/v2/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("docker-registry does not answer")


def ask(
    address: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Make one request, with the password; returns status, headers by lower-case name, and body."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        return _ask(connection, method, path, body, headers or {})


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path, body, {"Authorization": f"Basic {BASIC}", **headers})
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data


def push(address: str, layout: Path, repository: str, tag: str) -> str:
    """Push all blobs of a layout, and the manifests that its index names; returns the digest that the tag now holds."""
    blobs = {f"sha256:{path.name}": path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
    (named,) = json.loads((layout / "index.json").read_text())["manifests"]
    digest = str(named["digest"])
    if digest not in blobs:
        # What BuildKit v0.21.1 stores there is the image manifest of the index that it names.
        manifests = (name for name, data in blobs.items() if data.startswith(b"{") and b'"config":{' in data)
        digest = next(manifests)
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        for name, data in blobs.items():
            _push_blob(connection, repository, name, data)
        _push_manifests(connection, blobs, repository, digest, tag)
    return digest


def push_blob(address: str, repository: str, digest: str, data: bytes) -> None:
    """Push one blob."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        _push_blob(connection, repository, digest, data)


def _push_blob(connection: http.client.HTTPConnection, repository: str, digest: str, data: bytes) -> None:
    status, headers, _ = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", {})
    assert status == 202
    upload = urlsplit(headers["location"])
    query = "&".join(filter(None, (upload.query, f"digest={digest}")))
    octets = {"Content-Type": "application/octet-stream"}
    status, _, body = _ask(connection, "PUT", f"{upload.path}?{query}", data, octets)
    assert status == 201, body


def push_manifest(address: str, repository: str, tag: str, data: bytes) -> None:
    """Push a manifest or index."""
    with closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        _push_manifest(connection, repository, tag, data)


def _push_manifest(connection: http.client.HTTPConnection, repository: str, tag: str, data: bytes) -> None:
    media_type = {"Content-Type": json.loads(data)["mediaType"]}
    status, _, body = _ask(connection, "PUT", f"/v2/{repository}/manifests/{tag}", data, media_type)
    assert status == 201, body


def _push_manifests(
    connection: http.client.HTTPConnection, blobs: dict[str, bytes], repository: str, digest: str, name: str
) -> None:
    for descriptor in json.loads(blobs[digest]).get("manifests", []):
        if descriptor["mediaType"].endswith((".manifest.v1+json", ".index.v1+json")):
            _push_manifests(connection, blobs, repository, descriptor["digest"], descriptor["digest"])
    _push_manifest(connection, repository, name, blobs[digest])


@dataclass
class Client:
    """The command, with a folder for Docker's credentials and no settings of this machine."""

    docker_config: Path
    env: dict[str, str] = field(default_factory=dict)
    process: bool = False
    """Whether each run is a process of its own."""

    def run(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Run it."""
        proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
        defaults = {"DOCKER_CONFIG": str(self.docker_config), "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""}
        return run(*arguments, env={**dict.fromkeys(proxies, ""), **defaults, **self.env, **env}, process=self.process)

    def json(self, *arguments: str | Path, **env: str) -> dict[str, Any]:
        """Its JSON, if all went well."""
        got = self.run(*arguments, "--format", "json", **env)
        assert (got.returncode, got.stderr) == (0, b"")
        document: dict[str, Any] = json.loads(got.stdout)
        return document

    def refused(self, *arguments: str | Path, **env: str) -> str:
        """The one line with which it fails to read or write; no secret is in it."""
        got = self.run(*arguments, **env)
        assert got.returncode == 2, got.stdout
        assert got.stdout == b""
        assert got.stderr.count(b"\n") == 1, got.stderr
        assert not any(secret in got.stderr for secret in SECRETS)
        return got.stderr.decode()

    def config(self, **content: Any) -> None:
        """Write Docker's `config.json`."""
        (self.docker_config / "config.json").write_text(json.dumps(content))

    def log_in(self, address: str) -> None:
        """Do what `docker login` does."""
        self.config(auths={address: {"auth": BASIC}})
