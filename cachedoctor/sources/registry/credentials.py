"""Credentials as Docker keeps them: `config.json`, and the helpers that it names."""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachedoctor.errors import InputError
from cachedoctor.io.files import open_regular
from cachedoctor.sources.json import expect, field, parse

MOST_BYTES = 16 << 20
"""Bytes of a `config.json`, and of what a helper answers."""

_HELPER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What `docker login` left for one registry. Without a `repr`: nothing of it may end up in a message."""

    looked_for: str
    """Where was looked, and what was found, for a message."""
    basic: str | None = None
    """User name and password as basic authentication has them (RFC 7617): base64 of `user:password`."""
    identity_token: str | None = None
    """A refresh token (Docker's token authentication, "OAuth2")."""
    registry_token: str | None = None
    """A bearer token that is taken as it is."""

    @property
    def found(self) -> bool:
        """Whether there are any."""
        return bool(self.basic or self.identity_token or self.registry_token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that nobody may see, in each form that it has."""
        pair = base64.b64decode(self.basic or "").decode("utf-8", "replace")
        secrets = (self.basic, pair, pair.partition(":")[2], self.identity_token, self.registry_token)
        return tuple(filter(None, secrets))


def config_path() -> Path:
    """Docker's `config.json`: in `$DOCKER_CONFIG`, or in `~/.docker`."""
    # Unlike pathlib's, this one raises nothing where there is no home, as in some containers.
    return Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"), "config.json")  # noqa: PTH111


def find(names: Sequence[str], server: str, seconds: float) -> Credentials:
    """The credentials for a registry that goes by any of these names; a helper is asked for `server`.

    A helper for the registry comes first, then the store, then what the file itself holds. Raises `InputError` where
    the file or what a helper says is not what it should be.
    """
    path = config_path()
    config = _read(path)
    if config is None:
        return Credentials(f"there are no credentials, since there is no {path}")
    where = "$"
    helpers = field(config, "credHelpers", dict, str(path), where) or {}
    auths = field(config, "auths", dict, str(path), where) or {}
    own = next((helpers[name] for name in (*names, server) if helpers.get(name)), None)
    looked = f"there are no credentials for {server} in {path}"
    for helper in filter(None, (own, field(config, "credsStore", str, str(path), where))):
        expect(helper, str, str(path), "$.credHelpers")
        found, said = _ask(helper, server, seconds, path)
        if found is not None:
            return found
        looked += f", and docker-credential-{helper} {said}"
    for key in sorted(auths, key=lambda key: key not in names):
        if _host(key) in names and isinstance(auths[key], dict):
            stored = _stored(auths[key], path, f"$.auths[{key!r}]", server)
            if stored.found:
                return stored
    return Credentials(looked)


def _read(path: Path) -> dict[str, Any] | None:
    """The parsed file, `None` where there is none. A reason never quotes the file."""
    try:
        with open_regular(str(path)) as file:
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no regular file"
        raise InputError(f"cannot read Docker's credentials: {reason}", source=str(path)) from error
    if len(data) > MOST_BYTES:
        raise InputError(f"more than {MOST_BYTES:,} bytes", source=str(path))
    config: dict[str, Any] = expect(parse(data, str(path)), dict, str(path), "$")
    return config


def _host(key: str) -> str:
    """The registry that a key of `auths` means: some have a scheme and a path, from older days."""
    return re.sub(r"^https?://", "", key).partition("/")[0]


def _stored(entry: dict[str, Any], path: Path, where: str, server: str) -> Credentials:
    basic = field(entry, "auth", str, str(path), where)
    user = field(entry, "username", str, str(path), where)
    password = field(entry, "password", str, str(path), where)
    if not basic and user and password:
        basic = encode(user, password)
    if basic:
        try:
            basic = base64.b64encode(base64.b64decode(basic, validate=True).rstrip(b"\0")).decode()
        except (binascii.Error, ValueError) as error:
            raise InputError("expected base64", f"{where}.auth", source=str(path)) from error
    return Credentials(
        f"the credentials for {server} in {path}",
        basic or None,
        field(entry, "identitytoken", str, str(path), where) or None,
        field(entry, "registrytoken", str, str(path), where) or None,
    )


def encode(user: str, password: str) -> str:
    """User name and password as one string (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode("utf-8", "surrogatepass")).decode()


def _ask(helper: str, server: str, seconds: float, path: Path) -> tuple[Credentials | None, str]:
    """What a credential helper has for a registry, or what to say of it (docker-credential-helpers, "get")."""
    if not _HELPER.fullmatch(helper):
        raise InputError(f"{helper[:80]!r} is no name of a credential helper", source=str(path))
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"did not answer within {seconds:.0f} seconds"
    except OSError as error:
        return None, f"cannot be run ({error.strerror or 'unknown reason'})"
    if done.returncode:
        return None, "has none"
    name = f"docker-credential-{helper}"
    answer = expect(parse(done.stdout[:MOST_BYTES], name), dict, name, "$")
    user = field(answer, "Username", str, name, "$") or ""
    secret = field(answer, "Secret", str, name, "$") or ""
    told = f"the credentials for {server} from {name}"
    if user == "<token>":
        return Credentials(told, identity_token=secret or None), ""
    return (Credentials(told, encode(user, secret)), "") if user or secret else (None, "has none")
