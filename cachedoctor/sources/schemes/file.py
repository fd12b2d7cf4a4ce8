"""A file, or `-` for standard input.

The type is detected from the content, never from the name: a cache config, an image manifest or index with the blobs
that it names beside it, an image config with an inline cache, or a tar archive of an OCI image layout or from
`docker save`. JSON and tar may be compressed with gzip or zstd. UTF-16 and byte order marks, as Windows shells write
them, are accepted, and so is JSON as it is pasted into an issue: with comments, fences, or text around it.

A repaired cache is written as a bare cache config. It replaces an existing file only with `--force`, and only after it
has been read back and checked.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.errors import InputError, reading
from cachedoctor.sources.document import Access, CacheDocument, Check, Location, Writer

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.cacheconfig import CacheConfig

STDIN = "-"


class FileLocation(Location):
    """A file, or standard input; also whatever no other kind of place recognizes."""

    usage = "FILE or - for standard input"
    target_usage = "FILE"

    def __init__(self, text: str, tag: str | None = None) -> None:
        """See `Location`."""
        super().__init__(text, tag)
        if not text:
            raise InputError("the name of a source is empty")
        self.is_path = text != STDIN

    @property
    def local(self) -> Path:
        """See `Location.local`."""
        from pathlib import Path

        return Path(self.text if self.is_path else "/dev/stdin")

    @property
    def writable(self) -> bool:
        """See `Location.writable`."""
        return self.is_path

    def documents(self, platform: str | None, stdin: BinaryIO | None, access: Access) -> list[CacheDocument]:
        """See `Location.documents`; `missing` if there is no such file."""
        from cachedoctor.sources.content import path_documents, stream_documents

        if not self.is_path:
            from cachedoctor.sources.layout import NowhereStore

            stream = stdin or sys.stdin.buffer
            return stream_documents(stream, NowhereStore, self.tag, platform, can_seek=False)
        try:
            return path_documents(self.text, self.tag, platform)
        except InputError as error:
            hint = (self._other_kind() or self._repository()) if error.missing else ""
            if hint:
                raise InputError(f"{error.problem}; {hint}") from error
            raise

    def _other_kind(self) -> str:
        """How to write what can hardly be meant as a file, empty if it can."""
        from cachedoctor.io.files import is_folder

        if "://" in self.text or self.text.startswith("type="):
            from cachedoctor.sources.schemes import usages

            return f"expected one of: {', '.join(usages())}"
        folder, colon, _ = self.text.rpartition(":")
        return f"for a tag of a layout: oci:{self.text}" if colon and is_folder(folder) else ""

    def _repository(self) -> str:
        """How to write the name of a repository that leaves out its registry, empty if it is none."""
        named = re.fullmatch(r"[\w-]+(/[\w.-]+)+:[\w.-]+", self.text)
        return f"for a registry: docker://HOST/{self.text}" if named else ""

    def writer(
        self, documents: Sequence[CacheDocument], *, force: bool = False, access: Access | None = None
    ) -> Writer:
        """See `Location.writer`."""
        if not self.is_path:
            return super().writer(documents)
        if not os.path.lexists(self.text) and (hint := self._other_kind()):
            raise InputError(f"not the name of a file; {hint}", source=self.text)
        return FileWriter(self, force=force)


class FileWriter(Writer):
    """Writes the bare cache config to a file."""

    def __init__(self, location: Location, *, force: bool) -> None:
        super().__init__(location)
        self._force = force
        # Before the work and in a dry run too.
        with reading(location.text):
            self._keep_existing()

    def _keep_existing(self) -> None:
        if not self._force and os.path.lexists(self.location.text):
            raise InputError("already exists; use --force to overwrite")

    def put(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Writer.put`."""
        from cachedoctor.io.files import write_atomically

        self._keep_existing()
        write_atomically(self.location.text, data, check)
