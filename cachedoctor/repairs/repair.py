"""Turns cache documents into one that imports, has no loops, and lost nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.cacheconfig import CacheConfig, decode, encode
from cachedoctor.errors import CountTooLarge, InputError, LimitError, ProofError
from cachedoctor.graph import paths
from cachedoctor.graph.survey import Progress, Survey
from cachedoctor.io.memory import lacking
from cachedoctor.numbers import digits
from cachedoctor.repairs import loops, proof, prune
from cachedoctor.repairs.draft import Draft, Removed, join
from cachedoctor.repairs.proof import Lost
from cachedoctor.rules import RULES, Context, Limits, findings
from cachedoctor.sources import CacheDocument
from cachedoctor.sources.presence import remarks

_MEMORY_PER_BYTE = 6
"""Bytes of memory per byte of the cache configs: 3.5 were measured with a million records."""


_INLINE = (
    "an inline cache is a part of its image, and no file replaces it: build the image again, or export a registry cache"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What repair may remove."""

    minimal: bool = False
    """Keep only the cheapest alternative of each input."""
    max_calls: int | None = None
    max_bytes: int | None = None
    prefer: prune.Preference = "cheapest"
    """What decides between alternatives that cost the same (see `prune.Preference`)."""
    drop_oldest: bool = False
    """Whether whole records may be dropped if removing alternatives does not reach `max_bytes`."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a cache is."""

    records: int
    links: int
    layers: int
    results: int
    bytes: int
    calls: int
    """Loop-check calls of the graph, merged to the fixpoint and with loops cut."""
    loops: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repaired cache that is not yet written."""

    documents: Sequence[CacheDocument]
    """What it was made from."""
    config: CacheConfig
    data: bytes
    before: Size
    after: Size
    removed: Removed
    lost: Lost
    warnings: tuple[str, ...]

    def check(self, read_back: bytes) -> None:
        """Raise `ProofError` if what was written and read back is not the repaired cache."""
        if read_back != self.data:
            raise ProofError("what was read back is not what was written")


def repair(documents: Sequence[CacheDocument], options: Options, progress: Progress = lambda step: None) -> Repaired:
    """Repair cache documents and join them, in the given order.

    Dead records, bad links and unused layers are removed, equal records become one that has all their results, and
    loops are cut so that every record can still be derived. Alternatives are removed only if `options` ask for it.

    Raises `LimitError` if a limit cannot be reached, `InputError` if there are too many paths to count, and
    `ProofError` if the result is not what it should be.
    """
    try:
        return _repair(documents, options, progress)
    except CountTooLarge as error:
        raise InputError(f"cannot count its paths: {error}", source=documents[0].source) from error


def _repair(documents: Sequence[CacheDocument], options: Options, progress: Progress) -> Repaired:
    progress("merging records")
    _weigh(documents)
    before = Survey([document.config for document in documents])
    if not before.order:
        raise LimitError("none of its records can be derived, so nothing would be left")
    draft = join(before, [document.usable_blobs for document in documents])
    progress("cutting loops")
    _cut(draft, before, options)
    progress("removing alternatives")
    _limit(draft, options)
    config = draft.config()
    distinct = set().union(*before.chain_numbers)
    draft.removed.unused_layers = max(0, len(distinct) - len(config.blobs))
    data = encode(config)
    progress("proving that nothing is lost")
    after, lost = prove(data, documents, before, draft.removed)
    size = _size(after, len(data))
    _hold_limits(size, options)
    return Repaired(
        documents=documents,
        config=config,
        data=data,
        before=_size(before, sum(document.size for document in documents)),
        after=size,
        removed=draft.removed,
        lost=lost,
        warnings=_warnings(documents),
    )


def _weigh(documents: Sequence[CacheDocument]) -> None:
    """Raise `InputError` if there is not enough memory left for the graph and a second document."""
    need = _MEMORY_PER_BYTE * sum(document.size for document in documents)
    left = lacking(need)
    if left is not None:
        problem = f"repairing it takes about {need >> 20:,} MiB of memory more, and {left >> 20:,} MiB are left"
        raise InputError(problem, source=documents[0].source)


def _hold_limits(size: Size, options: Options) -> None:
    if options.max_bytes is not None and size.bytes > options.max_bytes:
        raise ProofError(f"the repaired cache has {size.bytes} bytes, over the limit of {options.max_bytes}")
    if options.max_calls is not None and size.calls > options.max_calls:
        raise ProofError(f"the repaired cache takes {digits(size.calls)} calls, over the limit of {options.max_calls}")


def prove(data: bytes, documents: Sequence[CacheDocument], before: Survey, removed: Removed) -> tuple[Survey, Lost]:
    """Read a repaired document like any other, and compare it with the documents that it was made from.

    Returns its survey, and what is lost: nothing, unless records were dropped to reach a size. Raises `ProofError`.
    """
    try:
        config = decode(data)
    except InputError as error:
        raise ProofError(f"the repaired cache cannot be read: {error}") from error
    # If the columns are equal, nothing was removed, not even because of a manifest.
    unchanged = [config] == before.configs
    after = before if unchanged else Survey([config])
    document = CacheDocument("the repaired cache", "cache-config", config, "", len(data), None, None, "")
    proof.check(after, _refusals(document, after))
    lost = Lost(0, 0) if unchanged else proof.lost(before, [document.usable_blobs for document in documents], after)
    if not removed.dropped_records and (lost.records or lost.results):
        raise ProofError(f"{lost.records} records and {lost.results} results would be lost")
    return after, lost


def _refusals(document: CacheDocument, found: Survey) -> list[str]:
    """The rules that make some BuildKit refuse the cache. Its size is the user's decision, not a reason."""
    asked = {rule.id for rule in RULES if rule.refused_by}
    context = Context([document], found, Limits(max_bytes=sys.maxsize), None)
    return [finding.rule for finding in findings(context, only=asked)]


