"""What re-adding a whole cache walks in BuildKit v0.25 and later."""

from __future__ import annotations

import random
from dataclasses import dataclass

from cachedoctor.graph.loops import Acyclic

EXACT_ITEMS = 16_384
"""Up to this many items descendants are counted one by one."""
SAMPLE = 1_024
"""Above it, how many items are looked for among the descendants of each."""


@dataclass(frozen=True, slots=True)
class WalkSteps:
    """Descendants, summed over all items."""

    steps: int
    exact: bool
    """False where `steps` was estimated from a random sample of `SAMPLE` items."""


def walk_steps(graph: Acyclic) -> WalkSteps:
    """Sum over items of their descendants (each counted once, the item itself left out).

    One re-import walks that much: in `v1.(*CacheChains).Add` of BuildKit v0.25 to v0.32 each record that matches a
    known one walks all below it (`walkChildren`). Exact with one bit for each item up to `EXACT_ITEMS`. Above that
    the bits stand for a seeded uniform sample, and the sum is scaled up: unbiased, with a relative
    standard error of s / (m sqrt(SAMPLE)), m and s being mean and spread of the number of ancestors an item has.
    """
    count = graph.size
    exact = count <= EXACT_ITEMS
    sample = range(count) if exact else random.Random(count).sample(range(count), SAMPLE)
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
