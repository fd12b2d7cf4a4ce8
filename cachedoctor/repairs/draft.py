"""A cache that is being repaired: the records of all documents, merged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, compress
from operator import lt
from typing import Any, NamedTuple

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig, all_within
from cachedoctor.cacheconfig.document import instant
from cachedoctor.graph import layers
from cachedoctor.graph.joining import joining_records, with_joining
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.records import Graph
from cachedoctor.graph.survey import Survey

_NONE = -1
_OUTSIDE = -2
_MISSING = -3


class Alternative(NamedTuple):
    """A link that was removed, by the items that the survey merged."""

    item: int
    source: int
    closed_loop: bool


@dataclass(slots=True)
class Removed:
    """What repair removed from the documents, and why."""

    looping_links: int = 0
    pruned_links: int = 0
    pruned_definitions: int = 0
    """The pruned links that have a selector, which reach a record by the definition of its step."""
    dangling_links: int = 0
    """Links to records that are outside the document, dead or invalid."""
    duplicate_records: int = 0
    dead_records: int = 0
    invalid_records: int = 0
    """Records with an input that has no alternative inside the document."""
    dropped_records: list[str] = field(default_factory=list)
    """Digests of records that were dropped to reach a size, oldest results first."""
    imitations: list[str] = field(default_factory=list)
    """Digests of records that nothing uses and that would be taken for joining records; they are dead records too."""
    dangling_results: int = 0
    """Results and chains whose layers are outside the document, or in or below a cycle of parents, and empty chains."""
    missing_blob_results: int = 0
    dead_results: int = 0
    """Results and chains of records that are dead or invalid."""
    duplicate_results: int = 0
    unused_layers: int = 0
    alternatives: tuple[Alternative, ...] = ()
    """The looping and the pruned links, in the order in which they were removed."""


@dataclass(frozen=True, slots=True)
class Results:
    """The results and chains of all items. Those of the same item are sorted by date, oldest first."""

    start: list[int]
    """Offset of each item's first result; one entry more than there are items."""
    layers: list[int]
    created: list[str]
    chains: list[tuple[int, list[int], str]]
    """Item, layers and `createdAt` of each chain, in the order of items."""

    def of_items(self, kept: Sequence[int]) -> Results:
        """Only those of some items, which are renumbered."""
        spans = [range(self.start[item], self.start[item + 1]) for item in kept]
        number = {item: index for index, item in enumerate(kept)}
        return Results(
            start=[0, *accumulate(map(len, spans))],
            layers=[self.layers[index] for span in spans for index in span],
            created=[self.created[index] for span in spans for index in span],
            chains=[(number[item], listed, created) for item, listed, created in self.chains if item in number],
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers of all documents, in the order in which they first occur. Equal layers are one."""

    blobs: list[str]
    parents: list[int]
    fields: list[dict[str, Any] | None]


@dataclass(slots=True)
class Draft:
    """The items of a merged cache, in the order of their smallest records."""

    graph: Graph
    """The items as records. There may still be loops."""
    results: Results
    layers: Layers
    removed: Removed
    joins: bool = True
    """Whether `config` adds a joining record if there is more than one leaf."""
    items: Sequence[int] | None = None
    """The items of the survey that are left, `None` for all."""

    def copy(self) -> Draft:
        """A draft that can be changed while this one stays as it is."""
        return replace(self, removed=replace(self.removed))

    def acyclic(self) -> Acyclic:
        """The graph of the draft, which must have no loops any more."""
        _, cyclic = self.graph.adjacency.topological
        assert not cyclic
        return Acyclic(self.graph.adjacency, removed=0)

    def prune(self, gone: Collection[int]) -> None:
        """Remove the links with these indices, and count them."""
        self.removed.pruned_links += len(gone)
        self.removed.pruned_definitions += sum(bool(self.graph.selectors[index]) for index in gone)
        self.unlink(gone, closed_loop=False)

    def unlink(self, gone: Collection[int], *, closed_loop: bool) -> None:
        """Remove the links with these indices, and keep which they were."""
        owners, items = list(self.graph.owners()), self.items or range(self.graph.size)
        self.removed.alternatives += tuple(
            Alternative(items[owners[index]], items[self.graph.links[index]], closed_loop) for index in sorted(gone)
        )
        self.graph = self.graph.without(gone)

    def without_imitations(self) -> Draft:
        """The draft without last records that would be taken for joining records, for readers leave those out."""
        imitations = joining_records(self._config(self.layers, self.results))
        if not imitations:
            return self
        draft, kept = self.copy(), range(imitations.start)
        digests = self.graph.digests[imitations.start :]
        draft.graph, draft.results = self.graph.only(kept), self.results.of_items(kept)
        draft.removed.imitations = [*self.removed.imitations, *digests]
        draft.removed.dead_records += len(digests)
        return draft

    def config(self) -> CacheConfig:
        """The draft as a document, with only the layers that results need, and a joining record if it needs one."""
        plain, leaves = self.plain(), self.graph.leaves if self.joins else []
        return with_joining(plain, leaves) if len(leaves) > 1 else plain

    def plain(self) -> CacheConfig:
        """The same without a joining record."""
        results, layers = self.results, self.layers
        needed = _needed(
            layers.parents, [*results.layers, *(layer for _, listed, _ in results.chains for layer in listed)]
        )
        return self._config(layers, results) if all(needed) else self._config(*_only(layers, results, needed))

    def _config(self, layers: Layers, results: Results) -> CacheConfig:
        return CacheConfig(
            blobs=layers.blobs,
            parents=layers.parents,
            digests=self.graph.digests,
            input_start=self.graph.input_start,
            link_start=self.graph.link_start,
            links=self.graph.links,
            selectors=self.graph.selectors,
            result_start=results.start,
            results=results.layers,
            result_created=results.created,
            chains=results.chains,
            layer_fields=layers.fields,
            unknown_fields=(),
        )


def _needed(parents: Sequence[int], results: Sequence[int]) -> bytearray:
    """One byte per layer: 1 if it is the layer of a result, or an ancestor of one."""
    if len(set(results)) == len(parents):
        return bytearray(b"\1") * len(parents)
    needed = bytearray(len(parents))
    for layer in results:
        while layer != NO_PARENT and not needed[layer]:
            needed[layer] = 1
            layer = parents[layer]
    return needed


def _only(layers: Layers, results: Results, needed: bytearray) -> tuple[Layers, Results]:
    """Only the layers that are needed, and the results with their new numbers."""
    number = list(accumulate(needed, initial=0))
    parents = compress(layers.parents, needed)
    return Layers(
        list(compress(layers.blobs, needed)),
        [NO_PARENT if parent == NO_PARENT else number[parent] for parent in parents],
        list(compress(layers.fields, needed)),
    ), Results(
        results.start,
        list(map(number.__getitem__, results.layers)),
        results.created,
        [(item, list(map(number.__getitem__, listed)), created) for item, listed, created in results.chains],
    )


def join(survey: Survey, blobs: Sequence[frozenset[str] | None]) -> Draft:
    """Merge the documents of a survey: remove dead records and bad links, and make equal records and layers one.

    `blobs` are the usable blobs of each document (`CacheDocument.usable_blobs`), `None` without a manifest. Every
    distinct result is kept, except those that no importer can use: their layers are outside the document or in a
    cycle, or their blobs are not listed or not there. Results are sorted by date, oldest first: BuildKit up to v0.24
    keeps the last one, v0.25 and later take the newest.
    """
    removed = Removed()
    _count_records_and_links(survey, removed)
    joined, numbers = _joined_layers(survey)
    if any(listed is not None for listed in blobs):
        numbers = [
            _without_missing(survey, document, blobs[document], of_layers) for document, of_layers in enumerate(numbers)
        ]
    draft = Draft(survey.merged.graph, _joined_results(survey, numbers, removed), joined, removed)
    return draft.without_imitations()


def _count_records_and_links(survey: Survey, removed: Removed) -> None:
    graph, item_of = survey.graph, survey.merged.item_of
    removed.duplicate_records = len(survey.order) - survey.merged.size
    removed.dangling_links = sum(len(config.links) for config in survey.configs) - len(graph.links)
    for record, item in enumerate(item_of if survey.dead_records else ()):
        if item >= 0:
            removed.dangling_links += sum(item_of[source] < 0 for source in graph.links[graph.span(record)])
        elif not all(graph.inputs(record)):
            removed.invalid_records += 1
        else:
            removed.dead_records += 1


def _joined_layers(survey: Survey) -> tuple[Layers, list[list[int]]]:
    """The layers of all documents, and for each layer of each document its number among them, or `_OUTSIDE`."""
    of_documents = list(zip(survey.configs, survey.trees, survey.chain_numbers, strict=True))
    if len(of_documents) == 1:
        config, tree, numbers = of_documents[0]
        if all(tree.depth) and len(set(numbers)) == len(numbers):
            return Layers(config.blobs, config.parents, config.layer_fields), [list(range(len(numbers)))]
    joined = Layers([], [], [])
    first: dict[int, int] = {}
    parents: list[int] = []
    for config, tree, numbers in of_documents:
        for layer, number in enumerate(numbers):
            if tree.depth[layer] and number not in first:
                first[number] = len(joined.blobs)
                joined.blobs.append(config.blobs[layer])
                joined.fields.append(config.layer_fields[layer])
                parents.append(numbers[config.parents[layer]] if tree.depth[layer] > 1 else _NONE)
    joined.parents.extend(NO_PARENT if parent == _NONE else first[parent] for parent in parents)
    return joined, [
        [first[number] if depth else _OUTSIDE for number, depth in zip(numbers, tree.depth, strict=True)]
        for _, tree, numbers in of_documents
    ]


def _without_missing(survey: Survey, document: int, listed: frozenset[str] | None, numbers: Sequence[int]) -> list[int]:
    """The numbers of a document's layers, but `_MISSING` if their blob, or that of an ancestor, is not listed."""
    if listed is None:
        return list(numbers)
    incomplete = layers.incomplete_layers(survey.configs[document], survey.trees[document], listed)
    return [
        _MISSING if lacks and number != _OUTSIDE else number for number, lacks in zip(numbers, incomplete, strict=True)
    ]


def _joined_results(survey: Survey, numbers: Sequence[Sequence[int]], removed: Removed) -> Results:
    """The results and chains of all records, by item. Equal ones become one with the newest date."""
    owners: list[int] = []
    result_layers: list[int] = []
    created: list[str] = []
    chains: dict[tuple[int, tuple[int, ...]], str] = {}
    base = 0
    for config, of_layers in zip(survey.configs, numbers, strict=True):
        items = survey.merged.item_of[base : base + len(config.digests)]
        base += len(config.digests)
        owners += map(items.__getitem__, layers.result_owners(config))
        result_layers += _looked_up(of_layers, config.results)
        created += config.result_created
        for record, listed, time in config.chains:
            removed.dead_results += items[record] < 0
            if items[record] >= 0 and _usable(kept := tuple(_looked_up(of_layers, listed)), removed):
                _keep_newest(chains, (items[record], kept), time, removed)
    if min(owners, default=0) < 0 or min(result_layers, default=0) < 0:
        usable = [owner >= 0 and _usable((layer,), removed) for owner, layer in zip(owners, result_layers, strict=True)]
        removed.dead_results += sum(owner < 0 for owner in owners)
        owners = list(compress(owners, usable))
        result_layers = list(compress(result_layers, usable))
        created = list(compress(created, usable))
    if not all(map(lt, owners, owners[1:])):
        owners, result_layers, created = _by_item(owners, result_layers, created, removed)
    return Results(
        start=_start(owners, survey.merged.size),
        layers=result_layers,
        created=created,
        chains=[
            (item, list(listed), time)
            for (item, listed), time in sorted(chains.items(), key=lambda chain: (chain[0][0], instant(chain[1])))
        ],
    )


def _looked_up(numbers: Sequence[int], layers: Sequence[int]) -> list[int]:
    """The numbers of these layers of a document, `_OUTSIDE` for layers that it does not have."""
    if all_within(layers, len(numbers)):
        return list(map(numbers.__getitem__, layers))
    return [numbers[layer] if 0 <= layer < len(numbers) else _OUTSIDE for layer in layers]


def _usable(numbers: Sequence[int], removed: Removed) -> bool:
    """Whether a result has all its layers. If not, it is counted as removed."""
    if not numbers or _OUTSIDE in numbers:
        removed.dangling_results += 1
        return False
    if _MISSING in numbers:
        removed.missing_blob_results += 1
        return False
    return True


def _by_item(
    owners: Sequence[int], result_layers: Sequence[int], created: Sequence[str], removed: Removed
) -> tuple[list[int], list[int], list[str]]:
    """The columns of results in the order of items, without duplicates. Those of an item are sorted by date."""
    newest: dict[tuple[int, int], str] = {}
    for owner, layer, time in zip(owners, result_layers, created, strict=True):
        _keep_newest(newest, (owner, layer), time, removed)
    ordered = sorted(newest.items(), key=lambda result: (result[0][0], instant(result[1])))
    return [item for (item, _), _ in ordered], [layer for (_, layer), _ in ordered], [time for _, time in ordered]


def _keep_newest(times: dict[Any, str], key: Any, time: str, removed: Removed) -> None:
    if key not in times:
        times[key] = time
        return
    removed.duplicate_results += 1
    if instant(time) > instant(times[key]):
        times[key] = time


def _start(owners: Sequence[int], count: int) -> list[int]:
    """Offset of the first result of each of `count` items, and of the end."""
    sizes = [0] * count
    for owner in owners:
        sizes[owner] += 1
    return [0, *accumulate(sizes)]
