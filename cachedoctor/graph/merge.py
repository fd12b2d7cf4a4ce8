"""Records that are the same cache key, merged until nothing merges any more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachedoctor.graph.records import Graph

Alternative = tuple[int, str]
"""A source class and a selector."""

_Place = tuple[int, int, str]
"""An input number, and an alternative there."""

WORK_PER_LINK = 64
"""Comparisons per record and link after which merging stops, and says so."""
WORK_FLOOR = 2_000_000
"""Comparisons that are always allowed."""


@dataclass(frozen=True, slots=True)
class Merge:
    """How records are merged into items."""

    representative: list[int]
    """The smallest record of each record's item at the fixpoint. Dead records stay alone."""
    every_order: list[int] | None
    """The same for BuildKit v0.9 to v0.24, if it is proved that every order gives this result; otherwise `None`.

    These releases merge less, because their rule is stricter.
    """
    complete: bool
    """Whether no more records could merge. If not, more of them may be duplicates than were merged."""


def fixpoint(graph: Graph, order: Sequence[int]) -> Merge:
    """Merge the records in `order`, in which each comes after an alternative of each input, to the fixpoint.

    Two records are equal if they have the same digest and number of inputs, and share an alternative (source and
    selector, where sources are compared after merging) at every input. BuildKit v0.25 to v0.32 apply this rule while
    they add records (`v1.(*CacheChains).Add`). The fixpoint is a congruence closure, so no order changes it.

    Really, BuildKit asks only for the inputs of the record that it adds, so this record may also join one with more
    inputs, if that was added first. No exporter writes such records. Here they stay apart, and if any of them could
    join, the result is marked incomplete.

    The time is nearly linear for caches that BuildKit writes. Since all inputs must match, a hostile document could
    force quadratic work; after `WORK_PER_LINK` comparisons per record and link, the result is marked incomplete.
    """
    representative = list(range(graph.size))
    repeated = _repeated(graph, order)
    if not repeated:
        return Merge(representative, every_order=representative, complete=True)
    inputs_of = _inputs_alive(graph, order)
    _merge_identical(graph, repeated, inputs_of, representative)
    first = [record for record in repeated if representative[record] == record and graph.arity(record)]
    closure = _Closure(graph, _repeated(graph, first), inputs_of, representative)
    every_order = None if closure.could_merge() else closure.representatives()
    complete = closure.run() and not closure.could_mix()
    return Merge(closure.representatives(), every_order, complete)


def _repeated(graph: Graph, records: Sequence[int]) -> list[int]:
    """Those of the records that share their digest with another one. Only they can merge."""
    digests = graph.digests if len(records) == graph.size else [graph.digests[record] for record in records]
    if len(set(digests)) == len(digests):
        return []
    times = Counter(digests)
    return [record for record in records if times[graph.digests[record]] > 1]


def _inputs_alive(graph: Graph, order: Sequence[int]) -> Callable[[int], list[list[Alternative]]]:
    """A function that gives the inputs of a record without dead alternatives, which BuildKit drops before it merges."""
    if len(order) == graph.size:
        return graph.inputs
    alive = set(order)
    return lambda record: [[link for link in links if link[0] in alive] for links in graph.inputs(record)]


def _merge_identical(
    graph: Graph,
    repeated: Sequence[int],
    inputs_of: Callable[[int], list[list[Alternative]]],
    representative: list[int],
) -> None:
    """Merge records that have the same digest and exactly the same alternatives (hash consing), sources first."""
    seen: dict[tuple[str, tuple[frozenset[Alternative], ...]], int] = {}
    for record in repeated:
        inputs = inputs_of(record)
        digest = graph.digests[record]
        key = (
            digest,
            tuple([frozenset([(representative[source], selector) for source, selector in links]) for links in inputs]),
        )
        representative[record] = seen.setdefault(key, record)


