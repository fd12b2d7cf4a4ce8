"""What BuildKit's importers make of documents, restated literally and slowly, without any code of the package.

`Older` is v0.9 to v0.24: records are linked one by one, and merged by the exporter, which is `reference.Export`.
`Newer` is v0.25 to v0.32: records are merged while they are added. Go walks maps in random order, so each choice
that depends on one is made by a `random.Random`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.graph.reference import Document, Export, Link, Record, TooLong

LEFT_OUT = "random:"


class Refused(Exception):
    """The importer refuses a document."""


def number(value: Any) -> int:
    """Go leaves a number alone that is null or absent."""
    return value or 0


@dataclass
class Importer:
    """What all importers have in common: records in the order of the document, each after its sources."""

    blobs: frozenset[str] | None = None
    """The blobs that the manifest lists; `None` for all."""
    document: Document = field(default_factory=dict)
    known: dict[int, Any] = field(default_factory=dict)

    def read(self, document: Document) -> None:
        """Import one more document."""
        self.document, self.known = document, {}
        for index in range(len(document.get("records") or [])):
            self.parse(index)

    def record(self, index: int) -> tuple[str, list[list[tuple[int, str]]], Document]:
        """Digest, inputs and everything else of a record that is being parsed."""
        records = self.document.get("records") or []
        if not 0 <= index < len(records):
            raise Refused("invalid record ID")
        written = records[index] or {}
        inputs = [
            [(number((link or {}).get("link")), (link or {}).get("selector") or "") for link in alternatives or []]
            for alternatives in written.get("inputs") or []
        ]
        return written.get("digest") or "", inputs, written

    def parse(self, index: int) -> Any:
        raise NotImplementedError

    def results(self, written: Document) -> None:
        """Follow every result to its layers."""
        for result in written.get("layers") or []:
            self._follow(number((result or {}).get("layer")), set())
        layers = self.document.get("layers") or []
        for chain in written.get("chains") or []:
            for layer in (chain or {}).get("layers") or []:
                if not 0 <= number(layer) < len(layers):
                    raise Refused("invalid layer index")
                if not self._listed(layers[number(layer)]):
                    break

    def _follow(self, layer: int, visited: set[int]) -> None:
        layers = self.document.get("layers") or []
        if layer in visited:
            raise Refused("invalid looping layer")
        visited.add(layer)
        if not 0 <= layer < len(layers):
            raise Refused("invalid layer index")
        parent = number((layers[layer] or {}).get("parent"))
        if self._listed(layers[layer]) and parent != -1:
            self._follow(parent, visited)

    def _listed(self, layer: Document | None) -> bool:
        return self.blobs is None or ((layer or {}).get("blob") or "") in self.blobs


@dataclass
class Older(Importer):
    """v0.9 to v0.24."""

    records: list[Record] = field(default_factory=list)
    """What was added, in this order, linked by position."""

    @property
    def listed(self) -> list[int]:
        """The order in which the exporter goes through them."""
        return list(range(len(self.records)))

    def parse(self, index: int) -> int | None:
        """Add a record, and then its sources; `None` for a record that is left out."""
        if index in self.known:
            if self.known[index] is Refused:
                raise Refused("invalid looping record")
            added: int | None = self.known[index]
            return added
        digest, inputs, written = self.record(index)
        own = None if digest.startswith(LEFT_OUT) else len(self.records)
        linked: list[list[Link]] = []
        if own is not None:
            self.records.append(Record(digest, linked))
        self.known[index] = Refused
        for position, alternatives in enumerate(inputs):
            for link, selector in alternatives:
                source = self.parse(link)
                if source is not None:
                    while position >= len(linked):
                        linked.append([])
                    if (source, selector) not in linked[position]:
                        linked[position].append((source, selector))
        self.results(written)
        self.known[index] = own
        return own


@dataclass(frozen=True)
class Counts:
    """What one run of the older exporter gives. With loops, calls depend on the order of the walk too."""

    items: int
    links: int
    calls: int | None
    """`None` if the walk would take too long."""
    links_removed: bool


def exported(documents: Sequence[Document], choose: random.Random, most_calls: int = 20_000) -> Counts:
    """Import documents into v0.9 to v0.24, and export them in a random order. Raises `Refused`."""
    importer = Older()
    for document in documents:
        importer.read(document)
    run = Export(
        importer.records, lambda record, number, links: choose.sample(links, len(links)), most_calls, importer.listed
    ).run()
    links = run.count_links()
    calls: int | None
    try:
        calls = run.check_loops().calls
    except TooLong:
        calls = None
    return Counts(len(run.by_key), links, calls, run.removed > 0)


@dataclass(eq=False)
class Key:
    """A record of v0.25 and later."""

    digest: str
    serial: int
    children: dict[tuple[str, int, str], list[Key]] = field(default_factory=dict)
    parents: list[set[tuple[Key, str]]] = field(default_factory=list)
    merged_into: Key | None = None
    """Kept by this model only."""

    def below(self) -> set[Key]:
        """The record itself and all its descendants."""
        reached = {self}
        left = [self]
        while left:
            for keys in left.pop().children.values():
                for key in keys:
                    if key not in reached:
                        reached.add(key)
                        left.append(key)
        return reached

    def add_child(self, key: Key, position: int, selector: str) -> None:
        """Link a child to this record, unless it is linked already."""
        children = self.children.setdefault((selector, position, key.digest), [])
        if key not in children:
            children.append(key)
            while position >= len(key.parents):
                key.parents.append(set())
            key.parents[position].add((self, selector))

    def now(self) -> Key:
        """The record that this one was merged into, in the end."""
        key = self
        while key.merged_into:
            key = key.merged_into
        return key


@dataclass
class Newer(Importer):
    """v0.25 to v0.32."""

    choose: random.Random = field(default_factory=random.Random)
    roots: dict[str, Key] = field(default_factory=dict)
    added: list[tuple[int, int, Key]] = field(default_factory=list)
    """Document, record, and what it was added to."""
    documents: int = 0
    keys: int = 0

    def read(self, document: Document) -> None:
        super().read(document)
        self.documents += 1

    def parse(self, index: int) -> Key | None:
        """Add the sources of a record, and then the record."""
        if index in self.known:
            if self.known[index] is None:
                raise Refused("invalid looping record")
            key: Key = self.known[index]
            return key
        self.known[index] = None
        digest, inputs, written = self.record(index)
        links: list[list[tuple[Key | None, str]]] = []
        for alternatives in inputs:
            if not alternatives:
                raise Refused("invalid empty input")
            links.append([(self.parse(link), selector) for link, selector in alternatives])
        self.results(written)
        added = self.known[index] = self.add(digest, links)
        if added:
            self.added.append((self.documents, index, added))
        return added

    def add(self, digest: str, links: list[list[tuple[Key | None, str]]]) -> Key | None:
        """Merge a record into one that it matches, or add it; `None` if it is left out."""
        if digest.startswith(LEFT_OUT):
            return None
        if not links:
            return self.roots.setdefault(digest, self._new(digest))
        deps: list[list[tuple[Key, str]]] = []
        for alternatives in links:
            if any(source is None for source, _ in alternatives):
                raise Refused("invalid dependency type")
            deps.append([(source, selector) for source, selector in alternatives if source])
        matches: set[Key] | None = None
        for position, dep in enumerate(deps):
            linked = [source.children.get((selector, position, digest), []) for source, selector in dep]
            children = {key for keys in linked for key in keys}
            matches = children if matches is None else matches & children
        assert matches is not None
        if not matches:
            key, below = self._new(digest), set[Key]()
        else:
            key = self._merged(matches)
            below = key.below()
        for position, dep in enumerate(deps):
            for source, selector in dep:
                if source not in below:
                    source.add_child(key, position, selector)
        return key

    def _new(self, digest: str) -> Key:
        self.keys += 1
        return Key(digest, self.keys)

    def _merged(self, matches: set[Key]) -> Key:
        """One of the matches, with the children of all of them. The others keep their parents and their children."""
        in_some_order = sorted(matches, key=lambda key: key.serial)
        main = self.choose.choice(in_some_order)
        for other in in_some_order:
            if other is main:
                continue
            for link, children in other.children.items():
                of_main = main.children.setdefault(link, [])
                for child in children:
                    if child not in of_main:
                        of_main.append(child)
                    child.parents = [
                        {(main if source is other else source, selector) for source, selector in parents}
                        for parents in child.parents
                    ]
            if other.now() is not main.now():
                other.now().merged_into = main.now()
        return main

    def export(self) -> Document:
        """Leaves, and everything that they are made from, as a document."""
        everything = {key for root in self.roots.values() for key in root.below()}
        records: list[Document] = []
        index: dict[Key, int] = {}

        def write(key: Key) -> int:
            if key not in index:
                inputs = [
                    [{"selector": selector, "link": write(source)} for source, selector in self._sorted(parents)]
                    for parents in key.parents
                ]
                index[key] = len(records)
                records.append({"digest": key.digest, "inputs": inputs})
            return index[key]

        for key in sorted(everything, key=lambda key: key.serial):
            if not any(key.children.values()):
                write(key)
        return {"records": records}

    @staticmethod
    def _sorted(parents: set[tuple[Key, str]]) -> list[tuple[Key, str]]:
        return sorted(parents, key=lambda parent: (parent[0].serial, parent[1]))

    def partition(self) -> dict[tuple[int, int], Key]:
        """What each record, by document and index, is part of."""
        return {(document, index): key.now() for document, index, key in self.added}
