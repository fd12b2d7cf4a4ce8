"""An OCI image layout, or an image as `docker save` writes it, in a tar archive that is read in one pass."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from cachedoctor.errors import InputError, reading
from cachedoctor.io.memory import claim
from cachedoctor.io.streams import MOST_BYTES, Readable, read_fully
from cachedoctor.sources.descriptors import is_digest, split, verify
from cachedoctor.sources.document import MOST_CONFIG_BYTES, CacheDocument, Sizes
from cachedoctor.sources.json import parse
from cachedoctor.sources.oci import layout_documents
from cachedoctor.sources.saved import blob_of, is_saved, saved_documents

MOST_MEMBERS = 100_000
MOST_KEPT_BYTES = 768 << 20
"""Bytes of JSON that are kept from one archive; layers are skipped."""
MOST_HEADER_BYTES = 1 << 20
"""Bytes of all headers of one member."""

_INDEX, _SAVED = "index.json", "manifest.json"
"""What lists the content of an OCI layout, and of an image that `docker save` wrote."""
_SKIP = 1 << 20


class Tape:
    """A stream with the methods that `tarfile` needs, which only moves forward, and reads no header without bounds.

    `tarfile` believes the sizes in headers: it would read an extended header of any length into memory, and go back
    for a negative one. What it reads is counted until `start_member` is called. `file` is the same stream if it can
    seek, so that layers are skipped and not read.
    """

    def __init__(self, stream: Readable, file: BinaryIO | None) -> None:
        self._stream = stream
        self._file = file
        self._position = 0
        self._headers = 0

    def tell(self) -> int:
        """The byte of the archive that comes next."""
        return self._position

    def read(self, count: int) -> bytes:
        """Read headers. Raises `InputError` if there are too many."""
        self._headers += count
        if self._headers > MOST_HEADER_BYTES:
            raise self._damaged(f"a header of more than {MOST_HEADER_BYTES:,} bytes")
        return self.content(count)

    def content(self, count: int) -> bytes:
        """Read the content of a member."""
        data = read_fully(self._stream, count)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Skip to a byte of the archive. Raises `InputError` if it has been passed already."""
        if position < self._position:
            raise self._damaged("a header with an impossible size")
        if position > MOST_BYTES:
            raise self._damaged(f"an archive of more than {MOST_BYTES:,} bytes")
        if self._file:
            self._file.seek(position)
            self._position = position
        while self._position < position and self.content(min(_SKIP, position - self._position)):
            pass

    def start_member(self) -> None:
        """Start to count the headers of another member."""
        self._headers = 0

    def _damaged(self, problem: str) -> InputError:
        return InputError(f"damaged tar: {problem}", f"byte {self._position}")


class ArchiveStore:
    """The JSON documents among the blobs of a tar, and the sizes of all. Links and devices are not read."""

    def __init__(self, stream: Readable, file: BinaryIO | None) -> None:
        self._files: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._folder = ""
        tape = Tape(stream, file)
        kept = 0
        for member in _members(tape):
            if (member.isreg() or member.islnk() or member.issym()) and _is_blob(name := _path(member)):
                self._sizes[name] = member.size if member.isreg() and not member.issparse() else -1
            if member.isreg() and not member.issparse() and member.size <= MOST_CONFIG_BYTES:
                kept += self._keep(tape, member)
            if kept > MOST_KEPT_BYTES:
                raise InputError(f"more than {MOST_KEPT_BYTES:,} bytes of JSON in it", member.name)

    def _keep(self, tape: Tape, member: tarfile.TarInfo) -> int:
        """Keep a member if it may be a manifest or a config; returns the bytes that are kept."""
        name = _path(member)
        if posixpath.basename(name) == _INDEX and name != _INDEX:
            self._folder = posixpath.dirname(name)
        if config := blob_of(name):
            name = _name(config)
        if name not in (_INDEX, _SAVED) and not _is_blob(name):
            return 0
        first = tape.content(min(1, member.size))
        if first not in (b"{", b"["):
            return 0
        claim(member.size)
        self._files[name] = first + tape.content(member.size - 1)
        if len(self._files[name]) < member.size:
            raise InputError("the archive is cut short", member.name)
        return member.size

    @property
    def index(self) -> bytes | None:
        """The `index.json` of the layout that it is, `None` if it is something else."""
        return self._files.get(_INDEX)

    def documents(self, tag: str | None, platform: str | None) -> list[CacheDocument]:
        """The caches in it. Raises `InputError`."""
        if _INDEX in self._files:
            return layout_documents(self._files[_INDEX], self, tag, platform)
        if _SAVED in self._files:
            with reading(where=_SAVED):
                parsed = parse(self._files[_SAVED])
            if is_saved(parsed):
                return saved_documents(parsed, self, tag, platform)
        hint = f"; there is one in its folder {self._folder!r}: pack the content of that" if self._folder else ""
        raise InputError(
            f"a tar archive without index.json is not an OCI image layout, nor is it from docker save{hint}"
        )

    def has(self, digest: str) -> bool:
        """See `BlobStore.has`."""
        return _name(digest) in self._files

    def of_size(self, smallest: int, largest: int) -> Iterator[str]:
        """See `BlobStore.of_size`."""
        for name, data in sorted(self._files.items()):
            digest = f"sha256:{name.removeprefix('blobs/sha256/')}"
            if smallest <= len(data) <= largest and is_digest(digest):
                yield digest

    def sizes(self, digests: Sequence[str]) -> Sizes | None:
        """See `BlobStore.sizes`."""
        found = {digest: size for digest in digests if (size := self._sizes.get(_name(digest))) is not None}
        return Sizes("archive", found)

    def read(self, digest: str, size: int | None, limit: int) -> bytes:
        """See `BlobStore.read`."""
        name = _name(digest)
        data = self._files.get(name)
        if data is None:
            raise InputError("named by a manifest, but not in the archive, or not JSON", name)
        if len(data) > limit:
            raise InputError(f"more than {limit:,} bytes, which is refused", name)
        verify(data, digest, size)
        return data


def _path(member: tarfile.TarInfo) -> str:
    """The name of a member, without what means nothing in it, such as `./`."""
    return posixpath.normpath(member.name)


def _is_blob(name: str) -> bool:
    return name.startswith("blobs/") and is_digest(name.removeprefix("blobs/").replace("/", ":"))


def _name(digest: str) -> str:
    """The name of a blob in the archive. Raises `InputError` if this is not a digest."""
    algorithm, encoded = split(digest)
    return f"blobs/{algorithm}/{encoded}"


def _members(tape: Tape) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar, in their order. Raises `InputError`."""
    try:
        # tarfile needs no more of a file than Tape has.
        with tarfile.TarFile(fileobj=cast(BinaryIO, tape), errors="surrogateescape") as archive:
            for _ in range(MOST_MEMBERS):
                tape.start_member()
                member = archive.next()
                if member is None:
                    return
                yield member
    # A damaged extended header fails in whatever tarfile does with its numbers.
    except (tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, LookupError) as error:
        raise InputError("a damaged tar archive, or one that is cut short", f"byte {tape.tell()}") from error
    raise InputError(f"more than {MOST_MEMBERS:,} files in the archive")


def is_tar(head: bytes) -> bool:
    """Whether these bytes are the start of a tar archive: its first header, with a correct checksum."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def archive_documents(
    stream: Readable, file: BinaryIO | None, tag: str | None, platform: str | None
) -> list[CacheDocument]:
    """The caches in a tar; `file` is the same stream if it can seek. Raises `InputError`."""
    return ArchiveStore(stream, file).documents(tag, platform)
