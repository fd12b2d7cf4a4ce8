"""Turns cache documents into one that imports, has no loops, and lost nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from cachedoctor.buildkit import IMPORT_LIMIT
from cachedoctor.cacheconfig import CacheConfig, decode, encode
from cachedoctor.errors import CountTooLarge, InputError, LimitError, ProofError
from cachedoctor.graph.imports import Imported
from cachedoctor.graph.survey import Progress, Survey
from cachedoctor.io.memory import lacking
from cachedoctor.numbers import digits
from cachedoctor.repairs import limits, loops, proof, prune
from cachedoctor.repairs.draft import Draft, Removed, join
from cachedoctor.repairs.limits import Goal, Options
from cachedoctor.repairs.proof import Lost
from cachedoctor.rules import RULES, Context, Limits, findings
from cachedoctor.sources import CacheDocument, Location
from cachedoctor.sources.descriptors import known_descriptors, new_manifest
from cachedoctor.sources.document import digest_of
from cachedoctor.sources.presence import remarks

__all__ = ["Options", "Repaired", "Size", "prove", "repair"]

_MEMORY_PER_BYTE = 6
"""Bytes of memory per byte of the cache configs: 3.5 were measured with a million records."""
_INLINE = (
    "an inline cache is a part of its image, and no file replaces it: build the image again, or export a registry cache"
)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a cache is."""

    records: int
    links: int
    layers: int
    results: int
    bytes: int
    """Of the whole file, a joining record included, which nothing else counts."""
    calls: int
    """Loop-check calls of the graph, merged to the fixpoint and with loops cut."""
    loops: int
    imported: Imported
    """What importers of `buildkit.LOSES_LINKS` lose of it."""

    @property
    def leaves(self) -> int:
        """Records that no other links to; a joining record joins those that it links to."""
        return self.imported.leaves


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
    goal: Goal
    added_joining: bool
    """Whether it has a joining record that the documents did not have."""
    removed_joining: bool
    """Whether the documents had a joining record, and it has none."""
    unchanged: bool
    """Whether there was nothing to fix: one document, whose config this is."""
    manifest_bytes: int | None
    """Of the manifest that goes with it, `None` if the documents do not describe all its layers."""
    warnings: tuple[str, ...]
    survey: Survey
    """Of the documents; `removed.alternatives` are between its items."""

    @property
    def is_copy(self) -> bool:
        """Whether it is, byte for byte, the config that was read."""
        return self.unchanged and digest_of(self.data) == self.documents[0].digest

    def too_large(self, location: Location | None = None) -> tuple[str, int] | None:
        """What importers refuse for its size, and how many bytes that has; `None` if they do not.

        `location` is where it is written. Whatever is in a registry is limited, wherever it is from.
        """
        elsewhere = location is not None and location.local is None
        if not (elsewhere or any(document.is_limited for document in self.documents)):
            return None
        sizes = (("cache config", len(self.data)), ("manifest", self.manifest_bytes or 0))
        return next(((what, size) for what, size in sizes if size > IMPORT_LIMIT), None)

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
    uncut = join(before, [document.usable_blobs for document in documents])
    uncut.joins = options.join
    goal = limits.goal(uncut, options, documents)
    progress("cutting loops")
    cut = _cut(uncut, before, options)
    progress("removing alternatives")
    draft = limits.reach(cut, uncut, goal, options)
    config = draft.config()
    distinct = set().union(*before.chain_numbers)
    draft.removed.unused_layers = max(0, len(distinct) - len(config.blobs))
    data = encode(config)
    progress("proving that nothing is lost")
    after, lost = prove(data, documents, before, draft)
    size = _size(after, len(data))
    _hold_limits(size, options)
    gone = draft.removed.missing_blob_results
    if gone and not size.results:
        problem = f"no result would be left, since the blobs of all {gone} are missing; export the cache again"
        raise InputError(problem, source=documents[0].source)
    joined, had = _joining_digests(after), _joining_digests(before)
    return Repaired(
        documents=documents,
        config=config,
        data=data,
        before=_size(before, sum(document.size for document in documents)),
        after=size,
        removed=draft.removed,
        lost=lost,
        goal=goal,
        added_joining=not joined <= had,
        removed_joining=bool(had) and not joined,
        unchanged=after is before and not (documents[0].config.unknown_fields or documents[0].named_digest),
        manifest_bytes=_manifest_bytes(documents, config, data),
        warnings=_warnings(documents),
        survey=before,
    )


def _joining_digests(survey: Survey) -> set[str]:
    pairs = zip(survey.written, survey.configs, strict=True)
    return {written.digests[-1] for written, config in pairs if written is not config}


