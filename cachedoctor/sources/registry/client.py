"""One repository of a registry, by the OCI distribution protocol as oras-py speaks it, over a bounded session."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import oras.auth.utils
import oras.container
import oras.defaults
import oras.provider
import orjson
import requests

from cachedoctor.errors import InputError
from cachedoctor.sources import digests
from cachedoctor.sources.interface import MOST_MANIFEST_BYTES, Access
from cachedoctor.sources.json import expect, parse
from cachedoctor.sources.oci import MANIFEST_LIST
from cachedoctor.sources.registry import credentials
from cachedoctor.sources.registry.reference import HUB, Reference, is_loopback
from cachedoctor.sources.registry.session import (
    ATTEMPTS,
    BUSY,
    MOST_ANSWER_BYTES,
    RegistryError,
    Session,
    Unanswered,
    origin,
)

DEADLINE = 60.0
"""Seconds for all requests of one source; three times `Access.timeout` where that is more."""
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        MANIFEST_LIST,
    )
)

_LONGEST_CHALLENGE = 4096
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_SHOWN = 160
"""Characters of a registry's own message that are shown."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index, and the digest that it was found to have."""

    digest: str
    data: bytes


class Registry(oras.provider.Registry):  # type: ignore[misc]
    """A repository, with the credentials for it.

    oras-py builds the addresses and reads challenges. Every request goes through `Session`, and `do_request` is our
    own: what oras-py has there retries whatever fails, for minutes, and without any time-out.
    """

    def __init__(self, reference: Reference, source: str, access: Access, seconds: float | None = None) -> None:
        self.reference = reference
        self.source = source
        self.host = reference.registry
        hub = not reference.host
        address = oras.defaults.registry.default_v2_registry["host"] if hub else self.host
        plain = access.plain_http
        if plain is None:
            plain = reference.is_loopback and access.ca_file is None
        super().__init__(hostname=address, insecure=plain)
        self.session = self.auth.session = Session(source, access, max(seconds or DEADLINE, 3 * access.timeout))
        self._origin = origin(f"{self.prefix}://{address}")
        self._names: tuple[str, ...] = HUB if hub else (self.host,)
        self._server: str = oras.defaults.registry.index_server if hub else self.host
        self._credentials: credentials.Credentials | None = None
        self._authorization: str | None = None
        self.place = oras.container.Container("repository", registry=address)
        namespace, _, self.place.repository = reference.repository.rpartition("/")
        self.place.namespace = namespace or None

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
        limit: int = MOST_ANSWER_BYTES,
        before: Callable[[], None] = lambda: None,
    ) -> requests.Response:
        """One request, once more after a challenge (OCI distribution spec, "Determining Support"; RFC 9110, 11.4).

        `before` is called before each attempt. Raises `InputError` where no answer comes, or one that says nothing of
        what was asked: 401, 403, 429, 5xx.
        """
        response = self._send(url, method, data, headers, limit, before)
        if response.status_code == 401 and self._answer(response):
            response = self._send(url, method, data, headers, limit, before)
        status = response.status_code
        if status in (401, 403):
            raise self.problem(f"{self._denied(status)}{self.told(response)}")
        if status in BUSY:
            said = f"the registry answers {status} every time, {ATTEMPTS} times{self.told(response)}"
            raise Unanswered(said, source=self.source)
        return response

    def _send(
        self,
        url: str,
        method: str,
        data: bytes | None,
        headers: dict[str, str] | None,
        limit: int,
        before: Callable[[], None],
    ) -> requests.Response:
        own = dict(headers or {})
        if self._authorization and self._is_ours(url):
            own["Authorization"] = self._authorization
        response: requests.Response = self.session.request(
            method, url, data=data, headers=own, limit=limit, before=before
        )
        return response

    def _is_ours(self, url: str) -> bool:
        try:
            return origin(url) == self._origin
        except ValueError:
            return False

    def _answer(self, response: requests.Response) -> bool:
        """Answer a challenge of the registry itself, and whether there was another answer than before."""
        challenge = response.headers.get("WWW-Authenticate", "")
        if not challenge or len(challenge) > _LONGEST_CHALLENGE or not self._is_ours(response.url):
            return False
        found = self._found()
        before = self._authorization
        if re.search(r"(?:^|,)\s*bearer\s", challenge, re.IGNORECASE):
            self._authorization = f"Bearer {found.registry_token or self._token(challenge, found)}"
        elif found.basic:
            self._authorization = f"Basic {found.basic}"
        return self._authorization != before

    def _found(self) -> credentials.Credentials:
        """The credentials, looked for when they are first asked for. Raises `InputError`."""
        if self._credentials is None:
            self._credentials = credentials.find(self._names, self._server, self.session.remaining)
            self.session.keep_secret(*self._credentials.secrets)
        return self._credentials

    def _token(self, challenge: str, found: credentials.Credentials) -> str:
        """A bearer token of the realm that the challenge names (Docker's token authentication). Raises `InputError`."""
        asked = oras.auth.utils.parse_auth_header(challenge)
        realm = self._realm(asked.realm or "")
        answer = self._refresh(realm, asked, found) if found.identity_token else self._plain(realm, asked, found)
        if not answer.ok:
            raise self.problem(f"{self._denied(401)}; the token server gives no token")
        try:
            fields = expect(parse(answer.content, self.source), dict, self.source, "")
        except InputError as error:
            raise self.problem("the token server answers with what is no token") from error
        token = fields.get("token") or fields.get("access_token")
        if token is None:
            raise self.problem(f"{self._denied(401)}; the token server gives no token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self.problem("the token server answers with what is no token")
        self.session.keep_secret(token)
        return token

    def _plain(self, realm: str, asked: Any, found: credentials.Credentials) -> requests.Response:
        # One parameter for each scope, since not all token servers split them.
        query = {"service": asked.service or None, "scope": (asked.scope or "").split()}
        headers = {"Authorization": f"Basic {found.basic}"} if found.basic else {}
        response: requests.Response = self.session.request("GET", realm, params=query, headers=headers)
        return response

    def _refresh(self, realm: str, asked: Any, found: credentials.Credentials) -> requests.Response:
        form = {
            "grant_type": "refresh_token",
            "service": asked.service or "",
            "scope": asked.scope or "",
            "client_id": "cachedoctor",
            "refresh_token": found.identity_token or "",
        }
        response: requests.Response = self.session.request("POST", realm, data=form)
        return response

    def _realm(self, realm: str) -> str:
        """The address of the token server, if credentials may be sent there. Raises `InputError`."""
        parts = _split(realm)
        if parts is None or parts.scheme not in ("http", "https"):
            raise self.problem("the registry asks for a token, and names no address to get it from")
        here = is_loopback(parts.hostname or "") and self.reference.is_loopback
        if parts.scheme == "http" and not (self._is_ours(realm) or (here and self.prefix == "http")):
            raise self.problem("the registry wants credentials sent by plain HTTP to get a token, which is refused")
        return realm

    def _denied(self, status: int) -> str:
        found = self._found()
        login = f"docker login {self.host}"
        if not found.found:
            return f"access denied ({status}): {found.looked_for}; try: {login}"
        return f"access denied ({status}) with {found.looked_for}; log in again, or as somebody else: {login}"

    def manifest(self, name: str, limit: int) -> requests.Response:
        """The answer for a manifest or index by tag or digest (OCI distribution spec, "Pulling manifests").

        Raises `InputError`.
        """
        return self.do_request(self._url(self.place.manifest_url(name)), headers={"Accept": ACCEPT}, limit=limit)

    def fetch(self, name: str) -> Fetched | None:
        """A manifest or index by tag or digest, `None` where there is none. Raises `InputError`."""
        response = self.manifest(name, MOST_MANIFEST_BYTES)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self.unexpected(response, name)
        data = response.content
        if data.lstrip()[:1] == b"<":
            raise self.problem(f"{name}: HTML instead of a manifest; is there a registry at {self.host}?")
        # A registry may tell the digest of what a tag names (OCI distribution spec, "Pulling manifests").
        said = name if digests.is_one(name) else response.headers.get("Docker-Content-Digest", "")
        if digests.is_one(said):
            digests.verify(data, said, None, self.source)
        return Fetched(said if digests.is_one(said) else digests.of(data), data)

    def blob(self, digest: str, limit: int) -> requests.Response:
        """The answer for a blob (OCI distribution spec, "Pulling blobs"). Raises `InputError`."""
        return self.do_request(self._url(self.place.get_blob_url(digest)), limit=limit)

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob, -1 where the registry does not tell it; `None` where there is no such blob.

        See OCI distribution spec, "Checking if content exists in the registry". Raises `InputError`.
        """
        response = self.do_request(self._url(self.place.get_blob_url(digest)), "HEAD")
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self.unexpected(response, f"blob {digest}")
        size = response.headers.get("Content-Length", "")
        return int(size) if re.fullmatch(r"[0-9]{1,18}", size) else -1

    def mount(self, digest: str, repository: str) -> bool:
        """Whether a blob could be mounted from another repository (OCI distribution spec, "Mounting a blob").

        With 202 an upload was begun instead, which nothing is sent to. Raises `InputError`.
        """
        url = f"{self._url(self.place.upload_blob_url())}?mount={digest}&from={repository}"
        response = self.do_request(url, "POST", headers={"Content-Length": "0"})
        if response.status_code not in (201, 202):
            raise self.unexpected(response, f"mounting {digest} from {repository}")
        return response.status_code == 201

    def push_blob(self, digest: str, data: bytes) -> None:
        """Upload a blob (OCI distribution spec, "POST then PUT"). Raises `InputError`."""
        response = self.do_request(self._url(self.place.upload_blob_url()), "POST", headers={"Content-Length": "0"})
        if response.status_code != 202:
            raise self.unexpected(response, "beginning an upload")
        place = self._location(response)
        # What is in the query already may be critical, and is not to be changed (OCI distribution spec).
        query = "&".join(filter(None, (place.query, f"digest={digest}")))
        response = self.do_request(
            place._replace(query=query).geturl(), "PUT", data, {"Content-Type": "application/octet-stream"}
        )
        if response.status_code != 201:
            raise self.unexpected(response, f"uploading {digest}")

    def push_manifest(self, name: str, data: bytes, media_type: str, before: Callable[[], None] = lambda: None) -> None:
        """Put a manifest under a tag or its digest (OCI distribution spec, "Pushing Manifests").

        `before` is called before each attempt. Raises `InputError`; with `Unanswered`, it may be there nonetheless.
        """
        url = self._url(self.place.manifest_url(name))
        response = self.do_request(url, "PUT", data, {"Content-Type": media_type}, before=before)
        if response.status_code != 201:
            raise self.unexpected(response, f"putting the manifest {name}")

    def _location(self, response: requests.Response) -> SplitResult:
        """Where an upload goes on (OCI distribution spec, "POST then PUT"). Raises `InputError`.

        The spec leaves the path to the registry, and not all have `/blobs/uploads/` in it; but whatever the registry
        says, nothing is put where manifests are.
        """
        location = response.headers.get("Location", "")
        try:
            url = urljoin(response.url, location)
        except ValueError:
            url = ""
        parts = _split(url)
        if not location or parts is None or not self._is_ours(url) or not _is_upload(parts.path):
            raise self.problem("the registry begins an upload, and names no address for it that can be trusted")
        return parts._replace(fragment="")

    def _url(self, path: str) -> str:
        return f"{self.prefix}://{path}"

    def unexpected(self, response: requests.Response, what: str) -> RegistryError:
        """What to say where the registry answers with a status that does not fit."""
        hint = "; it speaks TLS: --no-plain-http" if b"to an HTTPS server" in response.content[:_SHOWN] else ""
        return self.problem(f"{what}: the registry answers {response.status_code}{self.told(response)}{hint}")

    def problem(self, text: str, *, missing: bool = False) -> RegistryError:
        """A reason that names the source; what is foreign in the text has to be harmless already."""
        return self.session.problem(text, missing=missing)

    def told(self, response: requests.Response) -> str:
        """What a registry says of an error, made harmless, and cut to a line; empty if nothing.

        See OCI distribution spec, "Error Codes".
        """
        try:
            first = orjson.loads(response.content)["errors"][0]
            parts = [first.get(name) for name in ("code", "message")]
        except (ValueError, TypeError, LookupError, AttributeError):
            return ""
        words = [self.session.foreign(part) for part in parts if isinstance(part, str)]
        text = " ".join(": ".join(words).split())
        return f" ({text if len(text) <= _SHOWN else text[:_SHOWN] + '...'})" if text else ""


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a host and without a user, `None` for anything else."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.username is None and parts.port != 0 else None
    except ValueError:
        return None


def _is_upload(path: str) -> bool:
    """Whether a path can be that of an upload, and not that of a manifest."""
    names = [name for name in unquote(path).split("/") if name]
    named = not {".", ".."} & set(names) and bool({"upload", "uploads"} & set(names))
    return named and names[-2:-1] != ["manifests"]
