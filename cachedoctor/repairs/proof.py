"""The proof that a repaired cache lost nothing, based on its bytes as they will be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cachedoctor.errors import ProofError
from cachedoctor.graph import layers
from cachedoctor.graph.survey import Survey


@dataclass(frozen=True, slots=True)
class Lost:
    """What the documents had and the repaired cache does not have."""

    records: int
    """Items that could be derived. They are compared by digest."""
    results: int
    """Results of such items that an importer could use. They are compared by the digest and the blobs of all layers."""


def lost(before: Survey, blobs: Sequence[frozenset[str] | None], after: Survey, imitations: Sequence[str] = ()) -> Lost:
    """Compare the items that can be derived, and their results.

    `blobs` are the usable blobs of each document (`CacheDocument.usable_blobs`), `None` without a manifest.
    `imitations` are digests of records that may be missing, but not their results (`draft.Removed.imitations`).
    """
    configs, trees = [*before.configs, *after.configs], [*before.trees, *after.trees]
    numbers = layers.chain_numbers(configs, trees)
    had = _results(before, numbers[: len(before.configs)], blobs)
    has = _results(after, numbers[len(before.configs) :], [None] * len(after.configs))
    digests = [*after.merged.graph.digests, *imitations] if imitations else after.merged.graph.digests
    return Lost(records=_missing(before.merged.graph.digests, digests), results=_missing(had, has))


def check_nothing_added(before: Survey, after: Survey) -> None:
    """Raise `ProofError` if a repaired cache has items that could not be derived before."""
    if _missing(after.merged.graph.digests, before.merged.graph.digests):
        raise ProofError("the repaired cache has records that its sources do not have")


def _missing(had: Sequence[Hashable], has: Sequence[Hashable]) -> int:
    """How many elements of the first are missing in the second; each counts as often as it occurs."""
    return 0 if had == has else (Counter(had) - Counter(has)).total()


def _results(
    survey: Survey, numbers: Sequence[Sequence[int]], blobs: Sequence[frozenset[str] | None]
) -> list[tuple[str, Hashable]]:
    """The distinct results and chains of all items, as the item's digest and the number of its layer or layers."""
    distinct: dict[tuple[int, int | tuple[int, ...]], None] = {}
    base = 0
    for config, tree, of_layers, listed in zip(survey.configs, survey.trees, numbers, blobs, strict=True):
        items = survey.merged.item_of[base : base + len(config.digests)]
        base += len(config.digests)
        count = len(of_layers)
        lacking = bytes(count) if listed is None else layers.incomplete_layers(config, tree, listed)
        usable = [depth > 0 and not lacks for depth, lacks in zip(tree.depth, lacking, strict=True)]
        for record, layer in layers.results(config):
            if 0 <= layer < count and usable[layer]:
                distinct[items[record], of_layers[layer]] = None
        for record, chain, _ in config.chains:
            if chain and all(0 <= layer < count and usable[layer] for layer in chain):
                distinct[items[record], tuple(of_layers[layer] for layer in chain)] = None
    return [(survey.merged.graph.digests[item], key) for item, key in distinct if item >= 0]


def check(after: Survey, failed_rules: Sequence[str]) -> None:
    """Raise `ProofError` if a repaired cache fails rules, or has loops, dead records or duplicates."""
    if failed_rules:
        raise ProofError(f"the repaired cache fails {', '.join(sorted(set(failed_rules)))}")
    if after.loops or after.record_cycles:
        raise ProofError("the repaired cache has a loop")
    if after.dead_records or after.merged.size != after.graph.size:
        raise ProofError("the repaired cache has dead or duplicate records")


def check_joined(after: Survey, *, joins: bool) -> None:
    """Raise `ProofError` if importers may lose links of a repaired cache although it was to be joined.

    Those of `buildkit.LOSES_LINKS` walk from leaf to leaf, and drop links to what an earlier walk has stored. With one
    leaf there is one walk, which comes to every record before any other walk, in whatever order alternatives are.
    """
    if not joins and after.joining:
        raise ProofError("the repaired cache has a joining record")
    if joins and after.imported.leaves > 1:
        raise ProofError(f"the repaired cache has {after.imported.leaves} leaves")
