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
    if _parents_come_first(parents) and min(parents, default=0) >= NO_PARENT:
        # The number behind the last is that of `NO_PARENT`.
        depth = [0] * (count + 1)
        for layer, parent in enumerate(parents):
            depth[layer] = depth[parent] + 1
        return LayerTree(depth[:count], [], [])
    return _followed(parents)


def _parents_come_first(parents: Sequence[int]) -> bool:
    """Whether each parent comes before its child, as BuildKit writes them; then there cannot be a cycle."""
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
    """One byte per layer: 1 if a result, a chain or a layer that they need points to it."""
    count = len(config.parents)
    used = bytearray(count)
    pointed_at = set(config.results).union(*(layers for _, layers, _ in config.chains))
    if pointed_at == set(range(count)):
        return bytearray(b"\1") * count
    for layer in pointed_at:
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
    """The depth of each of some layers, 0 outside the document."""
    count = len(tree.depth)
    if all_within(layers, count):
        return list(map(tree.depth.__getitem__, layers))
    return [tree.depth[layer] if 0 <= layer < count else 0 for layer in layers]


def chain_numbers(configs: Sequence[CacheConfig], trees: Sequence[LayerTree]) -> list[list[int]]:
    """A number for each layer of each document, the same where blob and all parents are the same.

    A layer whose parents never end or leave (`LayerTree.depth` 0) has that of its blob alone: not to be asked for.
    """
    if len(configs) == 1 and len(set(configs[0].blobs)) == len(configs[0].blobs):
        return [list(range(len(configs[0].blobs)))]
    seen: dict[tuple[str, int], int] = {}
    numbers = []
    for config, tree in zip(configs, trees, strict=True):
        own = [NO_PARENT] * len(config.blobs)
        for layer in parents_first(config, tree):
            above = own[config.parents[layer]] if tree.depth[layer] > 1 else NO_PARENT
            own[layer] = seen.setdefault((config.blobs[layer], above), len(seen))
        numbers.append(own)
    return numbers


def parents_first(config: CacheConfig, tree: LayerTree) -> Sequence[int]:
    """All layers, each after its parents if these end; others in any order."""
    everything = range(len(config.blobs))
    if _parents_come_first(config.parents):
        return everything
    return sorted(everything, key=tree.depth.__getitem__)


def marshal_steps(layers: int) -> int:
    """Steps to marshal one result with so many layers, about L³/4.

    BuildKit v0.21 to v0.32 (the ends were measured) ask for each prefix of its chain whether each blob still exists,
    and each question falls through up to L nested providers (`contentutil.(*MultiProvider).Info`, `v1.marshalRemote`).
    """
    return layers**3 // 4
