"""The document points to something that it does not contain.

**What it means.** A link points to a record, a result or chain to a layer, or a layer to its parent, with an index
outside the list.

**How it is found.** An index is bad if it is below 0, or not below the length of the list; a `parent` of -1 means
"none" and is fine. A `link` or `parent` that is absent means 0, not "none". The message counts links, layers of
results and chains, and parents; the finding lists the records with such a link or layer.

**Severity.** Error. Warning if the importer never looks at what is bad.

**Versions.** Every BuildKit refuses the whole cache. It notices a bad parent only when it follows a result to it: if
no result needs the layer, it never looks. It also stops following a result or a chain at the first layer whose blob
the manifest does not list. BuildKit before v0.10 writes inline caches with layers outside their image
(moby/buildkit#2651).

**What you see.** `invalid record ID: N` for a link, `invalid layer index N` for a layer or a parent.

**What to do.** [Repair it, or delete it](#repair-it-or-delete-it). For an inline cache, upgrade the builder and
build the image again: no file can replace it. In any other cache BuildKit's exporter does not write such indices, so
check any tool of your own that edits the file, or could cut it short.

**What does not help.** Pushing layers or results again: the indices are in the cache config.
"""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import EVERY, WRITES_BAD_INLINE
from cachedoctor.cacheconfig import CacheConfig, all_within
from cachedoctor.graph import layers
from cachedoctor.numbers import listing, plural
from cachedoctor.rules._shared import DELETE, REFUSED, REPAIR, UNNOTICED, agree
from cachedoctor.rules.rule import Context, Found, Scope, Severity, rule
from cachedoctor.sources import CacheDocument

_FIRST_GOOD = WRITES_BAD_INLINE.until
assert _FIRST_GOOD
_OF_INLINE = (
    f"Upgrade the builder: BuildKit {WRITES_BAD_INLINE} write such inline caches (moby/buildkit#2651), "
    f"{_FIRST_GOOD.line} and later do not.",
    REPAIR,
)


@rule(
    "CD104",
    "bad-index",
    Severity.ERROR,
    affects=str(EVERY),
    help=(REPAIR, DELETE),
    scope=Scope.DOCUMENT,
    refused_by=EVERY,
)
def bad_index(context: Context) -> Iterator[Found]:
    """Look for links, results, chains and parents that point outside their document."""
    complete = context.survey.has_all_links
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        config = document.config
        links = [] if complete else _with_bad_link(config)
        results = _with_bad_layer(config)
        counts = {"link": len(links), "result layer": len(results), "layer parent": len(tree.dangling)}
        if not any(counts.values()):
            continue
        followed = layers.followed_layers(config, document.blobs)
        refused = bool(links) or _is_noticed(document) or any(followed[layer] for layer in tree.dangling)
        parts = [plural(number, noun) for noun, number in counts.items() if number]
        yield Found(
            f"{listing(parts)} {agree(sum(counts.values()), 'points', 'point')} outside the document, which has "
            f"{plural(len(config.digests), 'record')} and {plural(len(config.blobs), 'layer')}. "
            f"{REFUSED if refused else UNNOTICED}",
            sorted({*links, *results}),
            document.source,
            None if refused else Severity.WARNING,
            refuses=refused,
            help=_OF_INLINE if document.kind == "inline" else (),
        )


def _with_bad_layer(config: CacheConfig) -> list[int]:
    """The record of each result and chain layer outside the document, once for each."""
    count = len(config.blobs)
    pointed = layers.pointed_at(config) if config.chains or not all_within(config.results, count) else ()
    return [record for record, layer in pointed if not 0 <= layer < count]


def _is_noticed(document: CacheDocument) -> bool:
    """Whether the importer gets to a result or chain layer outside the document. A chain ends at a missing blob."""
    config, blobs = document.config, document.blobs
    count = len(config.blobs)
    if not all_within(config.results, count):
        return True
    for _, chained, _ in config.chains:
        for layer in chained:
            if not 0 <= layer < count:
                return True
            if blobs is not None and config.blobs[layer] not in blobs:
                break
    return False


def _with_bad_link(config: CacheConfig) -> list[int]:
    """The record of each link to outside the document, once for each."""
    count = len(config.digests)
    if all_within(config.links, count):
        return []
    starts = [config.link_start[start] for start in config.input_start]
    return [
        record
        for record in range(count)
        for link in config.links[starts[record] : starts[record + 1]]
        if not 0 <= link < count
    ]
