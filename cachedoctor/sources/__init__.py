"""Places where caches are, and what is read from them: all give the same `CacheDocument`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import BinaryIO

from cachedoctor.errors import InputError
from cachedoctor.io.files import open_regular
from cachedoctor.sources.file import stream_documents
from cachedoctor.sources.interface import Access, BlobStore, CacheDocument
from cachedoctor.sources.layout import BesideStore, NowhereStore, folder_documents

# A host with a port, or one with a dot and a tag or digest behind the repository.
_REFERENCE = re.compile(r"(localhost|[\w.-]+:\d+)(:\d+)?/\S+$|[\w-]+(\.[\w-]+)+/[\w./-]+(:[\w.-]+|@sha256:\w+)$")

__all__ = ["Access", "BlobStore", "CacheDocument", "load"]


def load(
    source: str,
    *,
    tag: str | None = None,
    platform: str | None = None,
    stdin: BinaryIO | None = None,
    access: Access | None = None,
) -> list[CacheDocument]:
    """The caches that a source holds: one, or one for each platform of an image with inline caches.

    `source` is a file, a folder with an OCI layout, `oci:DIR[:TAG]`, `docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`, or `-`
    for `stdin` (by default the process's own). What a file is, is found from its content. `platform` (`linux/arm64`)
    and `tag` choose among several. `access` says how a registry is reached.

    Raises `InputError` for anything that cannot be read, in bounded time and memory; it is `missing` where there is
    nothing under that name.
    """
    if source == "-":
        stream = stdin or sys.stdin.buffer
        return stream_documents(stream, source, NowhereStore(source), tag, platform, can_seek=False)
    if source.startswith("docker://"):
        from cachedoctor.sources.registry.source import registry_documents

        return registry_documents(source, tag, platform, access or Access())
    path = source
    if source.startswith("oci:") and not os.path.lexists(source):
        path, named = _folder_and_tag(source.removeprefix("oci:"))
        tag = named or tag
    if not path:
        raise InputError("names no file or folder", source=source)
    try:
        if Path(path).is_dir():
            return folder_documents(path, source, tag, platform)
        with open_regular(path) as file:
            return stream_documents(file, source, BesideStore(path, source), tag, platform, can_seek=True)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        hint = _meant(source) if isinstance(error, FileNotFoundError) else ""
        missing = isinstance(error, FileNotFoundError) and not hint
        raise InputError(f"cannot read it: {reason}{hint}", source=source, missing=missing) from error


def _meant(source: str) -> str:
    """What somebody meant who names no file but something of that look; empty where that is not known."""
    if _REFERENCE.match(source) or source.startswith(("http://", "https://")):
        return "; a registry is named as docker://HOST[:PORT]/REPO[:TAG]"
    return "; name the cache itself: docker://REF, oci:DIR or a file" if source.startswith("type=") else ""


def _folder_and_tag(text: str) -> tuple[str, str | None]:
    """Split `DIR[:TAG]`: a folder that is there wins over a tag."""
    if os.path.lexists(text) or ":" not in text:
        return text, None
    folder, _, tag = text.rpartition(":")
    return folder, tag or None
