"""Everything that is known of the cache keys of one or several documents, computed once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph import layers, loops, paths
from cachedoctor.graph.cost import LoopCheckCost, WalkSteps, loop_check_cost, walk_steps
from cachedoctor.graph.imports import Imported, imported, losable
from cachedoctor.graph.joining import without_joining
from cachedoctor.graph.layers import LayerTree
from cachedoctor.graph.loops import Acyclic, Loop
from cachedoctor.graph.merge import Merge, fixpoint
from cachedoctor.graph.paths import Hotspot
from cachedoctor.graph.quotient import MergedGraph, quotient, unmerged
from cachedoctor.graph.records import Graph, Reachable, as_linked, build, reachable
from cachedoctor.text import short

Progress = Callable[[str], None]
"""Called with the name of each step as it starts."""


@dataclass(frozen=True, slots=True)
class HotspotInput:
    """How paths arrive at a hotspot through one of its inputs."""

    alternatives: int
    share: float
    """The fraction of the hotspot's paths that arrive here. Several large shares mean that paths meet and multiply."""


class Survey:
    """The graph of several cache configs, as written and merged, and what it costs to export.

    Each part is computed on first use, and kept. Counts raise `errors.CountTooLarge` if they would take more memory
    than they may.
    """

    def __init__(self, configs: Sequence[CacheConfig]) -> None:
        self.written = configs
        """The configs as they were read."""
        self.configs = [without_joining(config) for config in configs]
        """The same without joining records, which nothing counts. All other records keep their indices."""

    def rejoined(self, written: Sequence[CacheConfig]) -> Survey | None:
        """The survey of configs that differ from these only in their joining records, `None` if they differ in more."""
        configs = [without_joining(config) for config in written]
        if configs != self.configs:
            return None
        other = copy(self)
        other.written, other.configs = written, configs
        for changed in ("joining", "imported", "losable"):
            vars(other).pop(changed, None)
        return other

    @cached_property
    def joining(self) -> list[list[int]]:
        """The records that each joining record links to (see `joining`), but for other joining records."""
        sizes = [len(config.digests) for config in self.configs]
        return [
            [start + link for link in written.links[slice(*written.link_start[slot : slot + 2])] if link < size]
            for start, size, written in zip(accumulate(sizes, initial=0), sizes, self.written, strict=False)
            for slot in written.input_start[size:-1]
        ]

    @cached_property
    def graph(self) -> Graph:
        """The records of all configs, as written, without joining records."""
        return build(self.configs)

    @cached_property
    def _reachable(self) -> Reachable:
        return reachable(self.graph)

    @property
    def order(self) -> list[int]:
        """The records that can be reached, sources first (see `records.Reachable.order`)."""
        return self._reachable.order

    @cached_property
    def earliest(self) -> list[int]:
        """The same records in another order: each as soon as its sources allow."""
        return self.graph.adjacency.earliest[0] if self._reachable.acyclic else self.order

    @cached_property
    def record_cycles(self) -> list[Loop]:
        """Cycles in the documents themselves, before anything is merged. The items are records."""
        return [] if self._reachable.acyclic else loops.find(unmerged(self.graph))

    @property
    def has_all_links(self) -> bool:
        """Whether no link of any document leads outside it."""
        return len(self.graph.links) == sum(len(config.links) for config in self.configs)

    @property
    def refused(self) -> bool:
        """Whether every release refuses one of the documents, for its cycles or for links to outside it."""
        return not self.has_all_links or bool(self.record_cycles)

    @cached_property
    def merge(self) -> Merge:
        """Which records are equal."""
        return fixpoint(self.graph, self.order)

    @cached_property
    def merged(self) -> MergedGraph:
        """The fixpoint, loops still in it."""
        return quotient(self.graph, self.order, self.merge.representative)

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
        """What the loop check of BuildKit v0.9 to v0.24 costs."""
        graph = as_linked(self.graph)
        if graph is self.graph:
            return loop_check_cost(graph, self.order, self.merge, self.merged, refused=self.refused)
        order = reachable(graph).order
        merge = fixpoint(graph, order)
        merged = quotient(graph, order, merge.representative)
        return loop_check_cost(graph, order, merge, merged, document=self.graph, refused=self.refused)

    @property
    def hotspots(self) -> list[Hotspot]:
        """The items of `loop_check.typical` that most calls go through, most calls first."""
        return self.loop_check.hotspots

    @cached_property
    def hotspot_inputs(self) -> list[list[HotspotInput]]:
        """The inputs of each hotspot, and how its paths are divided among them."""
        graph = self.loop_check.merged.graph
        return [
            [
                HotspotInput(len(links), math.fsum(hotspot.source_shares.get(source, 0.0) for source, _ in links))
                for links in graph.inputs(hotspot.item)
            ]
            for hotspot in self.hotspots
        ]

    @cached_property
    def fixpoint_calls(self) -> int:
        """Loop-check calls of `merged`, loops cut."""
        return paths.calls(self.acyclic)

    @cached_property
    def walk(self) -> WalkSteps:
        """What re-adding all records costs in BuildKit v0.25 and later."""
        return walk_steps(self.acyclic)

    @cached_property
    def imported(self) -> Imported:
        """What importers of BuildKit v0.25 to v0.32 lose."""
        return imported(self.importable, self._joined)

    @cached_property
    def losable(self) -> frozenset[int]:
        """The indices of links of `importable` that these importers can lose."""
        return losable(self.importable, self._joined)

    @property
    def _joined(self) -> list[list[int]]:
        items = self.merged.item_of
        return [[items[record] for record in records if items[record] >= 0] for records in self.joining]

    @cached_property
    def importable(self) -> Graph:
        """The items with the links that BuildKit v0.25 and later add."""
        if not self.loops:
            return self.merged.graph
        left_out = loops.closed_when_added(self.graph, self.merged, self.loops)
        if left_out is None:
            links, owners = self.merged.graph.links, self.merged.graph.owners()
            kept = [set(sources) for sources in self.acyclic.sources]
            left_out = [
                index
                for index, (source, item) in enumerate(zip(links, owners, strict=True))
                if source not in kept[item]
            ]
        return self.merged.graph.without(left_out)

    @cached_property
    def trees(self) -> list[LayerTree]:
        """The layers of each config."""
        return [layers.layer_tree(config.parents) for config in self.configs]

    @cached_property
    def chain_numbers(self) -> list[list[int]]:
        """A number for each layer of each config, the same for equal layers (see `layers.chain_numbers`)."""
        return layers.chain_numbers(self.configs, self.trees)

    @cached_property
    def results(self) -> int:
        """Distinct results of the items of `merged`. Results differ if their items, blobs or parents differ."""
        return _distinct_results(self.configs, self.chain_numbers, self.merged)

    @cached_property
    def _result_lengths(self) -> list[int]:
        return _result_lengths(self.configs, self.trees, self.merged)

    @cached_property
    def marshal_steps(self) -> int:
        """Checks for blobs while all results are marshalled, estimated by a formula."""
        return sum(number * layers.marshal_steps(length) for length, number in Counter(self._result_lengths).items())

    @property
    def longest_chain(self) -> int:
        """Layers of the result that has most of them."""
        return max(self._result_lengths, default=0)

    @property
    def dead_records(self) -> int:
        """Number of records that no lookup can reach."""
        return self.graph.size - len(self.order)

    def place(self, record: int) -> tuple[int, int]:
        """The document that a record of the graph is in, and its index there."""
        document = 0
        while record >= len(self.configs[document].digests):
            record -= len(self.configs[document].digests)
            document += 1
        return document, record

    def name(self, record: int) -> str:
        """A name by which people can find a record: its index in its document, and the start of its digest."""
        return f"{self.number(record)} ({short(self.graph.digests[record])})"

    def number(self, record: int) -> str:
        """The same without the digest."""
        document, index = self.place(record)
        source = f" of source {document + 1}" if len(self.configs) > 1 else ""
        return f"record {index}{source}"


