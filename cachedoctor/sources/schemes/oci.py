"""`oci:DIR[:TAG]`, or simply the path of a folder: an OCI image layout.

This is what `docker buildx build --cache-to type=local,dest=DIR` writes. If there are several tags, the one to read is
named in the reference or with `--tag`; otherwise it is `latest`, and the report names the others. Links that lead out
of the folder are not followed. A folder in which an archive of `docker save` was unpacked is read as well.

A repaired cache is written with all its layers, which have to be in the layout folders of the sources: they are linked,
or copied to another file system. `index.json` is replaced last, so that a reader finds the old cache or the new one. A
tag that exists is moved only with `--force`; `--in-place` moves the tag that was read. A folder is written to as a
layout if it exists already, or if its name ends with a slash.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from cachedoctor.errors import InputError, reading
from cachedoctor.sources.document import Access, CacheDocument, Location, Writer

if TYPE_CHECKING:
    from pathlib import Path


class OciLocation(Location):
    """An OCI image layout folder; to read from, `oci:FILE` may also be a file."""

    prefix = "oci:"
    usage = target_usage = "oci:DIR[:TAG]"

    def __init__(self, text: str, tag: str | None = None) -> None:
        """See `Location`. A tag in the reference wins over `tag`."""
        folder, named = text, None
        if self.claims(text):
            folder = text.removeprefix(self.prefix)
            # A folder that exists wins over a tag.
            if ":" in folder and not os.path.lexists(folder):
                folder, _, named = folder.rpartition(":")
        super().__init__(text, named or tag)
        if not folder:
            raise InputError("names no folder")
        self.selects = bool(named)
        self.is_path = folder == text
        self._folder = folder

    @property
    def local(self) -> Path:
        """See `Location.local`."""
        from pathlib import Path

        return Path(self._folder)

    @classmethod
    def claims(cls, text: str) -> bool:
        """See `Location.claims`: a file or folder of that very name wins."""
        return super().claims(text) and not os.path.lexists(text)

    @classmethod
    def recognizes(cls, text: str) -> bool:
        """See `Location.recognizes`."""
        from cachedoctor.io.files import is_folder

        return is_folder(text) or text.endswith("/")

    @property
    def layout(self) -> Path | None:
        """See `Location.layout`."""
        return self.local

    def holds(self, path: str) -> bool:
        """See `Location.holds`: other files in the folder are not part of the layout."""
        from pathlib import Path

        assert self.local
        target, folder = Path(os.path.realpath(path)), Path(os.path.realpath(self.local))
        if not folder.is_dir():
            return super().holds(path)
        parts = target.relative_to(folder).parts if target.is_relative_to(folder) else ()
        return parts[:1] == ("blobs",) or parts in (("index.json",), ("oci-layout",))

    def every_tag(self, access: Access) -> list[str]:
        """See `Location.every_tag`; manifests without a tag are left out, unless all are."""
        if self.selects or not self.local.is_dir():
            return [self.text]
        from cachedoctor.sources.layout import layout_tags
        from cachedoctor.sources.registry.reference import is_tag

        with reading(self.text):
            tags = filter(is_tag, layout_tags(str(self.local)))
        return [f"{self.prefix}{self._folder}:{tag}" for tag in tags] or [self.text]

    def documents(self, platform: str | None, stdin: BinaryIO | None, access: Access) -> list[CacheDocument]:
        """See `Location.documents`; `missing` if there is no such folder or tag."""
        from cachedoctor.sources.content import path_documents

        return path_documents(str(self.local), self.tag, platform)

    def writer(
        self, documents: Sequence[CacheDocument], *, force: bool = False, access: Access | None = None
    ) -> Writer:
        """See `Location.writer`. Raises `InputError` also if the documents are not all from layout folders."""
        from cachedoctor.sources.layout import LayoutWriter
        from cachedoctor.sources.registry.reference import check_tag

        assert self.local
        tag = self.tag or "latest"
        with reading(self.text):
            check_tag(tag)
        return LayoutWriter(self, self.local, tag, documents, force=force)

    def repair_arguments(self) -> tuple[str, str]:
        """See `Location.repair_arguments`: the tag that was read is moved."""
        from cachedoctor.io.files import is_folder

        if not is_folder(self._folder):
            return super().repair_arguments()
        named = self.selects or not self.tag
        return self.text if named else f"{self.prefix}{self._folder}:{self.tag}", "--in-place"

    def in_place(self, document: CacheDocument, tag: str | None = None) -> Location:
        """See `Location.in_place`."""
        from cachedoctor.sources.layout import tag_of

        # Not parsed again from a text, which could mean another folder.
        place = copy.copy(self)
        place.tag = tag or self.tag or tag_of(document)
        return place
