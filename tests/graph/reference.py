"""A simple, slow model of BuildKit's cache keys that shares no code with the package."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

Document = dict[str, Any]
Link = tuple[int, str]
"""A source and a selector."""
Edge = tuple[int, int, int, str]
"""Source, item, number of the input, selector."""
Arrange = Callable[[int, int, list[Link]], list[Link]]
"""Takes a record, an input and its alternatives, and returns them in the order of some run."""


@dataclass(frozen=True)
class Record:
    """A cache key: its digest, and for each input its alternatives, each once."""

    digest: str
    inputs: list[list[Link]]


def join(documents: Sequence[Document]) -> list[Record]:
    """The records of all documents, numbered consecutively, without links that leave their document."""
    records: list[Record] = []
    for document in documents:
        base, written = len(records), document.get("records") or []
        for record in written:
            inputs = []
            for alternatives in record.get("inputs") or []:
                links = [(link.get("link", 0), link.get("selector", "")) for link in alternatives or []]
                inside = [(base + source, selector) for source, selector in links if 0 <= source < len(written)]
                inputs.append(list(dict.fromkeys(inside)))
            records.append(Record(record.get("digest", ""), inputs))
    return records


def derivable(records: Sequence[Record]) -> set[int]:
    """The records that can be derived, found by sweeping until nothing new is reached."""
    reached: set[int] = set()
    while True:
        more = {
            record
            for record, key in enumerate(records)
            if all(any(source in reached for source, _ in alternatives) for alternatives in key.inputs)
        }
        if more == reached:
            return reached
        reached = more


def has_cycle(records: Sequence[Record]) -> bool:
    """Whether any record is its own source, directly or indirectly."""
    pairs = {(source, item) for item, key in enumerate(records) for links in key.inputs for source, _ in links}
    below = reach(range(len(records)), pairs)
    return any(record in below[record] for record in below)


def alive_inputs(records: Sequence[Record], alive: set[int]) -> list[list[list[Link]]]:
    """The inputs of each record without dead alternatives; dead records have no inputs."""
    return [
        [[link for link in links if link[0] in alive] for links in key.inputs] if record in alive else []
        for record, key in enumerate(records)
    ]


def named(group: Sequence[int]) -> list[int]:
    """The same partition, with each class named after its smallest member."""
    smallest: dict[int, int] = {}
    return [smallest.setdefault(name, record) for record, name in enumerate(group)]


def fixpoint(records: Sequence[Record], pairs: Sequence[tuple[int, int]] | None = None) -> list[int]:
    """Compare records pair by pair, in the given order, and merge equal ones, until a whole round merges nothing.

    Two records are equal if they have the same digest and number of inputs, and share an alternative at every input.
    """
    alive = derivable(records)
    inputs = alive_inputs(records, alive)
    group = list(range(len(records)))
    if pairs is None:
        pairs = list(itertools.combinations(sorted(alive), 2))

    def shown(name: int, number: int) -> set[Link]:
        members = [record for record in alive if group[record] == name]
        return {(group[source], selector) for member in members for source, selector in inputs[member][number]}

    changed = True
    while changed:
        changed = False
        for first, second in pairs:
            old, new = group[second], group[first]
            if old == new or records[old].digest != records[new].digest or len(inputs[old]) != len(inputs[new]):
                continue
            if all(shown(old, number) & shown(new, number) for number in range(len(inputs[old]))):
                group = [new if name == old else name for name in group]
                changed = True
    return named(group)


def could_mix(records: Sequence[Record], group: Sequence[int]) -> bool:
    """Whether an item shares an alternative at each of its inputs with an item of its digest that has more inputs."""
    alternatives: dict[tuple[int, int], set[Link]] = {}
    for source, item, number, selector in edges(records, group):
        alternatives.setdefault((item, number), set()).add((source, selector))
    names = items(records, group)
    return any(
        records[fewer].digest == records[more].digest
        and 0 < len(records[fewer].inputs) < len(records[more].inputs)
        and all(alternatives[fewer, at] & alternatives[more, at] for at in range(len(records[fewer].inputs)))
        for fewer, more in itertools.permutations(names, 2)
    )


def edges(records: Sequence[Record], group: Sequence[int]) -> set[Edge]:
    """The links between the items of a partition, each once; dead records have none."""
    alive = derivable(records)
    return {
        (group[source], group[record], number, selector)
        for record, inputs in enumerate(alive_inputs(records, alive))
        for number, links in enumerate(inputs)
        for source, selector in links
    }


def items(records: Sequence[Record], group: Sequence[int]) -> list[int]:
    """The items of the records that are not dead, by name."""
    return sorted({group[record] for record in derivable(records)})


def reach(nodes: Iterable[int], pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    """The transitive closure: for each node, all nodes that can be reached from it by one or more links."""
    below: dict[int, set[int]] = {node: set() for node in nodes}
    for source, item in pairs:
        below[source].add(item)
    grown = True
    while grown:
        grown = False
        for reached in below.values():
            more = reached.union(*(below[item] for item in reached))
            grown |= len(more) > len(reached)
            reached |= more
    return below


def descendants(start: int, pairs: Iterable[tuple[int, int]]) -> set[int]:
    """Everything below a node, by depth-first search."""
    links = list(pairs)
    reached: set[int] = set()

    def visit(node: int) -> None:
        for source, item in links:
            if source == node and item not in reached:
                reached.add(item)
                visit(item)

    visit(start)
    return reached


def loops(nodes: Iterable[int], pairs: Iterable[tuple[int, int]]) -> set[frozenset[int]]:
    """Sets of nodes that can all reach each other."""
    below = reach(nodes, pairs)
    return {frozenset(other for other in below[node] if node in below[other]) for node in below if node in below[node]}


def every_path(roots: Iterable[int], links: Sequence[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
    """Every path from a root to anywhere. `links` may have the same pair more than once."""

    def onwards(path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        yield path
        for source, item in links:
            if source == path[-1]:
                yield from onwards((*path, item))

    for root in roots:
        yield from onwards((root,))


class TooLong(Exception):
    """The walk makes more calls than a test should wait for."""


@dataclass(eq=False)
class Item:
    """What the exporter of BuildKit v0.9 to v0.24 merges records into."""

    key: str
    root: bool
    inputs: list[set[tuple[str, str]]]


@dataclass
class Export:
    """One run of the exporter of BuildKit v0.9 to v0.24, written as simply as possible, with recursion."""

    records: Sequence[Record]
    arrange: Arrange = field(default=lambda record, number, links: links)
    most_calls: int = 20_000
    listed: list[int] | None = None
    """The records in the order in which the importer added them; `None` for that of `_listed`."""
    counter: int = 0
    calls: int = 0
    removed: int = 0
    by_key: dict[str, Item] = field(default_factory=dict)
    added: dict[int, Item] = field(default_factory=dict)
    children: dict[str, dict[tuple[str, int, str], set[str]]] = field(default_factory=dict)

    def run(self) -> Export:
        """Validate, merge, check for loops."""
        self.inputs = self._validated()
        for record in self.listed or self._listed():
            if record in self.inputs:
                self._normalize(record)
        return self

    def _validated(self) -> dict[int, list[list[Link]]]:
        """Drop records with an input without alternatives, and links to them, until there are none."""
        inputs = {record: [list(links) for links in key.inputs] for record, key in enumerate(self.records)}
        worklist = [record for record, own_inputs in inputs.items() if not all(own_inputs)]
        while worklist:
            gone = worklist.pop()
            if inputs.pop(gone, None) is None:
                continue
            for record, own_inputs in inputs.items():
                for links in own_inputs:
                    links[:] = [link for link in links if link[0] != gone]
                if not all(own_inputs):
                    worklist.append(record)
        return inputs

    def _listed(self) -> list[int]:
        """The list of the importer: all records in the order of the document, each before its sources."""
        listed: list[int] = []

        def parse(record: int) -> None:
            if record not in listed:
                listed.append(record)
                for links in self.records[record].inputs:
                    for source, _ in links:
                        parse(source)

        for record in range(len(self.records)):
            parse(record)
        return listed

    def _normalize(self, record: int) -> Item | None:
        """The item of a record, `None` for a root that is visited for the first time."""
        if record in self.added:
            return self.added[record]
        digest, inputs = self.records[record].digest, self.inputs[record]
        if not inputs:
            if digest in self.by_key:
                self.added[record] = self.by_key[digest]
                return self.added[record]
            self.added[record] = self.by_key[digest] = Item(digest, True, [])
            return None
        matches: set[str] = set()
        for number, links in enumerate(inputs):
            for source, selector in self.arrange(record, number, links):
                item = self._normalize(source)
                children = self._children(item).get((digest, number, selector), set()) if item else set()
                matches = matches | children if number == 0 else matches & children
        if matches:
            key = min(matches)
        else:
            self.counter += 1
            key = sha256(str(self.counter).encode()).hexdigest()
            self.by_key[key] = Item(key, False, [set() for _ in inputs])
        joined = self.added[record] = self.by_key[key]
        for number, links in enumerate(inputs):
            for source, selector in links:
                parent = self.added[source]
                joined.inputs[number].add((parent.key, selector))
                self._children(parent).setdefault((digest, number, selector), set()).add(key)
        return joined

    def _children(self, item: Item) -> dict[tuple[str, int, str], set[str]]:
        return self.children.setdefault(item.key, {})

    def partition(self) -> list[int]:
        """The smallest record of each record's item. Dead records stay alone."""
        numbers: dict[str, int] = {}
        for record in sorted(self.added):
            numbers.setdefault(self.added[record].key, record)
        return [
            numbers[self.added[record].key] if record in self.added else record for record in range(len(self.records))
        ]

    def count_links(self) -> int:
        """Number of links between items, each once for each input and selector."""
        return sum(len(below) for children in self.children.values() for below in children.values())

    def check_loops(self) -> Export:
        """Walk all paths from all roots, remembering only the current path."""
        path: set[str] = set()
        for key in [item.key for item in self.by_key.values() if item.root]:
            self._walk(key, path)
        assert not path
        return self

    def _walk(self, key: str, path: set[str]) -> None:
        self.calls += 1
        if self.calls > self.most_calls:
            raise TooLong
        path.add(key)
        for below in self._children(self.by_key[key]).values():
            for child in sorted(below):
                if child not in below:
                    continue
                if child in path:
                    self._remove(key, child)
                else:
                    self._walk(child, path)
        path.remove(key)

    def _remove(self, key: str, child: str) -> None:
        """Remove all links between two items. If that empties an input, the child loses all inputs."""
        for below in self.children[key].values():
            if child in below:
                below.remove(child)
                self.removed += 1
        item = self.by_key[child]
        item.inputs = [{link for link in links if link[0] != key} for links in item.inputs]
        if not all(item.inputs):
            item.inputs = []


def orders(records: Sequence[Record]) -> int:
    """Number of ways to arrange the alternatives of all inputs that are not dead."""
    alive = derivable(records)
    return math.prod(math.factorial(len(links)) for inputs in alive_inputs(records, alive) for links in inputs)


def every_order(records: Sequence[Record]) -> Iterator[Arrange]:
    """Every way to arrange the alternatives of all inputs that are not dead."""
    alive = alive_inputs(records, derivable(records))
    places = [
        (record, number) for record, inputs in enumerate(alive) for number, links in enumerate(inputs) if len(links) > 1
    ]
    for chosen in itertools.product(*(itertools.permutations(alive[record][number]) for record, number in places)):
        yield _arranged(dict(zip(places, chosen, strict=True)))


def _arranged(by_place: dict[tuple[int, int], tuple[Link, ...]]) -> Arrange:
    return lambda record, number, links: list(by_place.get((record, number), links))
