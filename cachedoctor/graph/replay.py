"""The merge that the exporter of BuildKit v0.9 to v0.24 does, for one order of its maps at a time."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256

from cachedoctor.graph.records import Graph

_UNSEEN = -1
_VISITING = -2

_Links = list[list[tuple[int, str]]]
_Step = tuple[int, int, str]


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
                    run.settle(record, self.inputs[record], matches)
        return run

    def matches(self, record: int, run: Run) -> set[int]:
        """The items that a record would match after a run."""
        matches: set[int] = set()
        for number, alternatives in enumerate(self.inputs[record]):
            for source, selector in alternatives:
                run.match(record, number, source, selector, matches)
        return matches

    def _open(self, record: int, run: Run, shuffle: Callable[[list[_Step]], None]) -> tuple[int, list[_Step], set[int]]:
        """Start the visit of a record: its alternatives in the order of this run, first one last, and no match yet."""
        run.item[record] = _VISITING
        steps: list[_Step] = []
        for number, alternatives in enumerate(self.inputs[record]):
            of_input = [(number, source, selector) for source, selector in alternatives]
            if len(of_input) > 1:
                shuffle(of_input)
            steps += of_input
        steps.reverse()
        return record, steps, set()


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


class Run:
    """The state of one run (`v1.normalizeState`). An item is known by the record that it was created from."""

    def __init__(self, digests: Sequence[str], repeated: Sequence[bool]) -> None:
        self.item = [_UNSEEN] * len(digests)
        self.ties: list[frozenset[int]] = []
        """Items among which the smallest temporary id decided."""
        self._digests = digests
        self._repeated = repeated
        self._children: dict[tuple[int, int, str, str], set[int]] = defaultdict(set)
        self._roots: dict[str, int] = {}
        self.created: dict[int, int] = {}
        """The number of each item that is not a root, in the order of their creation, from 1."""

    def match(self, record: int, number: int, source: int, selector: str, matches: set[int]) -> None:
        """Update the matches with an alternative: any may match at input 0, each must match at every later input.

        BuildKit finds no children of a root on its first visit. It has none yet, so this lookup finds none either.
        """
        if self._repeated[record] and self.item[source] != _VISITING:
            children = self._children.get((self.item[source], number, selector, self._digests[record]), ())
            if number:
                matches.intersection_update(children)
            else:
                matches.update(children)

    def settle(self, record: int, inputs: _Links, matches: set[int]) -> None:
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
                        self._children[self.item[source], number, selector, digest].add(kept)

    def representatives(self) -> list[int]:
        """The smallest record of each record's item; records without an item stay alone."""
        smallest: dict[int, int] = {}
        return [record if item < 0 else smallest.setdefault(item, record) for record, item in enumerate(self.item)]

    @staticmethod
    def _temporary_id(count: int) -> bytes:
        return sha256(b"%d" % count).digest()
