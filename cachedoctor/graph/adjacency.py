"""What is made from what, as lists of numbers, and the order that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Adjacency:
    """The links between items that are numbered 0 to n - 1. Either way round is found once, when it is asked for."""

    sources: list[list[int]]
    """The sources of each item, with one entry a link."""

    @cached_property
    def children(self) -> list[list[int]]:
        """The children of each item, with one entry a link."""
        return reverse(self.sources)

    @cached_property
    def topological(self) -> tuple[list[int], list[int]]:
        """See `topological_order`."""
        return topological_order(self.sources, self.children)


def reverse(sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """From the sources of each item to the children of each item, one entry a link."""
    children: list[list[int]] = [[] for _ in sources]
    for item, own in enumerate(sources):
        for source in own:
            children[source].append(item)
    return children


def topological_order(
    sources: Sequence[Sequence[int]], children: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]]:
    """Order 0 to n - 1 so that each comes after all its sources, and as soon as they allow; links may be repeated.

    `children` is the same graph the other way round. Returns the order, and in ascending order those that a cycle
    holds back: they are in one or below one. O(n + links).
    """
    waiting = list(map(len, sources))
    order = [item for item, count in enumerate(waiting) if not count]
    for item in order:
        for child in children[item]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    return order, [item for item, count in enumerate(waiting) if count] if len(order) < len(waiting) else []
