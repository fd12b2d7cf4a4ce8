"""One repository of a registry, by the OCI distribution protocol (spec v1.1), and the caches in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import orjson
from msgspec import Struct

from cachedoctor.buildkit import DOCKER_MANIFEST, IMAGE_MANIFEST, INDEX, MANIFEST_LIST
from cachedoctor.errors import InputError, reading
from cachedoctor.sources.descriptors import Descriptor, is_digest, split, verify
from cachedoctor.sources.document import MOST_MANIFEST_BYTES, Access, CacheDocument, Sizes, digest_of
from cachedoctor.sources.json import parse, typed
from cachedoctor.sources.oci import Resolver
from cachedoctor.sources.registry.blobs import blob_sizes
from cachedoctor.sources.registry.connections import RegistryError, Unanswered
from cachedoctor.sources.registry.credentials import Login
from cachedoctor.sources.registry.reference import HUB, Reference, is_tag
from cachedoctor.sources.registry.transport import (
    ATTEMPTS,
    BUSY,
    MOST_ANSWER_BYTES,
    Answer,
    Transport,
    is_safe,
    origin,
)

DEADLINE = 60.0
"""Seconds for all requests of one source; three times `Access.timeout` if that is more."""
VERIFYING_DEADLINE = 300.0
"""The same if each blob is asked for; those for which no time is left are unknown."""
MOST_TAGS = 10_000
"""Tags of a repository that are listed."""
MOST_PAGES = 200
"""Answers that the list of tags may come in."""
_PER_PAGE = 1_000
_NEXT = re.compile(r'<([^>]*)>[^,]*;\s*rel="?next"?', re.IGNORECASE)
_ACCEPT = {"Accept": ", ".join((IMAGE_MANIFEST, INDEX, DOCKER_MANIFEST, MANIFEST_LIST))}
_SHOWN = 160
"""Characters of a registry's own message that are shown."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index, with its digest."""

    digest: str
    data: bytes


class _Tags(Struct):
    """A page of the list of tags."""

    tags: list[str] | None = None


