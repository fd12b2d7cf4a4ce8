"""What the next export of a cache costs, for each regime of exporters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachedoctor.buildkit import SECONDS_PER_CALL as SECONDS_PER_CALL
from cachedoctor.buildkit import SECONDS_PER_MARSHAL_STEP as SECONDS_PER_MARSHAL_STEP
from cachedoctor.buildkit import SECONDS_PER_WALK_STEP as SECONDS_PER_WALK_STEP
from cachedoctor.graph import loops, paths
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.merge import Merge
from cachedoctor.graph.paths import Hotspot
from cachedoctor.graph.quotient import MergedGraph, quotient
from cachedoctor.graph.records import Graph

if TYPE_CHECKING:
    from cachedoctor.graph.replay import Exporter

MOST_ORDERS = 200
"""Orders that are replayed at most."""
FEWEST_ORDERS = 16
"""Orders that must agree for a count to be called exact without a proof."""
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
    merged: MergedGraph
    """The graph of the median order."""
    typical: Acyclic
    """The same with its loops cut."""
    hotspots: list[Hotspot]
    """Items of `typical`, most calls first."""

    @property
    def exact(self) -> bool:
        """Whether every order gives the same result, and no loop was cut."""
        same = self.proved or (len(self.orders) >= FEWEST_ORDERS and len(set(self.orders)) == 1)
        return same and not self.orders[-1].links_removed

    @property
    def middle(self) -> Order:
        """The median order, by calls."""
        return self.orders[(len(self.orders) - 1) // 2]

    @property
    def records(self) -> list[int]:
        """The smallest record of each item of `typical`."""
        return self.merged.records


def loop_check_cost(graph: Graph, order: Sequence[int], merge: Merge, merged: MergedGraph) -> LoopCheckCost:
    """Count the loop-check calls of the next export.

    `merged` is the graph at the fixpoint. If it is proved that the order makes no difference, paths are counted once.
    Otherwise, the exporter's merge is replayed in seeded orders, as many as the budget allows. With loops, the count
    depends on the order of the walk too: one depth-first pass cuts them before paths are counted.
    """
    if merge.every_order is not None:
        same = merged if merge.every_order == merge.representative else quotient(graph, order, merge.every_order)
        acyclic = loops.cut(same)
        if not acyclic.removed:
            calls, hotspots = paths.calls_and_hotspots(acyclic, MOST_HOTSPOTS)
            only = Order(same.size, same.links, calls, links_removed=0)
            return LoopCheckCost([only], True, same, acyclic, hotspots)
    from cachedoctor.graph.replay import Exporter

    exporter = Exporter(graph, order)
    count = max(1, min(MOST_ORDERS, ORDER_BUDGET // (graph.size + len(graph.links) + 1)))
    replays = [_replay(exporter, graph, order, seed) for seed in range(count)]
    seeds = sorted(range(count), key=lambda seed: (replays[seed].calls, seed))
    middle = seeds[(count - 1) // 2]
    typical = quotient(graph, order, exporter.replay(middle))
    acyclic = loops.cut(typical, middle)
    _, hotspots = paths.calls_and_hotspots(acyclic, MOST_HOTSPOTS)
    return LoopCheckCost([replays[seed] for seed in seeds], False, typical, acyclic, hotspots)


def _replay(exporter: Exporter, graph: Graph, order: Sequence[int], seed: int) -> Order:
    merged = quotient(graph, order, exporter.replay(seed))
    acyclic = loops.cut(merged, seed)
    return Order(merged.size, merged.links, paths.calls(acyclic), acyclic.removed)


def seconds(count: int, each: float) -> float | None:
    """The time for `count` steps that take `each` seconds; `None` if it exceeds the range of a float."""
    try:
        total = count * each
    except OverflowError:
        return None
    return total if math.isfinite(total) else None