class _Closure:
    """Union-find over items, with an index from each alternative to the items that have it.

    `children[(source, input, selector, digest)]` are the items with that digest and alternative. `inputs[item]` are
    the alternatives of each input. `_unite` keeps both up to date, so that they have only current items. None of them
    is a root.
    """

    def __init__(
        self,
        graph: Graph,
        candidates: Sequence[int],
        inputs_of: Callable[[int], list[list[Alternative]]],
        representative: list[int],
    ) -> None:
        self.parent = representative
        self.digests = graph.digests
        self.inputs: dict[int, list[set[Alternative]]] = {}
        self.children: dict[tuple[int, int, str, str], set[int]] = defaultdict(set)
        self.keys_of: dict[int, set[tuple[int, str, str]]] = defaultdict(set)
        self.work = WORK_FLOOR + WORK_PER_LINK * (graph.size + len(graph.links))
        for record in candidates:
            inputs = [{(representative[source], selector) for source, selector in links} for links in inputs_of(record)]
            self.inputs[record] = inputs
            for number, alternatives in enumerate(inputs):
                for source, selector in alternatives:
                    self._index(record, source, number, selector)
        self.fresh: dict[int, set[_Place]] = {
            record: {(number, *link) for number, links in enumerate(inputs) for link in links}
            for record, inputs in self.inputs.items()
        }

    def _index(self, record: int, source: int, number: int, selector: str) -> None:
        digest = self.digests[record]
        self.children[source, number, selector, digest].add(record)
        self.keys_of[source].add((number, selector, digest))

    def find(self, record: int) -> int:
        """The root of the item that a record is in now."""
        root = record
        while self.parent[root] != root:
            root = self.parent[root]
        while self.parent[record] != root:
            self.parent[record], record = root, self.parent[record]
        return root

    def representatives(self) -> list[int]:
        """The smallest record of the item that each record is in now."""
        roots = [self.find(record) for record in range(len(self.parent))]
        smallest: dict[int, int] = {}
        return [smallest.setdefault(root, record) for record, root in enumerate(roots)]

    def _sharing(self, record: int, number: int) -> list[set[int]]:
        """For each alternative of an input, the items that have it too."""
        digest = self.digests[record]
        return [self.children[source, number, selector, digest] for source, selector in self.inputs[record][number]]

    def could_merge(self) -> bool:
        """Whether BuildKit v0.9 to v0.24 could merge two of these items in some order.

        The rule there (`v1.normalizeItem`) is that the other item is a child of at least one alternative of input 0,
        and of every alternative of every later input. As long as no two different items satisfy it, no order can make a
        difference.
        """
        for record, inputs in self.inputs.items():
            later = [items for number in range(1, len(inputs)) for items in self._sharing(record, number)]
            first = self._sharing(record, 0)
            fewest = min(later, key=len) if later else set().union(*first)
            self.work -= len(fewest) + len(later) + len(first)
            if self.work < 0:
                return True
            for other in fewest:
                if (
                    other != record
                    and all(other in items for items in later)
                    and any(other in items for items in first)
                ):
                    return True
        return False

    def could_mix(self) -> bool:
        """Whether an item could join one that has more inputs: it shares an alternative with it at each of its own."""
        arities = {(self.digests[record], len(inputs)) for record, inputs in self.inputs.items()}
        mixed = {digest for digest, times in Counter(digest for digest, _ in arities).items() if times > 1}
        for record in [record for record in self.inputs if self.digests[record] in mixed]:
            inputs = self.inputs[record]
            others = set().union(*self._sharing(record, 0))
            self.work -= len(others)
            for other in others:
                more = self.inputs[other]
                if self.work < 0 or (len(inputs) < len(more) and self._share(inputs, more[: len(inputs)])):
                    return True
        return False

    def run(self) -> bool:
        """Merge until no alternative is fresh; false if the allowed work ran out before."""
        while self.fresh and self.work > 0:
            record, fresh = self.fresh.popitem()
            if not fresh or self.parent[record] != record:
                continue
            for other in self._candidates(record, fresh):
                record = self._unite(record, other)
        return not self.fresh

    def _candidates(self, record: int, fresh: set[_Place]) -> list[int]:
        """The items that share an alternative with this one at every input, including a fresh one.

        Searches either the items that share a fresh alternative, or those that share any alternative at the input where
        they are fewest, whichever is less work.
        """
        inputs = self.inputs[record]
        digest = self.digests[record]
        sharing = [self.children[source, number, selector, digest] for number, source, selector in fresh]
        if sum(map(len, sharing)) > 2 * min(map(len, inputs)):
            by_input = [self._sharing(record, number) for number in range(len(inputs))]
            self.work -= sum(map(len, by_input))
            sharing = min(sharing, *by_input, key=lambda sets: sum(map(len, sets)))
        self.work -= sum(map(len, sharing))
        others = set().union(*sharing)
        others.discard(record)
        return [other for other in others if self._share(inputs, self.inputs[other])]

    def _share(self, first: list[set[Alternative]], second: list[set[Alternative]]) -> bool:
        self.work -= sum(map(min, map(len, first), map(len, second)))
        return len(first) == len(second) and not any(map(set.isdisjoint, first, second))

    def _unite(self, kept: int, gone: int) -> int:
        if self._weight(gone) > self._weight(kept):
            kept, gone = gone, kept
        self.parent[gone] = kept
        self._move_as_child(kept, gone)
        self._move_as_source(kept, gone)
        return kept

    def _weight(self, record: int) -> int:
        return sum(map(len, self.inputs[record])) + len(self.keys_of.get(record, ()))

    def _move_as_child(self, kept: int, gone: int) -> None:
        """Make the alternatives of `gone` fresh alternatives of `kept`."""
        digest = self.digests[gone]
        fresh = self.fresh.setdefault(kept, set())
        fresh |= self.fresh.pop(gone, set())
        for number, alternatives in enumerate(self.inputs.pop(gone)):
            self.inputs[kept][number] |= alternatives
            for source, selector in alternatives:
                items = self.children[source, number, selector, digest]
                items.discard(gone)
                items.add(kept)
                fresh.add((number, source, selector))
            self.work -= len(alternatives)

    def _move_as_source(self, kept: int, gone: int) -> None:
        """Make the children of `gone` children of `kept`. What both have becomes fresh for the smaller group."""
        for number, selector, digest in self.keys_of.pop(gone, ()):
            moved = self.children.pop((gone, number, selector, digest))
            there = self.children[kept, number, selector, digest]
            new = (number, kept, selector)
            for child in moved:
                alternatives = self.inputs[child][number]
                alternatives.discard((gone, selector))
                alternatives.add((kept, selector))
                fresh = self.fresh.get(child)
                if fresh is not None and (number, gone, selector) in fresh:
                    fresh.discard((number, gone, selector))
                    fresh.add(new)
            if there:
                for child in moved if len(moved) <= len(there) else there:
                    self.fresh.setdefault(child, set()).add(new)
            there |= moved
            self.keys_of[kept].add((number, selector, digest))
            self.work -= len(moved)