class Repository:
    """A repository, with the credentials for it. What its methods raise is an `InputError`."""

    def __init__(self, reference: Reference, access: Access, seconds: float | None = None) -> None:
        """`seconds` are those for all requests. Nothing is sent yet."""
        self.reference = reference
        plain = access.plain_http
        if plain is None:
            plain = reference.is_loopback and access.ca_file is None
        # Docker Hub answers by another name than it is known by.
        host = reference.host or HUB[-1]
        self.url = f"{'http' if plain else 'https'}://{host}/v2/{reference.repository}"
        self._origin = origin(self.url)
        self.transport = Transport(access, max(seconds or DEADLINE, 3 * access.timeout))
        self._login = Login(reference, self._origin, self.transport)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MOST_ANSWER_BYTES,
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """The answer to a request, which is made once more after a challenge (RFC 9110, section 11.4).

        `url` is below that of the repository unless it has a scheme; `before` is called before each attempt. Raises
        `Unanswered` if no answer comes, and `RegistryError` if it does not answer what was asked: 401, 403, 429, 5xx.
        """
        url = url if "://" in url else f"{self.url}/{url}"

        def send(login: Mapping[str, str]) -> Answer:
            sent = {**(headers or {}), **(login if self._is_ours(url) else {})}
            with self.transport.session.asking(self._origin):
                return self.transport.request(method, url, headers=sent, body=body, limit=limit, before=before)

        login = dict(self._login.headers)
        answer = send(login)
        if answer.status == 401 and self._is_ours(answer.url) and self._login.accepts(answer, login):
            answer = send(self._login.headers)
        if answer.status in (401, 403):
            raise RegistryError(f"{self._login.denied(answer.status)}{self.message(answer)}")
        if answer.status in BUSY:
            every_time = f"the registry answers {answer.status} every time, {ATTEMPTS} times"
            raise Unanswered(f"{every_time}{self.message(answer)}")
        return answer

    def _is_ours(self, url: str) -> bool:
        return origin(url) == self._origin

    def manifest(self, name: str, limit: int) -> Answer:
        """The answer for a manifest or index by tag or digest (OCI distribution spec, "Pulling manifests")."""
        return self.request("GET", f"manifests/{name}", headers=_ACCEPT, limit=limit)

    def fetch(self, name: str) -> Fetched | None:
        """A manifest or index by tag or digest, verified; `None` if there is none."""
        answer = self.manifest(name, MOST_MANIFEST_BYTES)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.unexpected(answer, name)
        if answer.body.lstrip()[:1] == b"<":
            host = self.reference.registry
            raise RegistryError(f"{name}: HTML instead of a manifest; is there a registry at {host}?")
        # A registry may say which digest a tag has (OCI distribution spec, "Pulling manifests").
        digest = name if is_digest(name) else answer.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):
            return Fetched(digest_of(answer.body), answer.body)
        verify(answer.body, digest, None)
        return Fetched(digest, answer.body)

    def tags(self) -> list[str]:
        """All tags, in alphabetical order (OCI distribution spec, "Listing Tags").

        Raises `InputError` also if there are too many; it is `missing` if there is no such repository.
        """
        tags: set[str] = set()
        page = f"tags/list?n={_PER_PAGE}"
        for _ in range(MOST_PAGES):
            answer = self.request("GET", page)
            if answer.status == 404:
                problem = f"the registry has no repository {self.reference.repository} (404){self.message(answer)}"
                raise RegistryError(problem, missing=True)
            if answer.status != 200:
                raise self.unexpected(answer, "listing the tags")
            with reading(where="the list of tags"):
                listed = typed(parse(answer.body), _Tags).tags or []
            tags.update(filter(is_tag, listed))
            if len(tags) > MOST_TAGS:
                raise RegistryError(f"more than {MOST_TAGS:,} tags; name those that matter")
            page = self._next_page(answer)
            if not page:
                return sorted(tags)
        raise RegistryError(f"the list of tags has more than {MOST_PAGES} pages")

    def _next_page(self, answer: Answer) -> str:
        """The address of the next page (RFC 8288), empty if this was the last one. Raises `RegistryError`."""
        match = _NEXT.search(answer.headers.get("Link", ""))
        if match is None:
            return ""
        try:
            url = str(urljoin(answer.url, match[1]))
        except ValueError:
            url = ""
        if not is_safe(url) or not self._is_ours(url):
            raise RegistryError("the registry names no address for the rest of the tags that can be trusted")
        return url

    def blob(self, digest: str, limit: int) -> Answer:
        """The answer for a blob (OCI distribution spec, "Pulling blobs")."""
        return self.request("GET", f"blobs/{digest}", limit=limit)

    def blob_size(self, digest: str) -> int | None:
        """The bytes of a blob, -1 if the registry does not say; `None` if there is no such blob.

        See OCI distribution spec, "Checking if content exists in the registry".
        """
        answer = self.request("HEAD", f"blobs/{digest}")
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.unexpected(answer, f"blob {digest}")
        size = answer.headers.get("Content-Length", "")
        return int(size) if re.fullmatch(r"[0-9]{1,18}", size) else -1

    def mount(self, digest: str, repository: str) -> bool:
        """Mount a blob from another repository, and return whether it worked (OCI distribution spec, "Mounting").

        With 202 an upload was begun instead, to which nothing is sent.
        """
        answer = self.request("POST", f"blobs/uploads/?mount={digest}&from={repository}")
        if answer.status not in (201, 202):
            raise self.unexpected(answer, f"mounting {digest} from {repository}")
        return answer.status == 201

    def push_blob(self, digest: str, data: bytes) -> None:
        """Upload a blob (OCI distribution spec, "POST then PUT")."""
        answer = self.request("POST", "blobs/uploads/")
        if answer.status != 202:
            raise self.unexpected(answer, "beginning an upload")
        upload = self._upload(answer)
        # The query that it has may be needed, and must not be changed (OCI distribution spec).
        query = "&".join(filter(None, (upload.query, f"digest={digest}")))
        answer = self.request(
            "PUT",
            upload._replace(query=query).geturl(),
            headers={"Content-Type": "application/octet-stream"},
            body=data,
        )
        if answer.status != 201:
            raise self.unexpected(answer, f"uploading {digest}")

    def push_manifest(self, name: str, data: bytes, media_type: str, before: Callable[[], None] = lambda: None) -> None:
        """Put a manifest under a tag or its digest (OCI distribution spec, "Pushing Manifests").

        `before` is called before each attempt. If this raises `Unanswered`, the manifest may be there nonetheless.
        """
        answer = self.request(
            "PUT", f"manifests/{name}", headers={"Content-Type": media_type}, body=data, before=before
        )
        if answer.status != 201:
            raise self.unexpected(answer, f"putting the manifest {name}")

    def _upload(self, answer: Answer) -> SplitResult:
        """Where an upload is to be sent (OCI distribution spec, "POST then PUT").

        The spec leaves the path to the registry, and some do not have `/blobs/uploads/` in it; but whatever the
        registry says, nothing is put where manifests are.
        """
        location = answer.headers.get("Location", "")
        try:
            url = urljoin(answer.url, location)
        except ValueError:
            url = ""
        if not location or not is_safe(url) or not self._is_ours(url) or not _is_upload(urlsplit(url).path):
            raise RegistryError("the registry begins an upload, but names no address for it that can be trusted")
        return urlsplit(url)._replace(fragment="")

    def unexpected(self, answer: Answer, what: str) -> RegistryError:
        """What to say if the status of an answer does not fit."""
        hint = "; it speaks TLS: --no-plain-http" if b"to an HTTPS server" in answer.body[:_SHOWN] else ""
        return RegistryError(f"{what}: the registry answers {answer.status}{self.message(answer)}{hint}")

    def message(self, answer: Answer) -> str:
        """What a registry says about an error, made harmless, and cut to a line; empty if nothing.

        See OCI distribution spec, "Error Codes".
        """
        try:
            first = orjson.loads(answer.body)["errors"][0]
            parts = [first.get(name) for name in ("code", "message")]
        except (ValueError, TypeError, LookupError, AttributeError):
            return ""
        words = [self.transport.harmless(part) for part in parts if isinstance(part, str)]
        text = " ".join(": ".join(words).split())
        return f" ({text if len(text) <= _SHOWN else text[:_SHOWN] + '...'})" if text else ""


