"""Orders in which an importer of BuildKit v0.25 to v0.32 may walk from the leaves of a cache, and what each loses.

How many links an order loses depends on the leaves alone, not on alternatives: each item is stored by the walk from the
first of its leaves, and of the links from an item to all items that one later walk stores, all but one are lost.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from cachedoctor.graph.records import Adjacency

MOST_ORDERS = 200
"""Orders that are compared at most."""
WORK = 200_000
"""Steps that comparing them may take, roughly."""


def seeded(leaves: Sequence[int], number: int) -> list[list[int]]:
    """Orders of leaves, the same each time. Each leaf is first about equally often: which one is first matters most."""
    choose = random.Random(len(leaves))
    orders = []
    for index in range(number):
        order = list(leaves)
        choose.shuffle(order)
        first = order.index(leaves[index % len(leaves)])
        order[0], order[first] = order[first], order[0]
        orders.append(order)
    return orders


def by_loss(adjacency: Adjacency, leaves: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Seeded orders, as many as the allowed work permits, and how many links each loses; fewest first.

    O(items + links) to begin with, times the words that a bit for each leaf takes.
    """
    needed = needed_by(adjacency, leaves)
    groups = _groups(adjacency, needed)
    distinct = set(needed)
    steps = len(distinct) + sum(len(targets) for _, _, targets in groups)
    orders = seeded(leaves, max(1, min(MOST_ORDERS, WORK // (steps + 1))))
    bit_of = {leaf: 1 << bit for bit, leaf in enumerate(leaves)}
    lost = [_lost(groups, _walks(distinct, [bit_of[leaf] for leaf in order])) for order in orders]
    ranked = sorted(range(len(orders)), key=lambda index: (lost[index], index))
    return [orders[index] for index in ranked], [lost[index] for index in ranked]


Leaves = int
"""A set of leaves, one bit each."""
_Group = tuple[Leaves, int, Mapping[Leaves, int]]
"""Items that the same leaves need, and whose links lead to items that the same leaves need: these leaves, how many
items they are, and the number of links by what needs their targets."""


def needed_by(adjacency: Adjacency, leaves: Sequence[int]) -> list[Leaves]:
    """For each item, the leaves that are made from it, one bit each in the order given."""
    above = [0] * len(adjacency.sources)
    for bit, leaf in enumerate(leaves):
        above[leaf] = 1 << bit
    for item in reversed(adjacency.topological[0]):
        for source in adjacency.sources[item]:
            above[source] |= above[item]
    return above


def _groups(adjacency: Adjacency, needed: Sequence[Leaves]) -> list[_Group]:
    """The items of which links can be lost: some of their links lead to items that fewer leaves need."""
    links: dict[int, Counter[Leaves]] = defaultdict(Counter)
    for needs, sources in zip(needed, adjacency.sources, strict=True):
        for source in sources:
            if needed[source] != needs:
                links[source][needs] += 1
    items: Counter[tuple[Leaves, frozenset[Leaves]]] = Counter()
    targets: dict[tuple[Leaves, frozenset[Leaves]], Counter[Leaves]] = defaultdict(Counter)
    for source, numbers in links.items():
        key = needed[source], frozenset(numbers)
        items[key] += 1
        targets[key].update(numbers)
    return [(key[0], number, targets[key]) for key, number in items.items()]


def _walks(distinct: set[Leaves], order: Sequence[Leaves]) -> dict[Leaves, int]:
    """The number of the walk that stores the items which these leaves need."""
    walks = {}
    for leaves in distinct:
        for walk, leaf in enumerate(order):
            if leaves & leaf:
                walks[leaves] = walk
                break
    return walks


def _lost(groups: Sequence[_Group], walks: Mapping[Leaves, int]) -> int:
    lost = 0
    for needs, items, targets in groups:
        own = walks[needs]
        later = set()
        for leaves, links in targets.items():
            walk = walks[leaves]
            if walk != own:
                lost += links
                later.add(walk)
        lost -= items * len(later)
    return lost
