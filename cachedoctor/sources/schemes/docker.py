"""`docker://HOST[:PORT]/REPO[:TAG|@DIGEST]`: a cache in a registry.

This is where `docker buildx build --cache-to type=registry,ref=HOST/REPO:TAG` puts it. The tag is `latest` unless named
here or with `--tag`. `HOST/REPO:TAG` without `docker://`, and the `type=registry,ref=HOST/REPO:TAG` of buildx, mean the
same, unless there is a file or folder of that name. Credentials are those of `docker login`.

Only the manifest and the config are read, never layers. A repaired cache is written to a tag of a repository that has
its layers, or on a registry that can mount them from the repository of a source. A tag that exists is moved only with
`--force`, and never if it has moved since it was read, or is an image. See [Registries](registries.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import BinaryIO

from cachedoctor.errors import InputError, reading
from cachedoctor.sources.document import Access, CacheDocument, Location, Writer

_BARE = r"(?:localhost|[\w.-]+:\d+)(?::\d+)?/\S+|[\w-]+(?:\.[\w-]+)+/[\w./-]+(?::[\w.-]+|@sha256:\w+)"
"""A host with a port, or one with a dot, and a tag or digest behind the repository."""
_REPAIRED = "-repaired"
_TAG_LETTERS = 128
"""Letters that a tag may have (OCI distribution spec, "Pulling manifests")."""


class DockerLocation(Location):
    """A tag or digest of a repository in a registry."""

    prefix = "docker://"
    usage = "docker://HOST[:PORT]/REPO[:TAG|@DIGEST]"
    target_usage = "docker://HOST[:PORT]/REPO:TAG"

    def __init__(self, text: str, tag: str | None = None) -> None:
        """See `Location`."""
        from cachedoctor.sources.registry.reference import parse

        self._name = _reference(text) or text.removeprefix(self.prefix)
        named = parse(self._name)
        self.reference = named.with_tag(tag)
        super().__init__(text, self.reference.tag)
        self.selects = bool(named.tag or named.digest)

    @classmethod
    def recognizes(cls, text: str) -> bool:
        """See `Location.recognizes`."""
        from cachedoctor.io.files import is_folder

        if os.path.lexists(text) or is_folder(text.partition("/")[0]):
            return False
        return bool(_reference(text)) or re.fullmatch(_BARE, text) is not None

    @property
    def name(self) -> str:
        """See `Location.name`."""
        return self._name

    def every_tag(self, access: Access) -> list[str]:
        """See `Location.every_tag`."""
        if self.selects:
            return [self.text]
        from cachedoctor.sources.registry.client import repository_tags

        with reading(self.text):
            tags = repository_tags(self.reference, access)
            if not tags:
                raise InputError(f"the registry has no tag in {self.reference.repository}", missing=True)
        return [f"{self.prefix}{self._name}:{tag}" for tag in tags]

    def documents(self, platform: str | None, stdin: BinaryIO | None, access: Access) -> list[CacheDocument]:
        """See `Location.documents`; `missing` if there is no such tag."""
        from cachedoctor.sources.registry.client import registry_documents

        return registry_documents(self.reference, platform, access)

    def repair_arguments(self) -> tuple[str, str]:
        """See `Location.repair_arguments`: the repaired cache gets a tag beside that of the source."""
        named = self.selects or not self.tag
        source = self.text if named else f"{self.prefix}{self._name}:{self.tag}"
        tag = (self.reference.tag or "latest")[: _TAG_LETTERS - len(_REPAIRED)] + _REPAIRED
        host = f"{self.reference.host}/" if self.reference.host else ""
        return source, f"-o {self.prefix}{host}{self.reference.repository}:{tag}"

    def in_place(self, document: CacheDocument, tag: str | None = None) -> Location:
        """See `Location.in_place`."""
        try:
            return super().in_place(document, tag)
        except InputError as error:
            raise InputError(
                f"{error.problem}; to replace this one: -o {self.text} --force", source=self.text
            ) from error

    def writer(
        self, documents: Sequence[CacheDocument], *, force: bool = False, access: Access | None = None
    ) -> Writer:
        """See `Location.writer`. Raises `InputError` if no tag is named."""
        from cachedoctor.sources.registry.writer import RegistryWriter

        if self.reference.digest or not self.reference.tag:
            problem = "a digest cannot be written to" if self.reference.digest else "the reference names no tag"
            raise InputError(f"{problem}; write {self.target_usage}", source=self.text)
        homes = [document.location for document in documents]
        origins = [home.reference if isinstance(home, DockerLocation) else None for home in homes]
        return RegistryWriter(self, self.reference, documents, origins, access or Access(), force=force)


def _reference(text: str) -> str:
    """The `ref` of a `type=registry,ref=…` as `--cache-from` and `--cache-to` take it; empty for anything else."""
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    return fields.get("ref", "") if fields.get("type") == "registry" else ""
