"""A file, or `-` for standard input.

The type is detected from the content, never from the name: a cache config, an image manifest or index with the blobs
that it names beside it, an image config with an inline cache, or an OCI image layout in a tar archive. JSON and tar may
be compressed with gzip or zstd. UTF-16 and byte order marks, as Windows shells write them, are accepted.

A repaired cache is written as a bare cache config. It replaces an existing file only with `--force`, and only after it
has been read back and checked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.errors import InputError
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
            raise InputError("names no file or folder")
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
            if error.missing and ("://" in self.text or self.text.startswith("type=")):
                from cachedoctor.sources.schemes import usages

                raise InputError(f"{error.problem}; expected one of: {', '.join(usages())}") from error
            raise

    def writer(
        self, documents: Sequence[CacheDocument], *, force: bool = False, access: Access | None = None
    ) -> Writer:
        """See `Location.writer`."""
        if not self.is_path:
            return super().writer(documents)
        return FileWriter(self, force=force)


class FileWriter(Writer):
    """Writes the bare cache config to a file."""

    def __init__(self, location: Location, *, force: bool) -> None:
        super().__init__(location)
        self._force = force

    def put(self, config: CacheConfig, data: bytes, check: Check) -> None:
        """See `Writer.put`."""
        from cachedoctor.io.files import write_atomically

        path = self.location.text
        if not self._force and os.path.lexists(path):
            raise InputError("already exists; use --force to overwrite")
        write_atomically(path, data, check)
