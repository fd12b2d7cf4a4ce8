"""Rules on one document: what BuildKit refuses to import (CD101 to CD105)."""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.buildkit import merges_while_adding
from cachedoctor.cacheconfig import CacheConfig, all_within
from cachedoctor.graph import layers
from cachedoctor.numbers import plural
from cachedoctor.rules.interface import IMPORTED_BYTES, Context, Found, Measure, Severity
from cachedoctor.sources import CacheDocument

_REFUSED = "every BuildKit refuses the whole cache."
_UNNOTICED = "no result needs them, so that BuildKit does not notice."


def config_too_large(context: Context) -> Iterator[Found]:
    """CD101: a config or manifest over the size that importers read.

    An inline cache is not subject to it, nor is the config of the gha, s3 and azblob backends, which annotate layers.
    """
    limit = context.limits.max_bytes
    for document in context.documents:
        sizes = {"cache config": document.size, "manifest": document.manifest_size or 0}
        if document.kind == "inline" or document.config.annotated:
            continue
        for what, size in sizes.items():
            if size > limit:
                yield Found(
                    f"The {what} has {size:,} bytes, {size - limit:,} more than {_what_limit(size, limit)}",
                    source=document.source,
                    measure=Measure(f"bytes of the {what}", size),
                )


def _what_limit(size: int, limit: int) -> str:
    if limit == IMPORTED_BYTES:
        return f"the {limit:,} that BuildKit imports: the export succeeds, and no build ever uses it."
    consequence = ", so that no build ever uses it" if size > IMPORTED_BYTES else ""
    return f"the limit of {limit:,}; BuildKit imports {IMPORTED_BYTES:,} at most{consequence}."


def empty_input(context: Context) -> Iterator[Found]:
    """CD102: a record with an input that has no alternative."""
    for document in context.documents:
        found = _empty_inputs(document.config)
        if not found:
            continue
        refused = merges_while_adding(context.buildkit)
        consequence = (
            "v0.25 and later refuse the whole cache, older ones drop the record and what is made from it alone."
            if refused
            else "this version drops the record and what is made from it alone."
        )
        yield Found(
            f"{plural(len(found), 'record')} with an input that has no alternative, the first is record {found[0]}: "
            + consequence,
            found,
            document.source,
            None if refused else Severity.WARNING,
        )


def _empty_inputs(config: CacheConfig) -> list[int]:
    start = config.link_start
    empty = [slot for slot, is_empty in enumerate(map(int.__eq__, start, start[1:])) if is_empty]
    found: list[int] = []
    record = 0
    for slot in empty:
        while config.input_start[record + 1] <= slot:
            record += 1
        if not found or found[-1] != record:
            found.append(record)
    return found


def record_cycle(context: Context) -> Iterator[Found]:
    """CD103: records of one document that link in a cycle."""
    for document, cycles in _by_document(context):
        example = " → ".join(map(str, (*cycles[0][1][:8], *(["…"] if len(cycles[0][1]) > 8 else [cycles[0][1][0]]))))
        records = [record for members, _ in cycles for record in members]
        yield Found(
            f"{plural(len(records), 'record')} in {plural(len(cycles), 'cycle')} of the document itself, such as "
            f"{example}: {_REFUSED}",
            records,
            document.source,
        )


def _by_document(context: Context) -> Iterator[tuple[CacheDocument, list[tuple[list[int], list[int]]]]]:
    survey = context.survey
    grouped: dict[int, list[tuple[list[int], list[int]]]] = {}
    for cycle in survey.record_cycles:
        places = [survey.place(record) for record in cycle.items]
        example = [survey.place(record)[1] for record in cycle.example]
        grouped.setdefault(places[0][0], []).append(([record for _, record in places], example))
    for index, cycles in sorted(grouped.items()):
        yield context.documents[index], cycles


def bad_index(context: Context) -> Iterator[Found]:
    """CD104: a link, result, chain or parent that points outside the document."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        config = document.config
        links = _owners_outside(config)
        count = len(config.blobs)
        results = _pointing_outside(config)
        if links or results or tree.dangling:
            needed = layers.used_layers(config)
            parts = [
                plural(len(found), noun) for found, noun in ((links, "link"), (results, "result layer")) if found
            ] + ([plural(len(tree.dangling), "layer parent")] if tree.dangling else [])
            refused = bool(links or results or any(needed[layer] for layer in tree.dangling))
            yield Found(
                f"{' and '.join(parts)} outside the document, which has {plural(len(config.digests), 'record')} and "
                f"{plural(count, 'layer')}: {_REFUSED if refused else _UNNOTICED}",
                sorted({*links, *results}),
                document.source,
                None if refused else Severity.WARNING,
            )


def _pointing_outside(config: CacheConfig) -> list[int]:
    """The record of each result and chain that names a layer outside the document."""
    count = len(config.blobs)
    pointed = layers.pointed_at(config) if config.chains or not all_within(config.results, count) else ()
    return [record for record, layer in pointed if not 0 <= layer < count]


def _owners_outside(config: CacheConfig) -> list[int]:
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


def layer_cycle(context: Context) -> Iterator[Found]:
    """CD105: a layer that is its own ancestor."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        if tree.cyclic:
            needed = layers.used_layers(document.config)
            refused = any(needed[layer] for layer in tree.cyclic)
            yield Found(
                f"{plural(len(tree.cyclic), 'layer')} in a cycle of parents, such as layer {tree.cyclic[0]}: "
                f"{_REFUSED if refused else _UNNOTICED}",
                tree.cyclic,
                document.source,
                None if refused else Severity.WARNING,
            )


def dangling_tag(context: Context) -> Iterator[Found]:
    """CD106: a layout whose tag names a manifest that is not there, although the cache is."""
    for document in context.documents:
        if document.named_digest:
            yield Found(
                f"index.json names the manifest {document.named_digest}, which is not in the layout; the cache is "
                f"there as {document.manifest_digest}, the same manifest in another form. type=local does not find it.",
                source=document.source,
            )
