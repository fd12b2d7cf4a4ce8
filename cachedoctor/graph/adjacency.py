"""Which item is made from which, as lists of numbers, and the orders that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain


@dataclass(frozen=True)
class Adjacency:
    """The links between items that are numbered 0 to n - 1. Everything else is computed once, when it is asked for."""

    sources: list[list[int]]
    """The sources of each item, with one entry per link."""

    @cached_property
    def fan_out(self) -> Counter[int]:
        """The number of links from each item that has children."""
        return Counter(chain.from_iterable(self.sources))

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry per link."""
        return reverse(self.sources)

    @cached_property
    def ordered(self) -> bool:
        """Whether each item has a higher number than its sources, as in every document that BuildKit wrote."""
        for item, sources in enumerate(self.sources):
            for source in sources:
                if source >= item:
                    return False
        return True

    @cached_property
    def topological(self) -> tuple[list[int], list[int]]:
        """The items in an order in which each comes after all its sources; links may be repeated.

        Items that a cycle holds back are not in it, but in the second list, ascending: they are in a cycle or below
        one. The order is that of the numbers if these allow it. O(n + links).
        """
        return (list(range(len(self.sources))), []) if self.ordered else self.earliest

    @cached_property
    def earliest(self) -> tuple[list[int], list[int]]:
        """As `topological`, in the order in which each item comes as soon as its sources allow (Kahn 1962)."""
        return earliest(self.sources, self.children)


def reverse(sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """From the sources of each item to the children of each item, one entry per link."""
    children: list[list[int]] = [[] for _ in sources]
    for item, own in enumerate(sources):
        for source in own:
            children[source].append(item)
    return children


def earliest(sources: Sequence[Sequence[int]], children: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """See `Adjacency.earliest`; `children` is the same graph the other way round."""
    waiting = list(map(len, sources))
    order = [item for item, number in enumerate(waiting) if not number]
    for item in order:
        for child in children[item]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    return order, [item for item, number in enumerate(waiting) if number] if len(order) < len(waiting) else []
