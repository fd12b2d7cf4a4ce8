"""Rules on what is in a cache for nothing (CD301 to CD304)."""

from __future__ import annotations

from collections.abc import Iterator

from cachedoctor.graph import layers
from cachedoctor.numbers import plural
from cachedoctor.rules.interface import Context, Found


def duplicate_records(context: Context) -> Iterator[Found]:
    """CD301: records that are one record after merging."""
    survey = context.survey
    doubles = [record for record in survey.order if survey.merge.item[record] != record]
    if doubles:
        sure = "" if survey.merge.complete else "at least "
        yield Found(
            f"{sure}{plural(len(doubles), 'record')} of {len(survey.order):,} are one with another after merging.",
            _named(context, sorted(doubles)),
        )


def dead_record(context: Context) -> Iterator[Found]:
    """CD302: records that no cache lookup can reach."""
    survey = context.survey
    if survey.dead_records:
        alive = set(survey.order)
        dead = [record for record in range(survey.graph.size) if record not in alive]
        yield Found(
            f"{plural(len(dead), 'record')} of {survey.graph.size:,} can never be a cache hit: no chain of inputs "
            "leads to them from a root.",
            _named(context, dead),
        )


def _named(context: Context, records: list[int]) -> list[int | str]:
    """By index where there is one document, by digest where several were merged."""
    if len(context.documents) == 1:
        return list(records)
    return [context.survey.graph.digests[record] for record in records]


def missing_blob(context: Context) -> Iterator[Found]:
    """CD303: results whose layers the manifest does not list."""
    for document, tree in zip(context.documents, context.survey.trees, strict=True):
        if document.blobs is None or document.blobs.issuperset(document.config.blobs):
            continue
        incomplete = layers.incomplete_layers(document.config, tree, document.blobs)
        count = len(incomplete)
        records = sorted(
            {record for record, layer in layers.pointed_at(document.config) if 0 <= layer < count and incomplete[layer]}
        )
        if records:
            missing = len({blob for blob in document.config.blobs if blob not in document.blobs})
            yield Found(
                f"{plural(len(records), 'record')} lose a result on import, without a word: the manifest does not list "
                f"{plural(missing, 'blob')} of their layers.",
                records,
                document.source,
            )


def unused_layer(context: Context) -> Iterator[Found]:
    """CD304: layers that no result needs. The layers of an image stay whether its cache needs them or not."""
    for document in context.documents:
        if document.kind == "inline":
            continue
        used = layers.used_layers(document.config)
        unused = [layer for layer, needed in enumerate(used) if not needed]
        if unused:
            yield Found(
                f"{plural(len(unused), 'layer')} of {len(used):,} that no result needs.", unused, document.source
            )