def _is_upload(path: str) -> bool:
    """Whether a path can be that of an upload, and not that of a manifest."""
    names = [name for name in unquote(path).split("/") if name]
    named_so = not {".", ".."} & set(names) and bool({"upload", "uploads"} & set(names))
    return named_so and names[-2:-1] != ["manifests"]


class RepositoryStore:
    """The blobs of a repository. `has` asks for manifests, and keeps those that it gets; all else is read as a blob."""

    def __init__(self, repository: Repository, *, verifies: bool = False) -> None:
        """`verifies` says whether to ask for each blob that a manifest lists."""
        self._repository = repository
        self._verifies = verifies
        self._manifests: dict[str, bytes] = {}

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        split(digest)
        data = self._manifests.pop(digest, None)
        if data is None:
            if size is not None and size > limit:
                raise InputError(f"more than {limit:,} bytes, which is refused", digest)
            answer = self._repository.blob(digest, limit if size is None else size)
            if answer.status == 404:
                raise InputError(f"named by a manifest, but not there{self._repository.message(answer)}", digest)
            if answer.status != 200:
                raise self._repository.unexpected(answer, digest)
            data = answer.body
        verify(data, digest, size)
        return data

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        split(digest)
        return digest in self._manifests or self.fetch(digest) is not None

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`: a registry does not list blobs."""
        return iter(())

    def sizes(self, digests: Sequence[str]) -> Sizes | None:
        """See `BlobStore.sizes`."""
        return blob_sizes(self._repository, digests) if self._verifies else None

    def fetch(self, name: str) -> str | None:
        """Fetch a manifest by tag or digest, and return its digest; `None` if there is none. Raises `InputError`."""
        fetched = self._repository.fetch(name)
        if fetched is None:
            return None
        self._manifests[fetched.digest] = fetched.data
        return fetched.digest


def repository_tags(reference: Reference, access: Access) -> list[str]:
    """All tags of a repository. Raises `InputError`."""
    repository = Repository(reference, access)
    with repository.transport.opened():
        return repository.tags()


def registry_documents(reference: Reference, platform: str | None, access: Access) -> list[CacheDocument]:
    """The caches in a registry: manifests and configs are read, never layers.

    Raises `InputError`, in bounded time and memory; it is `missing` if there is no such tag.
    """
    with opened_repository(reference, access) as (store, digest):
        return Resolver(store, platform).follow([Descriptor(given_digest=digest)])


@contextmanager
def opened_repository(reference: Reference, access: Access) -> Iterator[tuple[RepositoryStore, str]]:
    """The blobs of a repository, and the digest of the manifest that a reference names, which has been fetched.

    Raises `InputError`; it is `missing` if there is no such tag.
    """
    repository = Repository(reference, access, VERIFYING_DEADLINE if access.verify_blobs else None)
    with repository.transport.opened():
        store = RepositoryStore(repository, verifies=access.verify_blobs)
        digest = store.fetch(reference.name)
        if digest is None:
            what = f"manifest {reference.digest}" if reference.digest else f"tag {reference.name!r}"
            problem = f"the registry has no {what} in {reference.repository}, or no such repository (404)"
            raise RegistryError(problem, missing=not reference.digest)
        yield store, digest