def _manifest_bytes(documents: Sequence[CacheDocument], config: CacheConfig, data: bytes) -> int | None:
    known = known_descriptors(documents)
    blobs = dict.fromkeys(config.blobs)
    if not known or not known.keys() >= blobs.keys():
        return None
    return len(orjson.dumps(new_manifest(documents[0].kind, [known[blob] for blob in blobs], data)))


def _weigh(documents: Sequence[CacheDocument]) -> None:
    """Raise `InputError` if there is not enough memory left for the graph and a second document."""
    need = _MEMORY_PER_BYTE * sum(document.size for document in documents)
    left = lacking(need)
    if left is not None:
        problem = f"repairing it takes about {need >> 20:,} MiB of memory more, and {left >> 20:,} MiB are left"
        raise InputError(problem, source=documents[0].source)


def _hold_limits(size: Size, options: Options) -> None:
    most_bytes, most_calls = options.max_bytes, options.max_calls
    if isinstance(most_bytes, int) and size.bytes > most_bytes:
        raise ProofError(f"the repaired cache has {size.bytes} bytes, over the limit of {most_bytes}")
    if isinstance(most_calls, int) and size.calls > most_calls:
        raise ProofError(f"the repaired cache takes {digits(size.calls)} calls, over the limit of {most_calls}")


def prove(data: bytes, documents: Sequence[CacheDocument], before: Survey, draft: Draft) -> tuple[Survey, Lost]:
    """Read a repaired document like any other, and compare it with the documents that it was made from.

    Returns its survey, and what is lost: nothing, unless records were dropped to reach a size. Raises `ProofError`.
    """
    try:
        config = decode(data)
    except InputError as error:
        raise ProofError(f"the repaired cache cannot be read: {error}") from error
    after = before if [config] == before.written else before.rejoined([config])
    # If the columns are equal, nothing was removed, not even because of a manifest.
    unchanged = after is not None
    after = after or Survey([config])
    document = CacheDocument("the repaired cache", "cache-config", config, "", len(data), None, None, "")
    proof.check(after, _refusals(document, after))
    proof.check_joined(after, joins=draft.joins)
    if after.joining and after.configs[0] != draft.plain():
        raise ProofError("the joining record changed something else")
    proof.check_nothing_added(before, after)
    blobs = [document.usable_blobs for document in documents]
    lost = Lost(0, 0) if unchanged else proof.lost(before, blobs, after, draft.removed.imitations)
    if not draft.removed.dropped_records and (lost.records or lost.results):
        raise ProofError(f"{lost.records} records and {lost.results} results would be lost")
    return after, lost


def _refusals(document: CacheDocument, found: Survey) -> list[str]:
    """The rules that make some BuildKit refuse the cache. Its size is the user's decision, not a reason."""
    asked = {rule.id for rule in RULES if rule.refused_by}
    context = Context([document], found, Limits(max_bytes=sys.maxsize), None)
    return [finding.rule for finding in findings(context, only=asked)]


def _cut(draft: Draft, before: Survey, options: Options) -> Draft:
    """A copy of the draft without loops."""
    cut = draft.copy()
    if options.minimal:
        prune.minimal(cut, options.prefer)
    elif before.loops:
        closing = loops.closing(cut.graph, _rank(before), before.loops)
        cut.removed.looping_links = len(closing)
        cut.unlink(closing, closed_loop=True)
    return cut


def _rank(before: Survey) -> list[int]:
    """The position of each item when records are derived as soon as their sources allow."""
    rank = [-1] * before.merged.size
    for position, record in enumerate(before.earliest):
        item = before.merged.item_of[record]
        if rank[item] < 0:
            rank[item] = position
    return rank


def _size(survey: Survey, size: int) -> Size:
    return Size(
        records=survey.graph.size,
        links=sum(len(config.links) for config in survey.configs),
        layers=sum(len(config.blobs) for config in survey.configs),
        results=sum(len(config.results) + len(config.chains) for config in survey.configs),
        bytes=size,
        calls=survey.fixpoint_calls,
        loops=len(survey.loops) or len(survey.record_cycles),
        imported=survey.imported,
    )


def _warnings(documents: Sequence[CacheDocument]) -> tuple[str, ...]:
    unknown = (
        f"{document.source}: left out what BuildKit does not know: {', '.join(document.config.unknown_fields[:10])}"
        for document in documents
        if document.config.unknown_fields
    )
    unverified = (f"{document.source}: {note}" for document in documents for note in remarks(document.presence))
    inline = all(document.kind == "inline" for document in documents)
    unpacked = (
        f"{document.source}: an image config names its layers by their unpacked content, so BuildKit cannot load the "
        "results; repair the image itself"
        for document in documents
        if document.kind == "inline" and document.manifest_size is None
    )
    return (*unknown, *unpacked, *unverified, *((_INLINE,) if inline else ()))
