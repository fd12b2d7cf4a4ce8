"""Layers, their parents, and what marshalling their chains costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, pairwise, repeat

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig


@dataclass(frozen=True, slots=True)
class LayerTree:
    """The layers of one document with what can be known of each from its parents."""

    depth: list[int]
    """Number of layers from each up to its last parent, itself included; 0 where its parents never end or leave."""
    cyclic: list[int]
    """Layers that are their own ancestors."""
    dangling: list[int]
    """Layers whose parent is outside the document."""


def layer_tree(parents: Sequence[int]) -> LayerTree:
    """Follow the parents of all layers. O(layers).

    BuildKit refuses a document with a cycle or an index outside it once a result needs the layer
    (v0.8 to v0.32: `v1.getRemoteChain`).
    """
    count = len(parents)
    unknown, on_path = -1, -2
    depth = [unknown] * count
    cyclic = []
    dangling = [layer for layer, parent in enumerate(parents) if parent != NO_PARENT and not 0 <= parent < count]
    for start in range(count):
        path = []
        layer = start
        while 0 <= layer < count and depth[layer] == unknown:
            depth[layer] = on_path
            path.append(layer)
            layer = parents[layer]
        base = 0
        if 0 <= layer < count:
            base = depth[layer]
            if base == on_path:
                cyclic += path[path.index(layer) :]
                base = 0
        ends = layer == NO_PARENT or base > 0
        for step in reversed(path):
            base += 1
            depth[step] = base if ends else 0
    return LayerTree(depth, sorted(cyclic), dangling)


def results(config: CacheConfig) -> Iterator[tuple[int, int]]:
    """The (record, layer) pairs of all results, as written."""
    counts = map(int.__sub__, config.result_start[1:], config.result_start)
    return zip(chain.from_iterable(map(repeat, range(len(config.digests)), counts)), config.results, strict=True)


def pointed_at(config: CacheConfig) -> Iterator[tuple[int, int]]:
    """The (record, layer) pairs of all results and of all layers of chains, as written."""
    yield from results(config)
    for record, layers, _ in config.chains:
        for layer in layers:
            yield record, layer


def used_layers(config: CacheConfig) -> bytearray:
    """One byte a layer: 1 where a result, a chain or a layer that they need points to it."""
    count = len(config.parents)
    used = bytearray(count)
    for _, layer in pointed_at(config):
        while 0 <= layer < count and not used[layer]:
            used[layer] = 1
            layer = config.parents[layer]
    return used


def incomplete_layers(config: CacheConfig, tree: LayerTree, blobs: frozenset[str]) -> bytearray:
    """One byte a layer: 1 where its own blob or that of a layer above it is not among `blobs`.

    BuildKit drops a result that points to such a layer without a word (v0.8 to v0.32: `v1.getRemoteChain`).
    """
    incomplete = bytearray(blob not in blobs for blob in config.blobs)
    for layer in parents_first(config, tree):
        parent = config.parents[layer]
        if tree.depth[layer] > 1 and incomplete[parent]:
            incomplete[layer] = 1
    return incomplete


def result_layers(config: CacheConfig, tree: LayerTree) -> list[int]:
    """Number of layers of the newest result of each record, 0 for a record without one.

    Of several results BuildKit v0.25 to v0.32 export the newest. A chain of an inline cache counts by its layers.
    """
    count = len(config.parents)
    lengths = [0] * len(config.digests)
    for record, (start, stop) in enumerate(pairwise(config.result_start)):
        if start < stop:
            newest = start
            if start + 1 < stop:
                newest = max(range(start, stop), key=lambda index: (instant(config.result_created[index]), index))
            layer = config.results[newest]
            lengths[record] = tree.depth[layer] if 0 <= layer < count else 0
    for record, layers, _ in config.chains:
        lengths[record] = max(lengths[record], len(layers))
    return lengths


def instant(created: str) -> tuple[str, str]:
    """A time of RFC 3339 so that the order of texts is the order of times: whole seconds in UTC, then the fraction."""
    if created.endswith("Z"):
        whole, _, fraction = created[:-1].partition(".")
        return whole, fraction
    if not created:
        return "", ""
    whole, zone = created[:-6], created[-6:]
    whole, _, fraction = whole.partition(".")
    try:
        utc = datetime.fromisoformat(whole + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return "", ""
    return utc.replace(tzinfo=None).isoformat(), fraction


class ChainNumbers:
    """Numbers of layers, equal where blob and all parents are equal, whatever documents they are in.

    A layer whose parents never end or leave (`LayerTree.depth` 0) has that of its blob alone: not to be asked for.
    """

    def __init__(self, configs: Sequence[CacheConfig], trees: Sequence[LayerTree]) -> None:
        self._seen: dict[tuple[str, int], int] = {}
        self.of_layers = [self.add(config, tree) for config, tree in zip(configs, trees, strict=True)]
        """The number of each layer of each document."""

    def add(self, config: CacheConfig, tree: LayerTree) -> list[int]:
        """The number of each layer of one document more."""
        own = [NO_PARENT] * len(config.blobs)
        seen = self._seen
        for layer in parents_first(config, tree):
            above = own[config.parents[layer]] if tree.depth[layer] > 1 else NO_PARENT
            own[layer] = seen.setdefault((config.blobs[layer], above), len(seen))
        return own


def parents_first(config: CacheConfig, tree: LayerTree) -> Sequence[int]:
    """All layers, each after its parents where these end; others in any order.

    Mostly each comes after its parent as written, and then no cycle is possible.
    """
    everything = range(len(config.blobs))
    if all(map(int.__lt__, config.parents, everything)):
        return everything
    return sorted(everything, key=tree.depth.__getitem__)


def marshal_steps(layers: int) -> int:
    """Steps to marshal one result with so many layers, about L³/4.

    BuildKit v0.21 to v0.32 (the ends were measured) ask for each prefix of its chain whether each blob still exists,
    and each question falls through up to L nested providers (`contentutil.(*MultiProvider).Info`, `v1.marshalRemote`).
    """
    return layers**3 // 4
