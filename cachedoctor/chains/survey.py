"""Everything that is known of the cache keys of one or several documents, computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.chains import layers, loops, paths
from cachedoctor.chains.cost import LoopCheckCost, loop_check_cost
from cachedoctor.chains.derive import derive
from cachedoctor.chains.graph import Graph, build
from cachedoctor.chains.layers import LayerTree
from cachedoctor.chains.loops import Acyclic, Loop
from cachedoctor.chains.merge import Merge, fixpoint
from cachedoctor.chains.merged import MergedGraph, quotient, unmerged
from cachedoctor.chains.paths import Hotspot
from cachedoctor.chains.walk import WalkSteps, walk_steps
from cachedoctor.text import short

MOST_HOTSPOTS = 10

Progress = Callable[[str], None]
"""Told the name of each step as it starts."""


@dataclass(frozen=True, slots=True)
class HotspotInput:
    """How paths come into a hotspot by one of its inputs."""

    alternatives: int
    share: float
    """The fraction of the hotspot's paths that come in here; several large ones mean that paths meet, and multiply."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The graph of several cache configs, as written and merged, with what it costs to export."""

    configs: Sequence[CacheConfig]
    graph: Graph
    order: list[int]
    """The records that can be reached, sources first (`derive.derive`)."""
    record_cycles: list[Loop]
    """Cycles of the documents themselves, before anything is merged; items are records."""
    merge: Merge
    merged: MergedGraph
    """The fixpoint, loops still in it."""
    acyclic: Acyclic
    """`merged` with its loops cut."""
    loops: list[Loop]
    """Loops of `merged`."""
    max_depth: int
    """Links on the longest path of `merged`, loops cut."""
    results: int
    """Distinct results of the items of `merged`: another item, blob or parent makes another result."""
    loop_check: LoopCheckCost
    hotspots: list[Hotspot]
    """Items of `loop_check.typical`, most calls first."""
    hotspot_inputs: list[list[HotspotInput]]
    """The inputs of each hotspot."""
    walk: WalkSteps
    trees: list[LayerTree]
    marshal_steps: int
    longest_chain: int
    """Layers of the result with the most of them."""

    @property
    def dead_records(self) -> int:
        """Number of records that no lookup can reach."""
        return self.graph.size - len(self.order)

    def place(self, record: int) -> tuple[int, int]:
        """The document of a record of the graph, and its index there."""
        document = 0
        while record >= len(self.configs[document].digests):
            record -= len(self.configs[document].digests)
            document += 1
        return document, record

    def name(self, record: int) -> str:
        """A record as people find it again: its index in its document, and the start of its digest."""
        document, index = self.place(record)
        source = f" of source {document + 1}" if len(self.configs) > 1 else ""
        return f"record {index}{source} ({short(self.graph.digests[record])})"


def survey(configs: Sequence[CacheConfig], progress: Progress = lambda step: None, *, hotspots: bool = True) -> Survey:
    """Build the graph of several cache configs, merge it and count what it costs.

    Without `hotspots` none are looked for. Raises `paths.CountTooLarge` where the counts would not fit into the memory
    that they may take.
    """
    progress("reading the graph")
    graph = build(configs)
    derivation = derive(graph)
    order = derivation.order
    progress("merging records")
    merge = fixpoint(graph, order)
    merged = quotient(graph, order, merge.item)
    acyclic = loops.cut(merged)
    progress("counting loop-check calls")
    loop_check = loop_check_cost(graph, order, merge, merged)
    spots = paths.hotspots(loop_check.typical, MOST_HOTSPOTS) if hotspots else []
    progress("counting descendants")
    walk = walk_steps(acyclic)
    progress("measuring layer chains")
    trees = [layers.layer_tree(config.parents) for config in configs]
    lengths = _result_lengths(configs, trees, merge.item, order)
    return Survey(
        configs=configs,
        graph=graph,
        order=order,
        record_cycles=[] if derivation.acyclic else loops.find(unmerged(graph)),
        merge=merge,
        merged=merged,
        acyclic=acyclic,
        loops=loops.find(merged),
        max_depth=paths.max_depth(acyclic),
        results=_distinct_results(configs, trees, merge.item, order),
        loop_check=loop_check,
        hotspots=spots,
        hotspot_inputs=_hotspot_inputs(graph, order, loop_check, spots) if spots else [],
        walk=walk,
        trees=trees,
        marshal_steps=sum(map(layers.marshal_steps, lengths)),
        longest_chain=max(lengths, default=0),
    )


def _hotspot_inputs(
    graph: Graph, order: Sequence[int], loop_check: LoopCheckCost, hotspots: Sequence[Hotspot]
) -> list[list[HotspotInput]]:
    """Join the inputs of all records of each hotspot, and share its paths out among them."""
    item = loop_check.item
    alive = set(order) if hotspots else set()
    links: dict[int, list[set[tuple[int, str]]]] = {loop_check.records[spot.item]: [] for spot in hotspots}
    for record in order:
        joined = links.get(item[record])
        if joined is not None:
            for number, alternatives in enumerate(graph.inputs(record)):
                if number == len(joined):
                    joined.append(set())
                joined[number].update((item[source], selector) for source, selector in alternatives if source in alive)
    found = []
    for spot in hotspots:
        shares = {loop_check.records[source]: share for source, share in spot.source_shares.items()}
        found.append(
            [
                HotspotInput(len(one), math.fsum(shares.get(source, 0.0) for source, _ in one))
                for one in links[loop_check.records[spot.item]]
            ]
        )
    return found


def _result_lengths(
    configs: Sequence[CacheConfig], trees: Sequence[LayerTree], item: Sequence[int], order: Sequence[int]
) -> list[int]:
    """For each item with a result, the number of layers of the longest that its records would export."""
    of_record = [
        length for config, tree in zip(configs, trees, strict=True) for length in layers.result_layers(config, tree)
    ]
    longest: dict[int, int] = {}
    for record in order:
        if of_record[record] > longest.get(item[record], 0):
            longest[item[record]] = of_record[record]
    return list(longest.values())


def _distinct_results(
    configs: Sequence[CacheConfig], trees: Sequence[LayerTree], item: Sequence[int], order: Sequence[int]
) -> int:
    alive = bytearray(len(item))
    for record in order:
        alive[record] = 1
    found: set[tuple[int, object]] = set()
    base = 0
    for config, numbers in zip(configs, layers.chain_numbers(configs, trees), strict=True):
        count = len(numbers)
        results = ((record, numbers[layer]) for record, layer in layers.results(config) if 0 <= layer < count)
        chains = (
            (record, tuple(config.blobs[layer] for layer in chain if 0 <= layer < count))
            for record, chain, _ in config.chains
        )
        found.update((item[base + record], key) for record, key in (*results, *chains) if alive[base + record])
        base += len(config.digests)
    return len(found)
