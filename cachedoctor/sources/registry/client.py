"""One repository of a registry, by the OCI distribution protocol as oras-py speaks it, over a bounded session."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import oras.auth.utils
import oras.container
import oras.defaults
import oras.provider
import oras.utils
import orjson
import requests

from cachedoctor.errors import InputError
from cachedoctor.sources.interface import Access
from cachedoctor.sources.oci import MANIFEST_LIST
from cachedoctor.sources.registry import credentials
from cachedoctor.sources.registry.reference import Reference
from cachedoctor.sources.registry.session import ATTEMPTS, BUSY, MOST_ANSWER_BYTES, Session, origin

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


class Registry(oras.provider.Registry):  # type: ignore[misc]
    """A repository, with the credentials for it.

    oras-py builds the addresses, reads challenges and fetches tokens. Every request of it goes through `Session`, and
    `do_request` is our own: what oras-py has there retries whatever fails, for minutes, and without any time-out.
    """

    def __init__(self, reference: Reference, source: str, access: Access, seconds: float | None = None) -> None:
        self.reference = reference
        self.source = source
        self.host = reference.host or oras.defaults.registry.index_name
        hub = self.host in _HUB
        address = oras.defaults.registry.default_v2_registry["host"] if hub else self.host
        plain = access.plain_http
        if plain is None:
            plain = reference.is_loopback and access.ca_file is None
        super().__init__(hostname=address, insecure=plain)
        self.session = self.auth.session = Session(source, access, max(seconds or DEADLINE, 3 * access.timeout))
        self._origin = origin(f"{self.prefix}://{address}")
        self._names: tuple[str, ...] = _HUB if hub else (self.host,)
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
    ) -> requests.Response:
        """One request, once more after a challenge (OCI distribution spec, "Determining Support"; RFC 9110, 11.4).

        Raises `InputError` where no answer comes, or one that says nothing of what was asked: 401, 403, 429, 5xx.
        """
        response = self._send(url, method, data, headers, limit)
        if response.status_code == 401 and self._answer(response):
            response = self._send(url, method, data, headers, limit)
        status = response.status_code
        if status in (401, 403):
            raise self.fail(f"{self._denied(status)}{told(response)}")
        if status in BUSY:
            raise self.fail(f"the registry answers {status} every time, {ATTEMPTS} times{told(response)}")
        return response

    def _send(
        self, url: str, method: str, data: bytes | None, headers: dict[str, str] | None, limit: int
    ) -> requests.Response:
        own = dict(headers or {})
        if self._authorization and self._is_ours(url):
            own["Authorization"] = self._authorization
        response: requests.Response = self.session.request(method, url, data=data, headers=own, limit=limit)
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
        """The credentials, looked for when they are first asked for."""
        if self._credentials is None:
            self._credentials = credentials.find(self._names, self._server, self.session.remaining)
        return self._credentials

    def _token(self, challenge: str, found: credentials.Credentials) -> str:
        """A bearer token of the realm that the challenge names (Docker's token authentication)."""
        asked = oras.auth.utils.parse_auth_header(challenge)
        self._check_realm(asked.realm)
        if found.basic:
            self.auth._basic_auth = found.basic
        fetch = self._refresh if found.identity_token else self._plain_token
        try:
            token = fetch(asked, found)
        except (ValueError, TypeError, AttributeError) as error:
            raise self.fail("the token server answers with what is no token") from error
        if token is None:
            raise self.fail(f"{self._denied(401)}; the token server gives no token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self.fail("the token server answers with what is no token")
        return token

    def _plain_token(self, asked: Any, found: credentials.Credentials) -> Any:
        # One parameter for each, since not all token servers split them.
        asked.scope = (asked.scope or "").split()
        return self.auth.request_token(asked)

    def _refresh(self, asked: Any, found: credentials.Credentials) -> Any:
        form = {
            "grant_type": "refresh_token",
            "service": asked.service or "",
            "scope": asked.scope or "",
            "client_id": "cachedoctor",
            "refresh_token": found.identity_token or "",
        }
        answer = self.session.request("POST", asked.realm, data=form)
        return answer.json().get("access_token") if answer.ok else None

    def _check_realm(self, realm: str | None) -> None:
        try:
            parts = urlsplit(realm or "")
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        except ValueError:
            good = False
        if not good:
            raise self.fail("the registry asks for a token, and names no address to get it from")
        if self.prefix == "https" and not str(realm).startswith("https:"):
            raise self.fail("the registry wants credentials sent by plain HTTP to get a token, which is refused")

    def _denied(self, status: int) -> str:
        found = self._found()
        login = f"docker login {self.host}"
        if not found.found:
            return f"access denied ({status}): {found.looked_for}; try: {login}"
        return f"access denied ({status}) with {found.looked_for}; log in again, or as somebody else: {login}"

    def manifest(self, name: str, limit: int) -> requests.Response:
        """A manifest or index by tag or digest (OCI distribution spec, "Pulling manifests")."""
        return self.do_request(self._url(self.place.manifest_url(name)), headers={"Accept": ACCEPT}, limit=limit)

    def has_manifest(self, name: str) -> bool:
        """Whether there is such a tag or digest (OCI distribution spec, "Checking if content exists")."""
        response = self.do_request(self._url(self.place.manifest_url(name)), "HEAD", headers={"Accept": ACCEPT})
        return self._exists(response, f"manifest {name}")

    def blob(self, digest: str, limit: int) -> requests.Response:
        """A blob (OCI distribution spec, "Pulling blobs")."""
        return self.do_request(self._url(self.place.get_blob_url(digest)), limit=limit)

    def blob_size(self, digest: str) -> int | None:
        """The size of a blob, -1 where the registry does not tell it; `None` where there is no such blob."""
        response = self.do_request(self._url(self.place.get_blob_url(digest)), "HEAD")
        if not self._exists(response, f"blob {digest}"):
            return None
        size = response.headers.get("Content-Length", "")
        return int(size) if re.fullmatch(r"[0-9]{1,18}", size) else -1

    def _exists(self, response: requests.Response, what: str) -> bool:
        if response.status_code not in (200, 404):
            raise self.unexpected(response, what)
        return response.status_code == 200

    def mount(self, digest: str, repository: str) -> bool:
        """Whether a blob could be mounted from another repository (OCI distribution spec, "Mounting a blob")."""
        url = f"{self._url(self.place.upload_blob_url())}?mount={digest}&from={repository}"
        response = self.do_request(url, "POST", headers={"Content-Length": "0"})
        if response.status_code == 202:
            # An upload was begun instead, which nothing will be sent to. A registry forgets it in the end anyway.
            with suppress(InputError):
                self.do_request(self._location(response), "DELETE")
        elif response.status_code != 201:
            raise self.unexpected(response, f"mounting {digest} from {repository}")
        return response.status_code == 201

    def push_blob(self, digest: str, data: bytes) -> None:
        """Upload a blob (OCI distribution spec, "POST then PUT"). Raises `InputError`."""
        response = self.do_request(self._url(self.place.upload_blob_url()), "POST", headers={"Content-Length": "0"})
        if response.status_code != 202:
            raise self.unexpected(response, "beginning an upload")
        url = oras.utils.append_url_params(self._location(response), {"digest": digest})
        response = self.do_request(url, "PUT", data, {"Content-Type": "application/octet-stream"})
        if response.status_code != 201:
            raise self.unexpected(response, f"uploading {digest}")

    def push_manifest(self, name: str, data: bytes, media_type: str) -> None:
        """Put a manifest under a tag or its digest (OCI distribution spec, "Pushing Manifests")."""
        url = self._url(self.place.manifest_url(name))
        response = self.do_request(url, "PUT", data, {"Content-Type": media_type})
        if response.status_code != 201:
            raise self.unexpected(response, f"putting the manifest {name}")

    def _location(self, response: requests.Response) -> str:
        """Where an upload goes on. Raises `InputError` for what is no place to send data to."""
        url = str(self._get_location(response, self.place))
        if not url or not (self._is_ours(url) or url.startswith("https://")):
            raise self.fail("the registry begins an upload, and names no address for it that can be trusted")
        return url

    def _url(self, path: str) -> str:
        return f"{self.prefix}://{path}"

    def unexpected(self, response: requests.Response, what: str) -> InputError:
        """What to say where the registry answers with a status that does not fit."""
        hint = "; it speaks TLS: --no-plain-http" if b"to an HTTPS server" in response.content[:_SHOWN] else ""
        return self.fail(f"{what}: the registry answers {response.status_code}{told(response)}{hint}")

    def fail(self, problem: str) -> InputError:
        """A reason that names the source."""
        return InputError(self.source, "", problem)


_HUB: tuple[str, ...] = (
    oras.defaults.registry.index_name,
    oras.defaults.registry.index_hostname,
    oras.defaults.registry.default_v2_registry["host"],
)
"""Names of the registry that short names mean."""


def told(response: requests.Response) -> str:
    """What a registry says of an error (OCI distribution spec, "Error Codes"), cut to a line; empty if nothing."""
    try:
        first = orjson.loads(response.content)["errors"][0]
        parts = [first.get(name) for name in ("code", "message")]
    except (ValueError, TypeError, LookupError, AttributeError):
        return ""
    text = " ".join(": ".join(part for part in parts if isinstance(part, str)).split())
    return f" ({text if len(text) <= _SHOWN else text[:_SHOWN] + '...'})" if text else ""
