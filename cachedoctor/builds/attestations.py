"""Records of builds among the blobs of a layout or a repository: attestations of images, and exported histories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import Struct, field

from cachedoctor.buildkit import CACHE_CONFIG, INDEX, MANIFEST_LIST
from cachedoctor.builds.build import Build
from cachedoctor.builds.documents import MOST_RECORD_BYTES, full_builds, predicate_of
from cachedoctor.builds.predicate import HOW_TO_GET, is_predicate, predicate_build
from cachedoctor.errors import InputError, reading
from cachedoctor.io.streams import Readable
from cachedoctor.sources.descriptors import Descriptor, Manifest, descriptors_of, manifest_of
from cachedoctor.sources.document import MOST_MANIFEST_BYTES, Access, BlobStore
from cachedoctor.sources.json import parse, typed
from cachedoctor.sources.oci import DEEPEST_INDEX, MOST_MANIFESTS, tagged

if TYPE_CHECKING:
    from cachedoctor.sources.registry.reference import Reference

HISTORY_RECORD = "application/vnd.buildkit.historyrecord.v0"
STATEMENTS = ("application/vnd.in-toto+json", "application/vnd.in-toto.provenance+dsse")
PROVENANCE = "https://slsa.dev/provenance/"
"""What the predicate types of SLSA provenance begin with."""


class _Attestation(Struct):
    digest: str = ""


class _Result(Struct):
    attestations: list[_Attestation] | None = field(default=None, name="Attestations")


class _History(Struct):
    """The record of a build in the history of a daemon (BuildKit `control.BuildHistoryRecord`)."""

    args: dict[str, str] | None = field(default=None, name="FrontendAttrs")
    results: dict[str, _Result] | None = field(default=None, name="Results")


class _Blobs:
    """Follows descriptors down to the records of builds."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._platforms: dict[str, str] = {}
        self._histories = 0

    def builds(self, wanted: Iterable[Descriptor]) -> list[Build]:
        """All builds with steps. Raises `InputError` if there are none."""
        builds = full_builds(self._records(wanted))
        if not builds and self._histories:
            raise InputError("a build record without provenance: the build was still running, or a step of it failed")
        if not builds:
            raise InputError(
                "no provenance in it; build the image with --provenance=mode=max, or get the record of the build with: "
                f"{HOW_TO_GET}"
            )
        return builds

    def _records(self, wanted: Iterable[Descriptor]) -> Iterator[Callable[[], Build]]:
        pending = [(descriptor, 1) for descriptor in wanted][::-1]
        seen: set[str] = set()
        while pending:
            descriptor, depth = pending.pop()
            if descriptor.digest in seen or (depth > 1 and not self._store.has(descriptor.digest)):
                continue
            seen.add(descriptor.digest)
            if len(seen) > MOST_MANIFESTS:
                raise InputError(f"more than {MOST_MANIFESTS:,} manifests")
            data = self._store.read(descriptor.digest, descriptor.size, MOST_MANIFEST_BYTES)
            with reading(where=descriptor.digest):
                manifest = manifest_of(parse(data))
                if manifest.manifests is not None and depth > DEEPEST_INDEX:
                    raise InputError(f"more than {DEEPEST_INDEX} indexes nested in each other")
            pending += [(below, depth + 1) for below in reversed(self._below(manifest))]
            yield from self._statements(manifest, descriptor)

    def _below(self, manifest: Manifest) -> list[Descriptor]:
        """What an index leads to; not the images, if it has attestations of them."""
        listed = manifest.manifests or []
        config = [manifest.config] if manifest.config else []
        if any(descriptor.media_type == CACHE_CONFIG for descriptor in (*listed, *config)):
            raise InputError("a cache, which has no record of the build; name the image that was built instead")
        self._platforms |= {descriptor.digest: descriptor.platform for descriptor in listed}
        followed = [
            descriptor
            for descriptor in listed
            if descriptor.is_attestation or descriptor.media_type in (INDEX, MANIFEST_LIST)
        ]
        return followed or listed

    def _statements(self, manifest: Manifest, descriptor: Descriptor) -> Iterator[Callable[[], Build]]:
        layers = [
            layer
            for layer in manifest.layers or ()
            if layer.media_type in STATEMENTS and layer.predicate_type.startswith(PROVENANCE)
        ]
        config = manifest.config
        history = _History()
        kind = "attestation"
        if config is not None and config.media_type == HISTORY_RECORD:
            self._histories += 1
            kind = "dockerbuild"
            with reading(where=config.digest):
                history = typed(parse(self._store.read(config.digest, config.size, MOST_MANIFEST_BYTES)), _History)
        platforms = {
            attestation.digest: platform
            for platform, result in (history.results or {}).items()
            for attestation in result.attestations or ()
        }
        for layer in layers:
            platform = platforms.get(layer.digest) or self._platforms.get(descriptor.attested, "")
            yield self._later(layer, kind, platform, history.args or {})

    def _later(self, layer: Descriptor, kind: str, platform: str, args: dict[str, str]) -> Callable[[], Build]:
        def make() -> Build:
            data = self._store.read(layer.digest, layer.size, MOST_RECORD_BYTES)
            with reading(where=layer.digest):
                parsed: Any = parse(data)
                if not isinstance(parsed, dict):
                    raise InputError("expected provenance")
                predicate = parsed if is_predicate(parsed) else predicate_of(parsed)
                return predicate_build(predicate, kind, platform=platform, args=args)

        return make


def folder_builds(folder: str, tag: str | None) -> list[Build]:
    """The builds in the folder of a layout. Raises `InputError`."""
    from cachedoctor.sources.layout import FolderStore

    store = FolderStore(folder)
    return _layout_builds(store.file("index.json", MOST_MANIFEST_BYTES), store, tag)


def archive_builds(stream: Readable, file: BinaryIO | None) -> list[Build]:
    """The builds in a tar of a layout; `file` is the same stream if it can seek. Raises `InputError`."""
    from cachedoctor.sources.archive import ArchiveStore

    store = ArchiveStore(stream, file)
    if store.index is None:
        raise InputError("a tar archive without index.json is neither a .dockerbuild file nor an OCI image layout")
    return _layout_builds(store.index, store, None)


def registry_builds(reference: Reference, access: Access) -> list[Build]:
    """The builds that the attestations of an image in a registry record. Raises `InputError`."""
    from cachedoctor.sources.registry.client import opened_repository

    with opened_repository(reference, access) as (store, digest):
        return _Blobs(store).builds([Descriptor(given_digest=digest)])


def _layout_builds(index: bytes, store: BlobStore, tag: str | None) -> list[Build]:
    with reading(where="index.json"):
        listed = descriptors_of(parse(index))
        wanted = listed if tag is None else tagged(listed, tag)
    return _Blobs(store).builds(wanted)