def survey(configs: Sequence[CacheConfig], progress: Progress = lambda step: None) -> Survey:
    """Build the graph of several cache configs, merge it, and compute everything that reports show.

    Raises `errors.CountTooLarge` if counts would take too much memory.
    """
    survey = Survey(configs)
    steps: Sequence[tuple[str, Callable[[], object]]] = (
        ("reading the graph", lambda: (survey.order, survey.record_cycles)),
        ("merging records", lambda: (survey.merged, survey.acyclic, survey.loops, survey.max_depth)),
        ("counting loop-check calls", lambda: (survey.loop_check, survey.hotspot_inputs)),
        ("counting descendants", lambda: survey.walk),
        ("replaying imports", lambda: survey.imported),
        ("measuring layer chains", lambda: (survey.results, survey.marshal_steps)),
    )
    for step, compute in steps:
        progress(step)
        compute()
    return survey


def _result_lengths(configs: Sequence[CacheConfig], trees: Sequence[LayerTree], merged: MergedGraph) -> list[int]:
    """For each item, the number of layers of the longest result that its records would export, 0 without results."""
    lengths = chain.from_iterable(map(layers.result_layers, configs, trees))
    if merged.size == len(merged.item_of):
        return list(lengths)
    longest = [0] * merged.size
    for item, length in zip(merged.item_of, lengths, strict=True):
        if item >= 0 and length > longest[item]:
            longest[item] = length
    return longest


def _distinct_results(configs: Sequence[CacheConfig], numbers: Sequence[Sequence[int]], merged: MergedGraph) -> int:
    """The number of distinct results: pairs of an item and a layer, or of an item and the blobs of a chain."""
    surely_distinct = 0
    pairs: set[tuple[int, int]] = set()
    chains: set[tuple[int, tuple[str, ...]]] = set()
    base = 0
    for config, of_layers in zip(configs, numbers, strict=True):
        items = merged.item_of[base : base + len(config.digests)]
        base += len(config.digests)
        count = len(of_layers)
        if merged.size == len(merged.item_of) and max(layers.result_counts(config), default=0) <= 1:
            surely_distinct += sum(0 <= layer < count for layer in config.results)
        else:
            owners = map(items.__getitem__, layers.result_owners(config))
            owned = zip(owners, config.results, strict=True)
            pairs.update((item, of_layers[layer]) for item, layer in owned if 0 <= layer < count)
        chains.update(
            (items[record], tuple(config.blobs[layer] for layer in listed if 0 <= layer < count))
            for record, listed, _ in config.chains
        )
    return surely_distinct + sum(item >= 0 for item, _ in (*pairs, *chains))
