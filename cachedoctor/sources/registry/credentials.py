"""Logging in to a registry: with what `docker login` left, and the tokens that this gives (Docker's token
authentication)."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from cachedoctor.errors import InputError, reading
from cachedoctor.io.files import read_bounded
from cachedoctor.sources.json import parse, typed
from cachedoctor.sources.registry.connections import RegistryError
from cachedoctor.sources.registry.reference import HUB, Reference, is_loopback
from cachedoctor.sources.registry.transport import Answer, Origin, Transport, is_safe, origin

MOST_BYTES = 16 << 20
"""Bytes of a `config.json`, and of the answer of a helper."""

_LONGEST_CHALLENGE = 4096
_HUB_SERVER = "https://index.docker.io/v1/"
"""What credentials for Docker Hub are kept under: the address of its first API."""
_HELPER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_BEARER = re.compile(r"(?:^|,)\s*bearer\s", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z]+)="([^"]*)"')

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What `docker login` left for one registry. Without a `repr`: no part of it may end up in a message."""

    searched: str
    """Where they were searched for, and what was found, for a message."""
    basic: str | None = None
    """User name and password for basic authentication (RFC 7617): base64 of `user:password`."""
    identity_token: str | None = None
    """A refresh token (Docker's token authentication, "OAuth2")."""
    registry_token: str | None = None
    """A bearer token that is used as it is."""

    @property
    def found(self) -> bool:
        """Whether there are any."""
        return bool(self.basic or self.identity_token or self.registry_token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that nobody may see, in each of its forms."""
        pair = base64.b64decode(self.basic or "").decode("utf-8", "replace")
        secrets = (self.basic, pair, pair.partition(":")[2], self.identity_token, self.registry_token)
        return tuple(filter(None, secrets))


class _Config(Struct):
    """Docker's `config.json`, with what is needed of it."""

    credHelpers: dict[str, Any] | None = None  # noqa: N815
    credsStore: str | None = None  # noqa: N815
    auths: dict[str, Any] | None = None


class _Entry(Struct):
    """What `auths` has for one registry."""

    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None


class _Answer(Struct):
    """What a credential helper answers."""

    Username: str | None = None
    Secret: str | None = None


def config_path() -> Path:
    """Docker's `config.json`: in `$DOCKER_CONFIG`, or in `~/.docker`."""
    # Unlike pathlib's, this does not raise if there is no home, as in some containers.
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"), "config.json")  # noqa: PTH111


def find(names: Sequence[str], server: str, seconds: float) -> Credentials:
    """The credentials for a registry that has any of these names; helpers are asked for `server`.

    A helper for the registry comes first, then the store, then what the file itself holds. A helper may take `seconds`.
    Raises `InputError`, which never quotes the file, if the file or a helper's answer is malformed.
    """
    path = config_path()
    with reading(str(path)):
        config = _read(path)
        if config is None:
            return Credentials(f"there are no credentials, since there is no {path}")
        helpers = config.credHelpers or {}
        dedicated = next((helpers[name] for name in (*names, server) if helpers.get(name)), None)
        searched = f"there are no credentials for {server} in {path}"
        for helper in filter(None, (dedicated, config.credsStore)):
            answer, problem = _ask(typed(helper, str, "$.credHelpers"), server, seconds)
            if answer is not None:
                return answer
            searched += f", and docker-credential-{helper} {problem}"
        auths = config.auths or {}
        for key in sorted(auths, key=lambda key: key not in names):
            if _host(key) in names and isinstance(auths[key], dict):
                stored = _stored(auths[key], f"$.auths[{key!r}]", f"the credentials for {server} in {path}")
                if stored.found:
                    return stored
    return Credentials(searched)


def _read(path: Path) -> _Config | None:
    """The file, `None` if there is none."""
    try:
        data = read_bounded(path, MOST_BYTES, what="Docker's credentials")
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise
    return typed(parse(data), _Config)


def _host(key: str) -> str:
    """The registry that a key of `auths` means: older Docker versions wrote a scheme and a path, too."""
    return re.sub(r"^https?://", "", key).partition("/")[0]


def _stored(parsed: dict[str, Any], where: str, searched: str) -> Credentials:
    entry = typed(parsed, _Entry, where)
    basic = entry.auth
    if not basic and entry.username and entry.password:
        basic = encode(entry.username, entry.password)
    if basic:
        try:
            basic = base64.b64encode(base64.b64decode(basic, validate=True).rstrip(b"\0")).decode()
        except (binascii.Error, ValueError) as error:
            raise InputError("expected base64", f"{where}.auth") from error
    return Credentials(searched, basic or None, entry.identitytoken or None, entry.registrytoken or None)


def encode(user: str, password: str) -> str:
    """User name and password as one string (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogatepass")).decode()


def _ask(helper: str, server: str, seconds: float) -> tuple[Credentials | None, str]:
    """What a credential helper has for a registry, or why it has none (docker-credential-helpers, "get")."""
    import subprocess

    if not _HELPER.fullmatch(helper):
        raise InputError(f"{helper[:80]!r} is not the name of a credential helper")
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"did not answer within {seconds:.0f} seconds"
    except OSError as error:
        return None, f"cannot be run ({error.strerror or 'unknown reason'})"
    if done.returncode:
        return None, "has none"
    with reading(program):
        answer = typed(parse(done.stdout[:MOST_BYTES]), _Answer)
    user, secret = answer.Username or "", answer.Secret or ""
    found_in = f"the credentials for {server} from {program}"
    if user == "<token>":
        return Credentials(found_in, identity_token=secret or None), ""
    return (Credentials(found_in, encode(user, secret)), "") if user or secret else (None, "has none")


class Login:
    """The credentials for one registry, looked up when it first asks for them, and sent to nobody else."""

    def __init__(self, reference: Reference, origin: Origin, transport: Transport) -> None:
        self._host = reference.registry
        self._repository = reference.repository
        self._is_loopback = reference.is_loopback
        self._origin = origin
        self._transport = transport
        self._names = (self._host,) if reference.host else HUB
        self._server = self._host if reference.host else _HUB_SERVER
        self.headers = self._once("headers", dict[str, str])
        """To send with requests to the registry itself, and to nobody else; those of all sources in the repository."""

    @property
    def credentials(self) -> Credentials:
        """What `docker login` left for the registry. Raises `InputError`."""

        def look_up() -> Credentials:
            found = find(self._names, self._server, self._transport.remaining)
            self._transport.keep_secret(*found.secrets)
            return found

        return self._transport.session.once(("credentials", self._origin, self._server), look_up)

    def _once(self, what: str, make: Callable[[], T]) -> T:
        """What is made once for all sources in the repository: see `Session.once`."""
        return self._transport.session.once((what, self._origin, self._host, self._repository), make)

    def accepts(self, answer: Answer, sent: Mapping[str, str]) -> bool:
        """Answer the registry's challenge to a request with the headers `sent`.

        Returns whether there are other headers now. Raises `InputError`.
        """
        if self.headers == sent:
            old = sent.get("Authorization", "")
            self.headers |= self._once(f"answer to {old}", lambda: self._answer(answer))
        return self.headers != sent

    def _answer(self, answer: Answer) -> dict[str, str]:
        """The headers that a challenge asks for; none if there are none. Raises `InputError`."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        if not challenge or len(challenge) > _LONGEST_CHALLENGE:
            return {}
        if bearer := _BEARER.search(challenge):
            token = self.credentials.registry_token or self._token(challenge[bearer.end() :])
            return {"Authorization": f"Bearer {token}"}
        return {"Authorization": f"Basic {self.credentials.basic}"} if self.credentials.basic else {}

    def denied(self, status: int) -> str:
        """What to say if the registry refuses, and what to try."""
        command = f"docker login {self._host}"
        if not self.credentials.found:
            return f"access denied ({status}): {self.credentials.searched}; try: {command}"
        return f"access denied ({status}) with {self.credentials.searched}; log in again, or as another user: {command}"

    def _token(self, challenge: str) -> str:
        """A bearer token from the server that a challenge names. Raises `InputError`."""
        # Another challenge may follow, so the first of each counts.
        asked = {name.lower(): value for name, value in reversed(_PARAMETER.findall(challenge))}
        realm = self._realm(asked.get("realm", ""))
        answer = self._ask(realm, asked.get("service", ""), asked.get("scope", ""))
        if not answer.ok:
            raise RegistryError(f"{self.denied(401)}; the token server gives no token")
        try:
            fields = typed(parse(answer.body), dict[str, Any])
        except InputError as error:
            raise RegistryError("the answer of the token server is not a token") from error
        token = fields.get("token") or fields.get("access_token")
        if token is None:
            raise RegistryError(f"{self.denied(401)}; the token server gives no token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise RegistryError("the answer of the token server is not a token")
        self._transport.keep_secret(token)
        return token

    def _ask(self, realm: str, service: str, scope: str) -> Answer:
        if self.credentials.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "scope": scope,
                "client_id": "cachedoctor",
                "refresh_token": self.credentials.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._transport.request("POST", realm, headers=headers, body=urlencode(form).encode())
        # One parameter for each scope, since not all token servers split them.
        query = [("service", service)] * bool(service) + [("scope", part) for part in scope.split()]
        parts = urlsplit(realm)
        url = parts._replace(query="&".join(filter(None, (parts.query, urlencode(query)))), fragment="").geturl()
        basic = self.credentials.basic
        return self._transport.request("GET", url, headers={"Authorization": f"Basic {basic}"} if basic else {})

    def _realm(self, realm: str) -> str:
        """The address of the token server, if credentials may be sent there. Raises `RegistryError`."""
        if not is_safe(realm) or urlsplit(realm).scheme not in ("http", "https"):
            raise RegistryError("the registry asks for a token, but names no address to get it from")
        here = is_loopback(urlsplit(realm).hostname or "") and self._is_loopback and self._origin[0] == "http"
        if urlsplit(realm).scheme == "http" and origin(realm) != self._origin and not here:
            raise RegistryError("the registry wants credentials sent by plain HTTP to get a token, which is refused")
        return realm
