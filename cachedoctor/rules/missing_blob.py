"""A result needs a blob that the manifest does not list, or that is not there.

**What it means.** A result points to a layer. If the blob of this layer, or of one of its parents, is gone, no build
can use the result: the record stays, but has nothing to offer. There are three cases, and the message says which one it
is: the manifest does not list the blob; the manifest lists it, but it is not in the folder, archive or registry; or it
is there, with another size than the manifest says, as after a copy or download that was interrupted.

**How it is found.** The list of blobs comes from the manifest or index. For an OCI layout, as a folder or as an
archive, and for a manifest with blobs beside it, cachedoctor looks for each file that is listed, and at its size. It
asks a registry only with `--verify-blobs`, with one small request for each blob. What the registry does not answer is
counted as unknown, and the report says so. The finding names the records with a result, or with a layer of a chain,
that needs such a blob. The rule skips a bare cache config, and a manifest that has only its config beside it: then
the report says that blobs could not be looked up.

If a folder or archive has none of the blobs that are listed, somebody probably kept only the manifest and the config to
look at. That is a note, names no records, and `repair` removes nothing because of it.

**Severity.** Warning. Note if the folder or archive has no blob at all.

**Versions.** Every BuildKit. The importer drops results whose blobs are not listed. It does not look for the others,
and steps run again when a build wants to load them. The next export is worse: v0.25.0 fails (fixed in v0.25.1), and
older releases write a cache that refers to the same missing blobs (moby/buildkit#6261).

**What you see.** No message, and the steps of these records run again. For blobs that are gone, also `not found` with
the digest, from the import or the next export.

**What to do.**

1. Export the cache again, to an empty folder or a new tag. The steps of these records run again, and their layers are
   written again. BuildKit does not replace a blob of the wrong size: delete that file first, or use an empty folder.
2. Or run [`cachedoctor repair SOURCE -o DEST`](repair.md), which leaves these results out, and keeps all others.
3. Look for what removed them: a script that deletes old files from the cache folder, a registry cleanup, or a copy that
   was interrupted.

**What does not help.** Pushing a missing blob alone if the manifest does not list it: the list in the manifest is what
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cachedoctor.buildkit import EVERY, FAILS_ON_DELETED_BLOB, Release
from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph import layers
from cachedoctor.numbers import listing, plural
from cachedoctor.rules._shared import agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule
from cachedoctor.sources import CacheDocument
from cachedoctor.sources.presence import REGISTRY
from cachedoctor.text import short

_NOT_LISTED = (
    "Export the cache again: the steps of these records run again, and their layers are pushed.",
    "Look for a registry cleanup that rewrites manifests, or a copy that was interrupted.",
)
_GONE = (
    "Export the cache again, to an empty folder or a new tag: the steps of these records run again, and their layers "
    "are written again.",
    "Or repair it. This leaves out the results that cannot be used, and keeps all others.\n"
    "cachedoctor repair SOURCE -o DEST",
    "Look for what removed them: a script that deletes old files, a registry cleanup, or a copy that was interrupted.",
)
_LEFT_OUT = (
    "No action needed if this is a copy to be analyzed. If builds import this folder itself, export the cache again, "
    "to an empty one.",
)


@rule(
    "CD303",
    "missing-blob",
    Severity.WARNING,
    affects=str(EVERY),
    help=_GONE,
    scope=Scope.DOCUMENT,
)
def missing_blob(context: Context) -> Iterator[Found]:
    """List the records of each document that have a result which nobody can use."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        if document.presence and document.presence.layers_left_out:
            yield _layers_left_out(document)
        usable = document.usable_blobs
        if usable is None or usable.issuperset(document.config.blobs):
            continue
        incomplete = layers.incomplete_layers(document.config, tree, usable)
        owners = _owners(document.config, incomplete)
        if owners:
            yield _found(document, incomplete, owners, context.buildkit)


def _layers_left_out(document: CacheDocument) -> Found:
    presence = document.presence
    assert presence
    return Found(
        f"The {presence.place} has none of the {plural(len(presence.absent), 'blob')} that the manifest lists, only "
        "the manifest and the config. That is enough to analyze the cache, but no build can use a result from there.",
        source=document.source,
        help=_LEFT_OUT,
    )


def _owners(config: CacheConfig, incomplete: bytearray) -> list[int]:
    """The record of each result, and of each chain, that has an incomplete layer."""
    count = len(incomplete)

    def lacks(layer: int) -> bool:
        return 0 <= layer < count and bool(incomplete[layer])

    results = [record for record, layer in layers.results(config) if lacks(layer)]
    return results + [record for record, listed, _ in config.chains if any(map(lacks, listed))]


def _found(document: CacheDocument, incomplete: bytearray, owners: Sequence[int], buildkit: Release | None) -> Found:
    records = sorted(set(owners))
    causes, gone = _causes(document)
    lose = agree(len(records), "loses", "lose")
    lose, when = (lose, "") if gone else (f"silently {lose}", " on import")
    return Found(
        f"{plural(len(records), 'record')} {lose} {plural(len(owners), 'result')}{when}, because "
        f"{sum(incomplete):,} of {plural(len(incomplete), 'layer')} cannot be used: {listing(causes)}."
        f"{_next_export(buildkit) if gone else ''}",
        records,
        document.source,
        help=_help(document) if gone else _NOT_LISTED,
    )


def _help(document: CacheDocument) -> tuple[str, ...]:
    """What to do about blobs that are gone. Of a registry, repair has to ask for them as well."""
    asked = document.presence is not None and document.presence.place == REGISTRY
    return tuple(step.replace("DEST", "DEST --verify-blobs") if asked else step for step in _GONE)


def _causes(document: CacheDocument) -> tuple[list[str], bool]:
    """Why blobs that layers need cannot be used, and whether one that the manifest lists is among them."""
    needed = set(document.config.blobs)
    unlisted = len(needed - (document.blobs or frozenset()))
    causes = [f"the manifest does not list {plural(unlisted, 'blob')}"] if unlisted else []
    presence = document.presence
    if presence is None:
        return causes, False
    absent, resized = len(needed & presence.absent), sorted(needed & presence.resized.keys())
    if absent:
        lists = "it lists" if unlisted else "the manifest lists"
        causes.append(f"{plural(absent, 'blob')} that {lists} {agree(absent, 'is', 'are')} not in the {presence.place}")
    if resized:
        found, expected = presence.resized[resized[0]]
        causes.append(
            f"{plural(len(resized), 'blob')} in the {presence.place} {agree(len(resized), 'has', 'have')} the wrong "
            f"size ({short(resized[0])} has {plural(found, 'byte')} instead of {expected:,})"
        )
    return causes, bool(absent or resized)


def _next_export(buildkit: Release | None) -> str:
    """What happens if a build imports the cache and exports it again."""
    failing, fixed = FAILS_ON_DELETED_BLOB
    assert failing
    fails = f"fails (fixed in {fixed})"
    if buildkit is None:
        return f" The next export with {failing} {fails}; older releases write a cache that lacks the same blobs."
    if buildkit in FAILS_ON_DELETED_BLOB:
        return f" The next export {fails}."
    return " The next export writes a cache that lacks the same blobs." if buildkit < failing else ""
