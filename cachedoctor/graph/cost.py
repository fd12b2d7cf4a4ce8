"""What the next export of a cache costs, for each regime of exporters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.graph import loops, paths
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.merge import Merge
from cachedoctor.graph.paths import Hotspot
from cachedoctor.graph.quotient import MergedGraph, quotient
from cachedoctor.graph.records import Graph

MOST_ORDERS = 200
"""Orders that are replayed at most."""
ORDER_BUDGET = 160_000
"""Records and links that all replays together may visit, except for the first, so that they never dominate."""
MOST_HOTSPOTS = 10


@dataclass(frozen=True, slots=True)
class Order:
    """What one order of the exporter gives."""

    items: int
    links: int
    calls: int
    links_removed: int


@dataclass(frozen=True, slots=True)
class LoopCheckCost:
    """What the exporter of BuildKit v0.9 to v0.24 makes of a cache, and what its loop check costs."""

    orders: list[Order]
    """One entry per order that was replayed, fewest calls first; only one if the order makes no difference."""
    proved: bool
    """Whether it is proved that every order gives the same result."""
    refused: bool
    """Whether BuildKit refuses a document for its cycles or links, so that this is the cost of what is left of it."""
    merged: MergedGraph
    """The graph of the median order."""
    typical: Acyclic
    """The same with its loops cut."""
    hotspots: list[Hotspot]
    """Items of `typical`, most calls first."""

    @property
    def exact(self) -> bool:
        """Whether BuildKit itself cannot give another result."""
        return self.proved and not self.refused

    @property
    def middle(self) -> Order:
        """The median order, by calls."""
        return self.orders[(len(self.orders) - 1) // 2]

    @property
    def records(self) -> list[int]:
        """The smallest record of each item of `typical`."""
        return self.merged.records


def loop_check_cost(
    graph: Graph,
    order: Sequence[int],
    merge: Merge,
    merged: MergedGraph,
    *,
    document: Graph | None = None,
    refused: bool = False,
) -> LoopCheckCost:
    """Count the loop-check calls of the next export.

    `graph` is what these releases import (`records.as_linked`), `document` is it as written, if that differs, and
    `merged` is `graph` at the fixpoint. If it is proved that the order makes no difference, paths are counted once.
    Otherwise, the exporter's merge is replayed in seeded orders, as many as the budget allows. With loops, the count
    depends on the order of the walk too: one depth-first pass cuts them before paths are counted.
    """
    if merge.every_order is not None:
        same = merged if merge.every_order == merge.representative else quotient(graph, order, merge.every_order)
        only = _only(same, refused)
        if only:
            return only
    from cachedoctor.graph.certainty import every_order_merges_alike
    from cachedoctor.graph.replay import Exporter

    exporter = Exporter(graph, order, document)
    run = exporter.run(0)
    first = run.representatives()
    if merge.complete and not refused and every_order_merges_alike(exporter, merge.representative, run):
        only = _only(quotient(graph, order, first), refused)
        if only:
            return only

    def replayed(seed: int) -> tuple[MergedGraph, Acyclic]:
        merged = quotient(graph, order, exporter.run(seed).representatives() if seed else first)
        return merged, loops.cut(merged, seed)

    count = max(1, min(MOST_ORDERS, ORDER_BUDGET // (graph.size + len(graph.links) + 1)))
    orders = [_counted(*replayed(seed)) for seed in range(count)]
    seeds = sorted(range(count), key=lambda seed: (orders[seed].calls, seed))
    typical, acyclic = replayed(seeds[(count - 1) // 2])
    _, hotspots = paths.calls_and_hotspots(acyclic, MOST_HOTSPOTS)
    return LoopCheckCost([orders[seed] for seed in seeds], False, refused, typical, acyclic, hotspots)


def _counted(merged: MergedGraph, acyclic: Acyclic) -> Order:
    return Order(merged.size, merged.links, paths.calls(acyclic), acyclic.removed)


def _only(merged: MergedGraph, refused: bool) -> LoopCheckCost | None:
    """The cost if every order merges to this graph; `None` if it has loops."""
    acyclic = loops.cut(merged)
    if acyclic.removed:
        return None
    calls, hotspots = paths.calls_and_hotspots(acyclic, MOST_HOTSPOTS)
    only = Order(merged.size, merged.links, calls, links_removed=0)
    return LoopCheckCost([only], True, refused, merged, acyclic, hotspots)


def seconds(count: int, each: float) -> float | None:
    """The time for `count` steps that take `each` seconds; `None` if it exceeds the range of a float."""
    try:
        total = count * each
    except OverflowError:
        return None
    return total if math.isfinite(total) else None


EXACT_ITEMS = 16_384
"""Up to this many items, descendants are counted exactly."""
SAMPLE = 1_024
"""Above that, how many items are searched for among the descendants of each item."""


@dataclass(frozen=True, slots=True)
class WalkSteps:
    """Descendants, summed over all items."""

    steps: int
    exact: bool
    """False if `steps` is estimated from a random sample of `SAMPLE` items."""


def walk_steps(graph: Acyclic) -> WalkSteps:
    """Count the descendants of every item, each once and without the item itself, and add them up.

    This is what one re-import walks: in `v1.(*CacheChains).Add` of BuildKit v0.25 to v0.32, each record that matches a
    known record walks everything below it (`walkChildren`). Up to `EXACT_ITEMS`, each item has one bit. Above that, the
    bits stand for a seeded uniform sample, and the sum is scaled up. The estimate is unbiased; its relative standard
    error is s / (m sqrt(SAMPLE)), where m and s are mean and standard deviation of the number of ancestors of an item.
    """
    count = graph.size
    exact = count <= EXACT_ITEMS
    sample: Sequence[int] = range(count) if exact else _sampled(count)
    bit = [0] * count
    for position, item in enumerate(sample):
        bit[item] = 1 << position
    below = [0] * count
    descendants = 0
    for item, sources in graph.backwards:
        seen, below[item] = below[item], 0
        descendants += seen.bit_count()
        seen |= bit[item]
        for source in sources:
            below[source] |= seen
    return WalkSteps(descendants if exact else descendants * count // SAMPLE, exact)


def _sampled(count: int) -> list[int]:
    """`SAMPLE` different items, the same ones each time."""
    from random import Random

    return Random(count).sample(range(count), SAMPLE)
