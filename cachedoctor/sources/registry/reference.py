"""References to manifests in registries: `HOST[:PORT]/REPO[:TAG|@DIGEST]`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cachedoctor.errors import InputError
from cachedoctor.sources.descriptors import is_digest

HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
"""Names of Docker Hub, the registry of names without a host."""

_HIDDEN = "docker://..."
"""Stands for a reference that may contain a password."""
_EXPECTED = "HOST[:PORT]/REPO[:TAG|@DIGEST]"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?"
# OCI distribution spec, "Pulling manifests".
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_PART}(?:/{_PART})*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_LONGEST = 255
"""Characters of a host or repository; registries do not accept longer names."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of a registry, and what it names in there."""

    host: str
    """With its port, as it was written; empty for Docker Hub, by whatever name."""
    repository: str
    tag: str | None
    digest: str | None

    def with_tag(self, tag: str | None) -> Reference:
        """The same with a tag that was chosen elsewhere, if any. Raises `InputError` if it names another already."""
        if tag is None or tag == self.tag:
            return self
        check_tag(tag)
        if self.tag or self.digest:
            raise InputError(f"names a {'digest' if self.digest else 'tag'}, and --tag another; leave one out")
        return replace(self, tag=tag)

    @property
    def name(self) -> str:
        """The tag or digest that names the manifest."""
        return self.digest or self.tag or "latest"

    @property
    def read_tag(self) -> str | None:
        """The tag that it is read by, `None` if it is read by its digest, which wins over a tag."""
        return None if self.digest else self.name

    @property
    def registry(self) -> str:
        """The host that people know the registry by."""
        return self.host or HUB[0]

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, so that nobody can listen on the way."""
        return is_loopback(re.sub(r":[0-9]+$", "", self.host).strip("[]"))

    def is_beside(self, other: Reference) -> bool:
        """Whether both are in one registry, under the same name for it."""
        return self.host.lower() == other.host.lower()


def is_tag(text: str) -> bool:
    """Whether this can be a tag (OCI distribution spec, "Pulling manifests")."""
    return re.fullmatch(_TAG, text) is not None


def check_tag(text: str) -> None:
    """Raises `InputError` if this cannot be a tag."""
    if not is_tag(text):
        raise InputError(f"{text[:80]!r} is not a tag")


def is_loopback(host: str) -> bool:
    """Whether a host, without port and brackets, is certainly this machine.

    Names below `localhost` are not: a resolver without a rule for them asks others.
    """
    if host.lower() == "localhost":
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse(text: str) -> Reference:
    """Read `HOST[:PORT]/REPO[:TAG|@DIGEST]`.

    As everywhere with Docker, the first part is a host if it has a dot or a port or is `localhost`; otherwise it
    belongs to the repository, which is at Docker Hub. Raises `InputError`, which never repeats what may be a password.
    """
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        if "/" in digest or "/" not in name:
            raise InputError("a reference must not contain credentials; docker login keeps them", source=_HIDDEN)
        raise InputError(f"expected a digest after @: {_EXPECTED}", source=_HIDDEN)
    host, repository = _split(name)
    tag = None
    if ":" in repository:
        repository, _, tag = repository.rpartition(":")
    if (host and not _is_host(host)) or not _is_name(_REPOSITORY, repository):
        raise InputError(f"names no repository; expected {_EXPECTED}, with REPO in lower case")
    if tag is not None:
        check_tag(tag)
    return Reference(host, repository, tag, digest or None)


def _split(name: str) -> tuple[str, str]:
    """Host and repository of a name."""
    first, slash, rest = name.partition("/")
    bare = first.partition(":")[0]
    if bare == "localhost" or "." in bare or (slash and ":" in first):
        if first.lower() not in HUB:
            return first, rest
        name, slash = rest, "/" if "/" in rest else ""
    return "", name if slash else f"library/{name}"


def _is_host(text: str) -> bool:
    from urllib.parse import urlsplit

    try:
        return _is_name(_HOST, text) and urlsplit(f"//{text}").port != 0
    except ValueError:
        return False


def _is_name(pattern: str, text: str) -> bool:
    return len(text) <= _LONGEST and re.fullmatch(pattern, text) is not None
