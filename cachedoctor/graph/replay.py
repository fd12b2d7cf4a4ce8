"""The merge that the exporter of BuildKit v0.9 to v0.24 does, for one order of its maps at a time."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from itertools import islice

from cachedoctor.graph.records import Graph

_UNSEEN = -1
_VISITING = -2

_Links = list[list[tuple[int, str]]]
_Step = tuple[int, int, str]
_Children = dict[int, int]
"""Items, each with the number of items that came before it."""
_NO_CHILDREN: _Children = {}


class Exporter:
    """Replays `v1.normalizeItem` (BuildKit v0.9 to v0.24) over the records of an importer.

    There, the alternatives of an input are a Go map, so each run visits them in another order, and may merge other
    records. Here, the order depends on a seed. Records are visited as `v1.ParseConfig` adds them, each before its
    sources.

    A link to a record that is still being visited is skipped. BuildKit would never finish such a document.
    """

    def __init__(self, graph: Graph, order: Sequence[int], document: Graph | None = None) -> None:
        """`document` is the graph as written, if `graph` is another one (see `records.as_linked`)."""
        alive = set(order)
        self.order = order
        times = Counter(graph.digests[record] for record in order)
        self._digests = graph.digests
        self._repeated = [times[digest] > 1 for digest in graph.digests]
        self.inputs: list[_Links] = [
            [[link for link in links if link[0] in alive] for links in graph.inputs(record)] if record in alive else []
            for record in range(graph.size)
        ]
        """The inputs of each record that is not dead, without dead alternatives."""
        # Dead records are dropped from the finished list: they influence its order.
        self.listed = [record for record in _pre_order(document or graph) if record in alive]
        """The records in the order of the importer's list."""

    def replay(self, seed: int) -> list[int]:
        """The smallest record of each record's item after one run. Dead records stay alone."""
        return self.run(seed).representatives()

    def run(self, seed: int) -> Run:
        """One run, to its end."""
        run = Run(self._digests, self._repeated)
        shuffle = random.Random(seed).shuffle
        for first in self.listed:
            stack = [] if run.item[first] != _UNSEEN else [self._open(first, run, shuffle)]
            while stack:
                record, links, matches = stack[-1]
                while links and run.item[links[-1][1]] != _UNSEEN:
                    run.match(record, *links.pop(), matches)
                if links:
                    stack.append(self._open(links[-1][1], run, shuffle))
                else:
                    stack.pop()
                    run.settle(record, self.inputs[record], matches.items)
        return run

    def matches(self, record: int, run: Run) -> set[int]:
        """The items that a record would match after a run."""
        matches = _Matches()
        for number, alternatives in enumerate(self.inputs[record]):
            for source, selector in alternatives:
                run.match(record, number, source, selector, matches)
        return matches.items

    def _open(self, record: int, run: Run, shuffle: Callable[[list[_Step]], None]) -> tuple[int, list[_Step], _Matches]:
        """Start the visit of a record: its alternatives in the order of this run, first one last, and no match yet."""
        run.item[record] = _VISITING
        steps: list[_Step] = []
        for number, alternatives in enumerate(self.inputs[record]):
            of_input = [(number, source, selector) for source, selector in alternatives]
            if len(of_input) > 1:
                shuffle(of_input)
            steps += of_input
        steps.reverse()
        return record, steps, _Matches() if self._repeated[record] else _NO_MATCHES


def _pre_order(graph: Graph) -> list[int]:
    """The records as `v1.ParseConfig` adds them: each before its sources, which follow in file order."""
    seen = bytearray(graph.size)
    listed = []
    for first in range(graph.size):
        stack = [first]
        while stack:
            record = stack.pop()
            if not seen[record]:
                seen[record] = 1
                listed.append(record)
                stack += graph.links[graph.span(record)][::-1]
    return listed


class _Matches:
    """The items that a record matches so far: any may match at input 0, each must match at every later input.

    Children at input 0 can be many, and few of them left after the next input. So they are not copied: it is enough to
    know how many there were, since children have numbers in the order in which they came.
    """

    __slots__ = ("_left", "first")

    def __init__(self) -> None:
        self.first: list[tuple[_Children, int]] = []
        """The children of each alternative of input 0, and how many there were."""
        self._left: set[int] | None = None

    @property
    def items(self) -> set[int]:
        """All of them."""
        if self._left is None:
            return {item for children, count in self.first for item in islice(children, count)}
        return self._left

    def keep(self, children: _Children) -> None:
        """Drop the items that are not among the children of an alternative of a later input."""
        if self._left is None:
            fewer = len(children) * len(self.first) < sum([count for _, count in self.first])
            self._left = set(filter(self._is_in_first, children)) if fewer else self.items
        if self._left:
            self._left = {item for item in self._left if item in children}

    def _is_in_first(self, item: int) -> bool:
        return any(children.get(item, count) < count for children, count in self.first)


_NO_MATCHES = _Matches()
"""For records that share their digest with no other."""


class Run:
    """The state of one run (`v1.normalizeState`). An item is known by the record that it was created from."""

    def __init__(self, digests: Sequence[str], repeated: Sequence[bool]) -> None:
        self.item = [_UNSEEN] * len(digests)
        self.ties: list[frozenset[int]] = []
        """Items among which the smallest temporary id decided."""
        self._digests = digests
        self._repeated = repeated
        self._children: dict[tuple[int, int, str, str], _Children] = defaultdict(dict)
        self._roots: dict[str, int] = {}
        self.created: dict[int, int] = {}
        """The number of each item that is not a root, in the order of their creation, from 1."""

    def match(self, record: int, number: int, source: int, selector: str, matches: _Matches) -> None:
        """Update the matches with an alternative.

        BuildKit finds no children of a root on its first visit. It has none yet, so this lookup finds none either.
        """
        if self._repeated[record] and self.item[source] != _VISITING:
            key = self.item[source], number, selector, self._digests[record]
            children = self._children.get(key, _NO_CHILDREN)
            if number:
                matches.keep(children)
            elif children:
                matches.first.append((children, len(children)))

    def settle(self, record: int, inputs: _Links, matches: Collection[int]) -> None:
        """Add the record to an item that matches, or create an item from it."""
        if not inputs:
            self.item[record] = self._roots.setdefault(self._digests[record], record)
            return
        if matches:
            if len(matches) > 1:
                self.ties.append(frozenset(matches))
            kept = min(matches, key=lambda match: self._temporary_id(self.created[match]))
        else:
            kept = record
            self.created[record] = len(self.created) + 1
        self.item[record] = kept
        if self._repeated[record]:
            digest = self._digests[record]
            for number, alternatives in enumerate(inputs):
                for source, selector in alternatives:
                    if self.item[source] != _VISITING:
                        children = self._children[self.item[source], number, selector, digest]
                        children.setdefault(kept, len(children))

    def representatives(self) -> list[int]:
        """The smallest record of each record's item; records without an item stay alone."""
        smallest: dict[int, int] = {}
        return [record if item < 0 else smallest.setdefault(item, record) for record, item in enumerate(self.item)]

    @staticmethod
    def _temporary_id(count: int) -> bytes:
        return sha256(b"%d" % count).digest()
