"""Which items are made from which, as lists of numbers, and the orders that follow from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain


@dataclass(frozen=True)
class Adjacency:
    """The links between items that are numbered 0 to n - 1. Each property is computed on first use, and kept."""

    sources: list[list[int]]
    """The sources of each item, with one entry per link."""

    @cached_property
    def links(self) -> int:
        """Number of links."""
        return sum(map(len, self.sources))

    @cached_property
    def fan_out(self) -> Counter[int]:
        """The number of links from each item to its children; items without children are left out."""
        return Counter(chain.from_iterable(self.sources))

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry per link."""
        return reverse(self.sources)

    @cached_property
    def ordered(self) -> bool:
        """Whether every item has a higher number than its sources, as in all documents that BuildKit writes."""
        for item, sources in enumerate(self.sources):
            for source in sources:
                if source >= item:
                    return False
        return True

    @cached_property
    def topological(self) -> tuple[list[int], list[int]]:
        """An order in which each item comes after all its sources, and the items that have no place in it.

        The second list has, in ascending order, the items that are in a cycle or below one. The order is that of the
        numbers if possible. Links may be repeated. O(n + links).
        """
        return (list(range(len(self.sources))), []) if self.ordered else self.earliest

    @cached_property
    def earliest(self) -> tuple[list[int], list[int]]:
        """The same, but each item comes as soon as its sources allow (Kahn 1962)."""
        return earliest(self.sources, self.children)


def reverse(sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """Turn the sources of each item into the children of each item, one entry per link."""
    children: list[list[int]] = [[] for _ in sources]
    for item, item_sources in enumerate(sources):
        for source in item_sources:
            children[source].append(item)
    return children


def earliest(sources: Sequence[Sequence[int]], children: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """See `Adjacency.earliest`. `children` is the same graph reversed."""
    waiting = list(map(len, sources))
    order = [item for item, number in enumerate(waiting) if not number]
    for item in order:
        for child in children[item]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    return order, [item for item, number in enumerate(waiting) if number] if len(order) < len(waiting) else []
