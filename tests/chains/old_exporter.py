"""The exporter of BuildKit v0.9 to v0.24, transcribed plainly: recursive, walking every path, for any map order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

Inputs = list[list[tuple[int, str]]]


@dataclass(eq=False)
class Item:
    """What records are merged into."""

    digest: str
    links: list[set[tuple[Item, str]]]


@dataclass
class Run:
    """One export."""

    digests: Sequence[str]
    inputs: Sequence[Inputs]
    added: dict[int, Item] = field(default_factory=dict)
    by_key: dict[str, Item] = field(default_factory=dict)
    children: dict[Item, dict[tuple[str, int, str], set[str]]] = field(default_factory=dict)
    created: int = 0
    calls: int = 0
    removed: int = 0

    def visit(self, record: int) -> Item | None:
        """Merge one record, its sources first; a root that is seen for the first time gives nothing."""
        if record in self.added:
            return self.added[record]
        digest = self.digests[record]
        if not self.inputs[record]:
            known = digest in self.by_key
            self.added[record] = self.by_key.setdefault(digest, Item(digest, []))
            return self.added[record] if known else None
        matches: set[str] = set()
        for number, alternatives in enumerate(self.inputs[record]):
            for source, selector in alternatives:
                item = self.visit(source)
                below = self.children.get(item, {}) if item else {}
                found = below.get((digest, number, selector), set())
                matches = matches | found if number == 0 else matches & found
        if matches:
            key = min(matches)
        else:
            self.created += 1
            key = sha256(str(self.created).encode()).hexdigest()
            self.by_key[key] = Item(digest, [set() for _ in self.inputs[record]])
        joined = self.by_key[key]
        self.added[record] = joined
        for number, alternatives in enumerate(self.inputs[record]):
            for source, selector in alternatives:
                item = self.added[source]
                joined.links[number].add((item, selector))
                below = self.children.setdefault(item, {})
                below.setdefault((digest, number, selector), set()).add(key)
        return joined

    def check_loops(self) -> None:
        """Walk every path from every root, with nothing but the path in mind."""
        for key in [key for key, item in self.by_key.items() if not item.links]:
            self._walk(key, set())

    def _walk(self, key: str, path: set[str]) -> None:
        self.calls += 1
        item = self.by_key[key]
        path.add(key)
        for below in self.children.get(item, {}).values():
            for child in sorted(below):
                if child in path:
                    self.removed += 1
                    below.discard(child)
                else:
                    self._walk(child, path)
        path.discard(key)

    def partition(self) -> list[int]:
        """The smallest record of the item of each record."""
        first: dict[Item, int] = {}
        return [first.setdefault(self.added[record], record) for record in range(len(self.digests))]


def export(digests: Sequence[str], inputs: Sequence[Inputs], order: Sequence[int]) -> Run:
    """Merge the records as an importer lists them, their alternatives as they stand there, then check for loops."""
    run = Run(digests, inputs)
    for record in order:
        run.visit(record)
    run.check_loops()
    return run