def _cut(draft: Draft, before: Survey, options: Options) -> None:
    if options.minimal:
        prune.minimal(draft, options.prefer)
    elif before.loops:
        closing = loops.closing(draft.graph, _rank(before), before.loops)
        draft.removed.looping_links = len(closing)
        draft.graph = draft.graph.without(closing)


def _rank(before: Survey) -> list[int]:
    """The position of each item when records are derived as soon as their sources allow."""
    rank = [-1] * before.merged.size
    for position, record in enumerate(before.earliest):
        item = before.merged.item_of[record]
        if rank[item] < 0:
            rank[item] = position
    return rank


def _limit(draft: Draft, options: Options) -> None:
    if options.max_bytes is not None:
        _limit_bytes(draft, options.max_bytes, options)
    if options.max_calls is not None and not prune.to_calls(draft, options.max_calls, options.prefer):
        fewest = digits(paths.calls(draft.acyclic()))
        raise LimitError(
            f"the limit of {options.max_calls} calls is too low: the fewest that keep every record are {fewest}"
        )


def _limit_bytes(draft: Draft, limit: int, options: Options) -> None:
    def size() -> int:
        return len(encode(draft.config()))

    if prune.to_bytes(draft, size() - limit, options.prefer):
        return
    if not options.drop_oldest:
        least = f"with one alternative for each input it still has {size():,} bytes"
        problem = f"the limit of {limit:,} bytes is too low: {least}"
        raise LimitError(problem, dropping_may_help=True)
    if not prune.drop_oldest(draft, lambda: size() <= limit):
        raise LimitError(f"the limit of {limit:,} bytes is too low: no record at all would be left")


def _size(survey: Survey, size: int) -> Size:
    return Size(
        records=survey.graph.size,
        links=sum(len(config.links) for config in survey.configs),
        layers=sum(len(config.blobs) for config in survey.configs),
        results=sum(len(config.results) + len(config.chains) for config in survey.configs),
        bytes=size,
        calls=survey.fixpoint_calls,
        loops=len(survey.loops) or len(survey.record_cycles),
    )


def _warnings(documents: Sequence[CacheDocument]) -> tuple[str, ...]:
    unknown = (
        f"{document.source}: left out what BuildKit does not know: {', '.join(document.config.unknown_fields[:10])}"
        for document in documents
        if document.config.unknown_fields
    )
    unverified = (f"{document.source}: {note}" for document in documents for note in remarks(document.presence))
    inline = all(document.kind == "inline" for document in documents)
    return (*unknown, *unverified, *((_INLINE,) if inline else ()))
