"""Caches that were read, where they are, and how they are written: the types that every kind of place works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, NamedTuple, Protocol

from cachedoctor.buildkit import IMPORT_LIMIT
from cachedoctor.errors import InputError, reading, reason

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.cacheconfig import CacheConfig
    from cachedoctor.sources.registry.session import Session

MOST_CONFIG_BYTES = 512 << 20
"""Bytes of a JSON document that may hold a cache config, unpacked."""
MOST_MANIFEST_BYTES = 16 << 20
"""Bytes of a manifest or index; registries refuse more than 4 MiB (OCI distribution spec, "Pushing Manifests")."""

Check = Callable[[bytes], None]
"""Raises an exception if what was read back is not what it should be; then nothing is replaced by it."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach registries."""

    plain_http: bool | None = None
    """Whether to use HTTP instead of HTTPS; `None`: only for a registry on this machine, and only without `ca_file`."""
    ca_file: str | None = None
    """Certificates to trust instead of the usual ones, in PEM form."""
    timeout: float = 20.0
    """Seconds that one request may take, until its answer has been read in full."""
    verify_blobs: bool = False
    """Whether to ask a registry for each blob that the manifest of a cache lists."""
    session: Session | None = field(default=None, compare=False, repr=False)
    """What the sources that are read with this share; `None` if each is on its own."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Which of the blobs that a manifest lists are really there."""

    place: str = field(compare=False)
    """Where they were looked for, in words: `folder`, `archive` or `registry`."""
    absent: frozenset[str] = frozenset()
    """Digests of the blobs that are not there."""
    resized: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Those that have another size than their descriptors say: the bytes that they have, and that they should have."""
    unknown: frozenset[str] = frozenset()
    """Those of which that is unknown."""
    why: str = ""
    """Why it is."""
    layers_left_out: bool = False
    """Whether a folder or archive has none of them: somebody kept only the manifest and the config, and the cache
    itself is somewhere else. Then nothing follows from what is absent."""

    @property
    def unusable(self) -> frozenset[str]:
        """Digests of the blobs that BuildKit cannot use."""
        return frozenset() if self.layers_left_out else self.absent | self.resized.keys()


@dataclass(frozen=True, slots=True)
class CacheDocument:
    """One cache config, and what its container says about it."""

    source: str
    """As the user named it."""
    kind: str
    """The container: `cache-config` (bare), `image-manifest`, `index`, `manifest-list` or `inline`."""
    config: CacheConfig
    digest: str
    """Digest of the blob that held the config; for an inline cache that of the image config."""
    size: int
    """Bytes of the cache config; for an inline cache those of its records."""
    manifest_size: int | None
    """Bytes of the manifest or index that names the config, `None` if there is none."""
    blobs: frozenset[str] | None
    """Digests of the blobs that the manifest lists, `None` if there is no manifest."""
    platform: str
    """Platform of the image of an inline cache, such as `linux/arm64`; empty otherwise."""
    manifest_digest: str = ""
    """Digest of the manifest or index, empty if there is none or its bytes were not read from a blob."""
    named_digest: str = ""
    """The digest that a layout's tag gives to the manifest if no blob has that digest; normally empty."""
    presence: Presence | None = None
    """Which of those blobs are there, `None` if nobody looked."""
    reformatted_from: int | None = None
    """Bytes of a bare cache config as BuildKit writes it, if the file that was read has spaces between the values, so
    that it is larger and has another digest; otherwise `None`."""
    other_tags: tuple[str, ...] | None = None
    """The tags of the layout folder or archive that it is in, if `latest` is not one of them; normally `None`."""
    notes: tuple[str, ...] = ()
    """What somebody who reads a report on it has to know about how it was read, one sentence or two each."""
    descriptors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)
    """The descriptors of those blobs exactly as the manifest has them, by digest."""
    location: Location | None = field(default=None, compare=False, repr=False)
    """`source`, parsed; `None` only in documents that were not read."""

    @property
    def usable_blobs(self) -> frozenset[str] | None:
        """Digests of the blobs that the manifest lists and that are there, as far as is known; `None` without one."""
        return self.blobs - self.presence.unusable if self.blobs is not None and self.presence else self.blobs

    @property
    def written_size(self) -> int:
        """Bytes of the cache config as BuildKit writes it, which is what it weighs."""
        return self.size if self.reformatted_from is None else self.reformatted_from

    @property
    def is_annotated(self) -> bool:
        """Whether it is from a backend without manifests: gha, s3 or azblob."""
        return self.kind == "cache-config" and self.config.annotated

    @property
    def is_limited(self) -> bool:
        """Whether the importers of such a cache refuse more than `buildkit.IMPORT_LIMIT` bytes.

        Those of inline caches do not, nor those of the gha, s3 and azblob backends, whose bare configs annotate layers.
        """
        return self.kind != "inline" and not self.is_annotated

    @property
    def is_too_large(self) -> bool:
        """Whether importers refuse it for the size of its config."""
        return self.is_limited and self.written_size > IMPORT_LIMIT


def digest_of(data: bytes) -> str:
    """The SHA-256 digest of bytes."""
    from hashlib import sha256

    return f"sha256:{sha256(data).hexdigest()}"


def config_document(data: bytes, config: CacheConfig) -> CacheDocument:
    """The document of a cache config that was decoded from these bytes."""
    return CacheDocument("", "cache-config", config, digest_of(data), len(data), None, None, "")


class Sizes(NamedTuple):
    """What a place says about some blobs."""

    place: str
    """What kind of place it is: `Presence.place`."""
    found: Mapping[str, int]
    """Bytes of the blobs that are there, by digest; -1 if the place does not say."""
    unknown: frozenset[str] = frozenset()
    """Digests of the blobs that it was not asked for, or for which it gave no answer."""
    why: str = ""
    """Why not."""


