"""Recognizes the steps of builds in the records of caches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cachedoctor.buildkit import LOOP_CHECK, Release
from cachedoctor.builds.build import Build, record_digest
from cachedoctor.builds.hits import Hits
from cachedoctor.builds.known import NOTHING, Known
from cachedoctor.builds.names import Name, Place
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import CacheDocument

DEBUG = "cache-debug"
"""The kind of a build that is all that a daemon lists at `/debug/cache/all`."""
_MOST_OUTPUTS = 4
"""Outputs of an operation that are looked for: a command has one for each mount that it can write to."""
_UNCOMPRESSED = "containerd.io/uncompressed"
"""The annotation of a layer in a manifest with the digest of its uncompressed content."""


def recognize(
    builds: Sequence[Build],
    documents: Sequence[CacheDocument],
    survey: Survey,
    before: Sequence[Build] = (),
    release: Release | None = None,
) -> Known:
    """What `builds` call the records of documents, whose survey is given, and what will become of their steps.

    `before` are the builds that wrote the cache; `release` is what imports it, `None` for any.
    """
    if not builds:
        return NOTHING
    from cachedoctor.builds.doubling import doublings
    from cachedoctor.builds.match import match

    names = match(builds, survey.configs, list(map(_diff_ids, documents)))
    operations = _operations(builds)
    for config, of_document in zip(survey.configs, names, strict=True):
        for record, digest in enumerate(config.digests):
            operation, name = operations.get(digest), of_document[record]
            if operation:
                of_document[record] = replace(name, places=(*name.places, *operation.places)) if name else operation
    outcomes = _hits(builds, documents, survey, before, release) if survey.order else []
    doubled = doublings(builds, names, survey) if LOOP_CHECK.concerns(release) and survey.order else []
    return Known.of(builds, names, survey, outcomes, doubled)


def _hits(
    builds: Sequence[Build],
    documents: Sequence[CacheDocument],
    survey: Survey,
    before: Sequence[Build],
    release: Release | None,
) -> list[Hits]:
    """What will become of the steps of each build that has steps with lines."""
    from cachedoctor.builds.imports import imports
    from cachedoctor.builds.outcome import hits

    imported = imports(survey, release, [document.usable_blobs for document in documents])
    return [
        hits(number, build, imported, before=_earlier(build, before))
        for number, build in enumerate(builds)
        if build.kind != DEBUG
    ]


def _earlier(build: Build, before: Sequence[Build]) -> Build | None:
    """The build to compare with: the first one for the same platform and target, otherwise for the same platform."""
    same = [other for other in before if other.platform == build.platform]
    return next((other for other in same if other.target == build.target), same[0] if same else None)


def _operations(builds: Sequence[Build]) -> dict[str, Name]:
    """The names of records by digest, from builds that have no inputs to compare: what buildkitd lists for debugging.

    Equal digests have equal instructions, and these names say no more.
    """
    return {
        record_digest(digest, output): Name(step.label, step.locations, (Place(number, index, output),), sure=True)
        for number, build in enumerate(builds)
        if build.kind == DEBUG
        for index, step in enumerate(build.steps)
        for digest in step.digests
        for output in range(_MOST_OUTPUTS)
    }


def _diff_ids(document: CacheDocument) -> Mapping[str, str]:
    """The digests of the uncompressed content of the layers that a manifest has them for."""
    annotations = ((blob, descriptor.get("annotations")) for blob, descriptor in document.descriptors.items())
    return {
        blob: noted[_UNCOMPRESSED]
        for blob, noted in annotations
        if isinstance(noted, dict) and isinstance(noted.get(_UNCOMPRESSED), str)
    }
