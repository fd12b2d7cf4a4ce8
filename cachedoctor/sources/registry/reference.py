"""What a `docker://` URL names."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cachedoctor.errors import InputError
from cachedoctor.sources import digests

SCHEME = "docker://"
LOOKS_LIKE = "docker://HOST[:PORT]/REPO[:TAG|@DIGEST]"

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
# OCI distribution spec, "Pulling manifests".
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""Names of the registry that short names mean, Docker Hub."""
_LONGEST = 255
"""Characters of a host or repository; registries take no longer names."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of a registry, and what is meant in it."""

    host: str
    """With its port, as it was written; empty for the registry that short names mean, by whatever name."""
    repository: str
    tag: str | None
    digest: str | None

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, so that nobody can listen on the way."""
        return is_loopback(re.sub(r":[0-9]+$", "", self.host).strip("[]"))

    @property
    def registry(self) -> str:
        """The host by which people know the registry."""
        return self.host or HUB[0]

    def is_beside(self, other: Reference) -> bool:
        """Whether both are in one registry, by the same name for it."""
        return self.host.lower() == other.host.lower()

    @property
    def names(self) -> str:
        """The tag or digest that stands for the manifest."""
        return self.digest or self.tag or "latest"


def is_loopback(host: str) -> bool:
    """Whether a host, without port and brackets, is this machine for sure.

    Names below `localhost` are not: where the resolver has no rule for them, they are asked of others.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse(url: str, tag: str | None = None) -> Reference:
    """Read `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`; `tag` is taken where the URL names neither.

    As everywhere, the first part is a host if it has a dot or a port or is `localhost`, and else belongs to the name.
    Raises `InputError`, never repeating what could be a password.
    """
    text = url.removeprefix(SCHEME)
    name, at, digest = text.partition("@")
    if at and not digests.is_one(digest):
        if "/" in digest or "/" not in name:
            raise InputError("a URL must hold no credentials; docker login keeps them", source=SCHEME + "...")
        raise InputError(f"expected a digest after @: {LOOKS_LIKE}", source=SCHEME + "...")
    host, repository = _split(name)
    named = None
    if ":" in repository:
        repository, _, named = repository.rpartition(":")
    if (host and not _is_host(host)) or not _is(_REPOSITORY, repository):
        raise InputError(f"names no repository: {LOOKS_LIKE}, the repository in lower case", source=url)
    for one in (named, tag):
        if one is not None and not TAG.fullmatch(one):
            raise InputError(f"{one[:80]!r} is no tag", source=url)
    if tag is not None and (named or digest) and tag != named:
        raise InputError(f"names a {'digest' if digest else 'tag'}, and --tag another; leave one out", source=url)
    return Reference(host, repository, named or tag, digest or None)


def _is(pattern: re.Pattern[str], text: str) -> bool:
    return len(text) <= _LONGEST and pattern.fullmatch(text) is not None


def _is_host(text: str) -> bool:
    try:
        return _is(_HOST, text) and urlsplit(f"//{text}").port != 0
    except ValueError:
        return False


def _split(name: str) -> tuple[str, str]:
    """Host and repository of a name."""
    first, slash, rest = name.partition("/")
    if first.partition(":")[0] == "localhost" or "." in first.partition(":")[0] or (slash and ":" in first):
        if first.lower() not in HUB:
            return first, rest
        name, slash = rest, "/" if "/" in rest else ""
    return "", name if slash else f"library/{name}"
