"""Everything that is known of the cache keys of one or several documents, computed once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph import layers, loops, paths
from cachedoctor.graph.cost import LoopCheckCost, loop_check_cost
from cachedoctor.graph.layers import ChainNumbers, LayerTree
from cachedoctor.graph.loops import Acyclic, Loop
from cachedoctor.graph.merge import Merge, fixpoint
from cachedoctor.graph.paths import Hotspot
from cachedoctor.graph.quotient import MergedGraph, quotient, unmerged
from cachedoctor.graph.reachable import Derivation, derive
from cachedoctor.graph.records import Graph, build
from cachedoctor.graph.walk import WalkSteps, walk_steps
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


class Survey:
    """The graph of several cache configs, as written and merged, with what it costs to export.

    Each part is found once, when it is asked for. Counts raise `paths.CountTooLarge` where they would not fit into the
    memory that they may take.
    """

    def __init__(self, configs: Sequence[CacheConfig]) -> None:
        self.configs = configs

    @cached_property
    def graph(self) -> Graph:
        """The records of all configs, as written."""
        return build(self.configs)

    @cached_property
    def _derivation(self) -> Derivation:
        return derive(self.graph)

    @property
    def order(self) -> list[int]:
        """The records that can be reached, sources first (`derive.derive`)."""
        return self._derivation.order

    @cached_property
    def record_cycles(self) -> list[Loop]:
        """Cycles of the documents themselves, before anything is merged; items are records."""
        return [] if self._derivation.acyclic else loops.find(unmerged(self.graph))

    @cached_property
    def merge(self) -> Merge:
        """Which records are one."""
        return fixpoint(self.graph, self.order)

    @cached_property
    def merged(self) -> MergedGraph:
        """The fixpoint, loops still in it."""
        return quotient(self.graph, self.order, self.merge.item)

    @cached_property
    def acyclic(self) -> Acyclic:
        """`merged` with its loops cut."""
        return loops.cut(self.merged)

    @cached_property
    def loops(self) -> list[Loop]:
        """Loops of `merged`."""
        return loops.find(self.merged)

    @cached_property
    def max_depth(self) -> int:
        """Links on the longest path of `merged`, loops cut."""
        return paths.max_depth(self.acyclic)

    @cached_property
    def loop_check(self) -> LoopCheckCost:
        """What the loop check of v0.9 to v0.24 costs."""
        return loop_check_cost(self.graph, self.order, self.merge, self.merged)

    @cached_property
    def hotspots(self) -> list[Hotspot]:
        """Items of `loop_check.typical`, most calls first."""
        return paths.hotspots(self.loop_check.typical, MOST_HOTSPOTS, self.loop_check.log_paths)

    @cached_property
    def hotspot_inputs(self) -> list[list[HotspotInput]]:
        """The inputs of each hotspot."""
        return _hotspot_inputs(self.graph, self.order, self.loop_check, self.hotspots)

    @cached_property
    def fixpoint_calls(self) -> int:
        """Loop-check calls of `merged`, loops cut."""
        return paths.calls(self.acyclic)

    @cached_property
    def walk(self) -> WalkSteps:
        """What re-adding costs in v0.25 and later."""
        return walk_steps(self.acyclic)

    @cached_property
    def trees(self) -> list[LayerTree]:
        """The layers of each config."""
        return [layers.layer_tree(config.parents) for config in self.configs]

    @cached_property
    def chain_numbers(self) -> ChainNumbers:
        """Which layers are one, blob and parents alike."""
        return ChainNumbers(self.configs, self.trees)

    @cached_property
    def results(self) -> int:
        """Distinct results of the items of `merged`: another item, blob or parent makes another result."""
        return _distinct_results(self.configs, self.chain_numbers.of_layers, self.merge.item, self.order)

    @cached_property
    def _result_lengths(self) -> list[int]:
        return _result_lengths(self.configs, self.trees, self.merge.item, self.order)

    @cached_property
    def marshal_steps(self) -> int:
        """Questions for blobs while results are marshalled, by a formula."""
        return sum(map(layers.marshal_steps, self._result_lengths))

    @property
    def longest_chain(self) -> int:
        """Layers of the result with the most of them."""
        return max(self._result_lengths, default=0)

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


def survey(configs: Sequence[CacheConfig], progress: Progress = lambda step: None) -> Survey:
    """Build the graph of several cache configs, merge it and count what it costs, all that reports tell at once.

    Raises `paths.CountTooLarge`.
    """
    found = Survey(configs)
    steps: Sequence[tuple[str, Callable[[], object]]] = (
        ("reading the graph", lambda: (found.order, found.record_cycles)),
        ("merging records", lambda: (found.merged, found.acyclic, found.loops, found.max_depth)),
        ("counting loop-check calls", lambda: (found.loop_check, found.hotspots, found.hotspot_inputs)),
        ("counting descendants", lambda: found.walk),
        ("measuring layer chains", lambda: (found.results, found.marshal_steps)),
    )
    for step, find in steps:
        progress(step)
        find()
    return found


def _hotspot_inputs(
    graph: Graph, order: Sequence[int], loop_check: LoopCheckCost, hotspots: Sequence[Hotspot]
) -> list[list[HotspotInput]]:
    """Join the inputs of all records of each hotspot, and share its paths out among them."""
    item = loop_check.item
    alive = set(order)
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
    configs: Sequence[CacheConfig], numbers_of: Sequence[Sequence[int]], item: Sequence[int], order: Sequence[int]
) -> int:
    item_of = [-1] * len(item)
    for record in order:
        item_of[record] = item[record]
    found: set[tuple[int, object]] = set()
    base = 0
    for config, numbers in zip(configs, numbers_of, strict=True):
        number_of = dict(enumerate(numbers)).get
        items = item_of[base : base + len(config.digests)]
        found.update((items[record], number_of(layer)) for record, layer in layers.results(config))
        blobs = dict(enumerate(config.blobs))
        found.update(
            (items[record], tuple(blobs[layer] for layer in chain if layer in blobs))
            for record, chain, _ in config.chains
        )
        base += len(config.digests)
    return sum(owner >= 0 and result is not None for owner, result in found)
