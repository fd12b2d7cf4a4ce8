"""The proof that a repaired cache lost nothing, taken on what was written and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cachedoctor.chains import layers
from cachedoctor.chains.survey import Survey

_REFUSED = frozenset({"CD102", "CD103", "CD104", "CD105"})


@dataclass(frozen=True, slots=True)
class Lost:
    """What the documents had and the repaired one has not."""

    records: int
    """Items that could be derived, by digest."""
    results: int
    """Results of such items that an importer could use, by digest and the blobs of all their layers."""


class ProofError(Exception):
    """The repaired cache is not what it should be: a fault of cachedoctor, and nothing may be written."""


def lost(before: Survey, blobs: Sequence[frozenset[str] | None], after: Survey) -> Lost:
    """Compare what can be derived, and its results. `blobs` are what the manifest of each document before lists."""
    configs = [*before.configs, *after.configs]
    trees = [*before.trees, *after.trees]
    numbers = layers.chain_numbers(configs, trees)
    count = len(before.configs)
    had = Counter(_results(before, numbers[:count], blobs))
    has = Counter(_results(after, numbers[count:], [None] * len(after.configs)))
    return Lost(records=(Counter(_digests(before)) - Counter(_digests(after))).total(), results=(had - has).total())


def _digests(survey: Survey) -> Iterator[str]:
    return (survey.graph.digests[record] for record in survey.merged.records)


def _results(
    survey: Survey, numbers: Sequence[Sequence[int]], blobs: Sequence[frozenset[str] | None]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each distinct result and chain of each item, as the item's digest and its layers."""
    alive = bytearray(survey.graph.size)
    for record in survey.order:
        alive[record] = 1
    found: set[tuple[int, tuple[int, ...]]] = set()
    base = 0
    for config, tree, own, listed in zip(survey.configs, survey.trees, numbers, blobs, strict=True):
        lacking = bytes(len(own)) if listed is None else layers.incomplete_layers(config, tree, listed)
        usable = [depth > 0 and not lacks for depth, lacks in zip(tree.depth, lacking, strict=True)]
        pointed = [(record, [layer]) for record, layer in layers.results(config)]
        for kind, entries in enumerate((pointed, [(record, listed) for record, listed, _ in config.chains])):
            for record, listed_layers in entries:
                inside = all(0 <= layer < len(own) and usable[layer] for layer in listed_layers)
                if alive[base + record] and inside and listed_layers:
                    key = (kind, *(own[layer] for layer in listed_layers))
                    found.add((survey.merge.item[base + record], key))
        base += len(config.digests)
    return ((survey.graph.digests[item], key) for item, key in found)


def check(after: Survey, errors: Sequence[str]) -> None:
    """Raise `ProofError` where a repaired cache has a loop, a dead record, or is refused by a rule in `errors`."""
    refused = sorted(_REFUSED.intersection(errors))
    if refused:
        raise ProofError(f"the repaired cache fails {', '.join(refused)}")
    if after.loops or after.record_cycles:
        raise ProofError("the repaired cache has a loop")
    if after.dead_records or after.merged.size != after.graph.size:
        raise ProofError("the repaired cache has dead or duplicate records")
