"""Layers, their parents, and what marshalling their chains costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from operator import lt, sub

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig, all_within
from cachedoctor.cacheconfig.document import instant


@dataclass(frozen=True, slots=True)
class LayerTree:
    """What the parents of the layers of one document say about each layer."""

    depth: list[int]
    """Number of layers from each layer up to its last ancestor, counting both; 0 if its ancestors form a cycle or lead
    outside the document."""
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
    if _parents_come_first(parents) and min(parents, default=0) >= NO_PARENT:
        # `NO_PARENT` is -1, so the entry after the last layer is its depth.
        depth = [0] * (count + 1)
        for layer, parent in enumerate(parents):
            depth[layer] = depth[parent] + 1
        return LayerTree(depth[:count], [], [])
    return _followed(parents)


def _parents_come_first(parents: Sequence[int]) -> bool:
    """Whether each parent comes before its child, as BuildKit writes them. Then there are no cycles."""
    return all(map(lt, parents, range(len(parents))))


def _followed(parents: Sequence[int]) -> LayerTree:
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


def result_counts(config: CacheConfig) -> Iterator[int]:
    """Number of results of each record."""
    return map(sub, config.result_start[1:], config.result_start)


def result_owners(config: CacheConfig) -> Iterator[int]:
    """The record of each result."""
    return chain.from_iterable(map(repeat, range(len(config.digests)), result_counts(config)))


def results(config: CacheConfig) -> Iterator[tuple[int, int]]:
    """The (record, layer) pairs of all results, as written."""
    return zip(result_owners(config), config.results, strict=True)


def pointed_at(config: CacheConfig) -> Iterator[tuple[int, int]]:
    """The (record, layer) pairs of all results and of all layers of chains, as written."""
    yield from results(config)
    for record, layers, _ in config.chains:
        for layer in layers:
            yield record, layer


def used_layers(config: CacheConfig) -> bytearray:
    """One byte per layer: 1 if a result, a chain, or a layer that they need points to it."""
    count = len(config.parents)
    used = bytearray(count)
    pointed_at = set(config.results).union(*(layers for _, layers, _ in config.chains))
    if len(pointed_at) == count and all_within(pointed_at, count):
        return bytearray(b"\1") * count
    for layer in pointed_at:
        while 0 <= layer < count and not used[layer]:
            used[layer] = 1
            layer = config.parents[layer]
    return used


def followed_layers(config: CacheConfig, blobs: frozenset[str] | None) -> bytearray:
    """One byte per layer: 1 if the importer looks up its parent, on the way from a result.

    `blobs` are those that the manifest lists, `None` for all. The way ends at a layer whose blob is not listed
    (v0.8 to v0.32: `v1.getRemoteChain`). The parents of layers of chains are not looked up (`v1.parseRecord`).
    """
    count = len(config.parents)
    followed = bytearray(count)
    for layer in set(config.results):
        while 0 <= layer < count and not followed[layer] and (blobs is None or config.blobs[layer] in blobs):
            followed[layer] = 1
            layer = config.parents[layer]
    return followed


def incomplete_layers(config: CacheConfig, tree: LayerTree, blobs: frozenset[str]) -> bytearray:
    """One byte per layer: 1 if its own blob, or that of an ancestor, is not in `blobs`.

    BuildKit silently drops a result that points to such a layer (v0.8 to v0.32: `v1.getRemoteChain`).
    """
    incomplete = bytearray(blob not in blobs for blob in config.blobs)
    for layer in parents_first(config, tree):
        parent = config.parents[layer]
        if tree.depth[layer] > 1 and incomplete[parent]:
            incomplete[layer] = 1
    return incomplete


def result_layers(config: CacheConfig, tree: LayerTree) -> list[int]:
    """Number of layers of the newest result of each record, 0 for a record without results.

    BuildKit v0.25 to v0.32 export the newest of several results. A chain of an inline cache has its own layers.
    """
    depths = _depths(config.results, tree)
    lengths = [depths[stop - 1] if start < stop else 0 for start, stop in pairwise(config.result_start)]
    if max(result_counts(config), default=0) > 1:
        for record, (start, stop) in enumerate(pairwise(config.result_start)):
            if stop - start > 1:
                newest = max(range(start, stop), key=lambda index: (instant(config.result_created[index]), index))
                lengths[record] = depths[newest]
    for record, layers, _ in config.chains:
        lengths[record] = max(lengths[record], len(layers))
    return lengths


def _depths(layers: Sequence[int], tree: LayerTree) -> list[int]:
    """The depth of each of these layers, 0 if it is outside the document."""
    count = len(tree.depth)
    if all_within(layers, count):
        return list(map(tree.depth.__getitem__, layers))
    return [tree.depth[layer] if 0 <= layer < count else 0 for layer in layers]


def chain_numbers(configs: Sequence[CacheConfig], trees: Sequence[LayerTree]) -> list[list[int]]:
    """A number for each layer of each document. Layers have the same number if their blobs and all ancestors are equal.

    For layers with `LayerTree.depth` 0, whose ancestors never end, the number means nothing.
    """
    if len(configs) == 1 and len(set(configs[0].blobs)) == len(configs[0].blobs):
        return [list(range(len(configs[0].blobs)))]
    seen: dict[tuple[str, int], int] = {}
    of_documents = []
    for config, tree in zip(configs, trees, strict=True):
        numbers = [NO_PARENT] * len(config.blobs)
        for layer in parents_first(config, tree):
            parent = numbers[config.parents[layer]] if tree.depth[layer] > 1 else NO_PARENT
            numbers[layer] = seen.setdefault((config.blobs[layer], parent), len(seen))
        of_documents.append(numbers)
    return of_documents


def parents_first(config: CacheConfig, tree: LayerTree) -> Sequence[int]:
    """All layers, each after its ancestors. Layers whose ancestors never end come in any order."""
    everything = range(len(config.blobs))
    if _parents_come_first(config.parents):
        return everything
    return sorted(everything, key=tree.depth.__getitem__)


def marshal_steps(layers: int) -> int:
    """Steps to marshal one result with this number of layers L, about L³/4.

    BuildKit v0.21 to v0.32 (both ends were measured) check for each prefix of the chain whether each blob still exists,
    and each check passes through up to L nested providers (`contentutil.(*MultiProvider).Info`, `v1.marshalRemote`).
    """
    return layers**3 // 4