class BlobStore(Protocol):
    """A place where blobs are found by their digests."""

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """The whole blob, verified against its digest and, if given, its size in bytes.

        Raises `InputError` if it is missing, larger than `limit`, or does not match its digest.
        """

    def has(self, digest: str) -> bool:
        """Whether there is such a manifest or other blob. Raises `InputError` if this is not a digest."""

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """The SHA-256 digests of the blobs of `smallest` to `largest` bytes, in ascending order."""

    def sizes(self, digests: Sequence[str]) -> Sizes | None:
        """Which of these blobs there are, without reading them; `None` if nobody wants that to be looked up here."""


class Location:
    """Where a cache is or will be, parsed once from what the user wrote.

    Each kind of place is one module in `sources.schemes` with one subclass of this: see there.
    """

    prefix: ClassVar[str] = ""
    """What a reference to such a place begins with, such as `docker://`."""
    usage: ClassVar[str] = ""
    """How to write a reference that is read, such as `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`."""
    target_usage: ClassVar[str] = ""
    """How to write one that is written to; empty if such a place cannot be written to."""

    def __init__(self, text: str, tag: str | None = None) -> None:
        """Parse a reference. Raises `InputError` if it is malformed, or names one tag and `tag` another."""
        self.text = text
        """As the user wrote it."""
        self.tag = tag
        """The tag to read or write, `None` if neither the reference nor the user chose one."""
        self.selects = False
        """Whether the reference itself names a tag or digest."""
        self.is_path = False
        """Whether the reference is simply the path of a file or folder."""

    @classmethod
    def claims(cls, text: str) -> bool:
        """Whether a reference names this kind of place explicitly."""
        return bool(cls.prefix) and text.startswith(cls.prefix)

    @classmethod
    def recognizes(cls, text: str) -> bool:
        """Whether a reference without a prefix must mean this kind of place. Asked if nothing claims it."""
        return False

    @property
    def name(self) -> str:
        """The reference without what says how to reach it, such as `host/app:main`; for names of other things."""
        return self.text.partition("://")[2] or self.text

    @property
    def writable(self) -> bool:
        """Whether a cache can be written there, as far as the kind of place goes."""
        return bool(self.target_usage)

    @property
    def local(self) -> Path | None:
        """The file or folder that the place occupies on this machine, `None` if it is elsewhere."""
        return None

    @property
    def layout(self) -> Path | None:
        """The folder of an OCI image layout that this is, `None` for anything else."""
        return None

    def holds(self, path: str) -> bool:
        """Whether writing a file would replace this cache or a part of it."""
        from cachedoctor.io.files import one_file

        return self.local is not None and one_file(path, self.local)

    def every_tag(self, access: Access) -> list[str]:
        """A reference for each tag of a repository or layout; the reference itself if it cannot have several caches.

        To be overridden. Raises `InputError`, which names the source, and `OSError`.
        """
        return [self.text]

    def read(
        self, *, platform: str | None = None, stdin: BinaryIO | None = None, access: Access | None = None
    ) -> list[CacheDocument]:
        """The caches at this place; see `sources.load`. Raises `InputError`, which names the source."""
        with reading(self.text):
            try:
                documents = self.documents(platform, stdin, access or Access())
            except OSError as error:
                missing = isinstance(error, FileNotFoundError)
                raise InputError(f"cannot read it: {reason(error)}", missing=missing) from error
        return [replace(document, source=self.text, location=self) for document in documents]

    def documents(self, platform: str | None, stdin: BinaryIO | None, access: Access) -> list[CacheDocument]:
        """What `read` returns, but for the source. To be overridden; raises `InputError` and `OSError`."""
        raise InputError("cannot be read")

    def writer(
        self, documents: Sequence[CacheDocument], *, force: bool = False, access: Access | None = None
    ) -> Writer:
        """What writes a cache that was made from `documents` to this place; `force` replaces what is there.

        To be overridden. Raises `InputError` if this place cannot be written to, or cannot take what these have.
        """
        raise InputError("a cache cannot be written there", source=self.text)

    def repair_arguments(self) -> tuple[str, str]:
        """What `cachedoctor repair` takes to read this cache, and the options that write the repaired one for builds.

        To be overridden where builds import something else than a file.
        """
        from shlex import quote

        tag = f" --tag {quote(self.tag)}" if self.tag and not self.selects else ""
        return self.text, f"-o repaired.json{tag}"

    def in_place(self, document: CacheDocument, tag: str | None = None) -> Location:
        """Where a cache that was read from here is replaced by a repaired one: under `tag`, or its own tag.

        To be overridden. Raises `InputError` if this is not a layout.
        """
        raise InputError("only a cache in an OCI layout folder can be repaired in place", source=self.text)


class Writer:
    """Writes one cache to one place."""

    replaced: str | None = None
    """After `write`: the digest of the manifest that the tag of a registry held before, to be able to restore it."""

    def __init__(self, location: Location) -> None:
        self.location = location

    @property
    def path(self) -> str:
        """Where it is written, in the form that reads it."""
        return self.location.text

    def write(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """Write a cache config, encoded as `data`, with all that belongs to it; replace what is there as the last step.

        Before that, it is read back and given to `check`. Raises `InputError` if the place cannot or must not be
        written, and whatever `check` raises; what was there is then unchanged.
        """
        with reading(self.location.text):
            try:
                self.put(config, data, check)
            except OSError as error:
                raise InputError(f"cannot write it: {reason(error)}") from error

    def put(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """What `write` does, but for wording errors. To be overridden; raises `InputError` and `OSError`."""
        raise NotImplementedError
