"""What re-adding a whole cache walks in BuildKit v0.25 and later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachedoctor.graph.loops import Acyclic

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
