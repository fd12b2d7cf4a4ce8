"""A result needs a blob that the manifest does not list.

**What it means.** A result points to a layer whose blob, or that of one of its parents, is not listed in the
manifest. The importer drops the result: the record stays, but has nothing to offer.

**How it is found.** Only if a manifest, index or layout was read, so that the list of blobs is known; never for a
bare cache config. The finding names the records with a result, or with a layer of a chain, that needs a missing blob.

**Severity.** Warning.

**Versions.** Every BuildKit.

**What you see.** No message. The steps of these records run again.

**What to do.**

1. Export the cache again. The steps of these records run again, and their layers are pushed.
2. Look for a registry cleanup that rewrites manifests, or a copy of the cache that was interrupted.

**What does not help.** Pushing the missing blob alone: the list in the manifest is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY
from cachedoctor.graph import layers
from cachedoctor.numbers import plural
from cachedoctor.rules._shared import agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule


@rule(
    "CD303",
    "missing-blob",
    Severity.WARNING,
    affects=str(EVERY),
    help=(
        "Export the cache again: the steps of these records run again, and their layers are pushed.",
        "Look for a registry cleanup that rewrites manifests, or a copy that was interrupted.",
    ),
    scope=Scope.DOCUMENT,
)
def missing_blob(context: Context) -> Iterator[Found]:
    """List the records of each document that lose a result because of its manifest."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        if document.blobs is None or document.blobs.issuperset(document.config.blobs):
            continue
        incomplete = layers.incomplete_layers(document.config, tree, document.blobs)
        count = len(incomplete)
        pointed = layers.pointed_at(document.config)
        records = sorted({record for record, layer in pointed if 0 <= layer < count and incomplete[layer]})
        if records:
            missing = len(set(document.config.blobs) - document.blobs)
            yield Found(
                f"{plural(len(records), 'record')} silently {agree(len(records), 'loses', 'lose')} a result on import: "
                f"the manifest does not list {plural(missing, 'blob')} of the cache's layers.",
                records,
                document.source,
            )
