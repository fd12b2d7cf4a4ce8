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

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        alive = set(order)
        times = Counter(graph.digests[record] for record in order)
        self._digests = graph.digests
        self._repeated = [times[digest] > 1 for digest in graph.digests]
        self._inputs: list[_Links] = [
            [[link for link in links if link[0] in alive] for links in graph.inputs(record)] if record in alive else []
            for record in range(graph.size)
        ]
        # Dead records are dropped from the finished list: they influence its order.
        self._list = [record for record in _pre_order(graph) if record in alive]

    def replay(self, seed: int) -> list[int]:
        """The smallest record of each record's item after one run. Dead records stay alone."""
        run = _Run(self._digests, self._repeated)
        shuffle = random.Random(seed).shuffle
        for first in self._list:
            stack = [] if run.item[first] != _UNSEEN else [self._open(first, run, shuffle)]
            while stack:
                record, links, matches = stack[-1]
                while links and run.item[links[-1][1]] != _UNSEEN:
                    run.match(record, *links.pop(), matches)
                if links:
                    stack.append(self._open(links[-1][1], run, shuffle))
                else:
                    stack.pop()
                    run.settle(record, self._inputs[record], matches)
        return _representatives(run.item)

    def _open(
        self, record: int, run: _Run, shuffle: Callable[[list[_Step]], None]
    ) -> tuple[int, list[_Step], set[int]]:
        """Start the visit of a record: its alternatives in the order of this run, first one last, and no match yet."""
        run.item[record] = _VISITING
        steps: list[_Step] = []
        for number, alternatives in enumerate(self._inputs[record]):
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


class _Run:
    """The state of one run (`v1.normalizeState`). An item is known by the record that it was created from."""

    def __init__(self, digests: Sequence[str], repeated: Sequence[bool]) -> None:
        self.item = [_UNSEEN] * len(digests)
        self._digests = digests
        self._repeated = repeated
        self._children: dict[tuple[int, int, str, str], set[int]] = defaultdict(set)
        self._roots: dict[str, int] = {}
        self._created: dict[int, int] = {}

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
            kept = min(matches, key=lambda match: self._temporary_id(self._created[match]))
        else:
            kept = record
            self._created[record] = len(self._created) + 1
        self.item[record] = kept
        if self._repeated[record]:
            digest = self._digests[record]
            for number, alternatives in enumerate(inputs):
                for source, selector in alternatives:
                    if self.item[source] != _VISITING:
                        self._children[self.item[source], number, selector, digest].add(kept)

    @staticmethod
    def _temporary_id(count: int) -> bytes:
        return sha256(b"%d" % count).digest()


def _representatives(items: Sequence[int]) -> list[int]:
    """The smallest record of each record's item; records without an item stay alone."""
    smallest: dict[int, int] = {}
    return [record if item < 0 else smallest.setdefault(item, record) for record, item in enumerate(items)]
