"""A cache that is being repaired: one entry for each record that stays, whatever documents it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, pairwise
from typing import Any, TypeVar

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig
from cachedoctor.graph import layers
from cachedoctor.graph.adjacency import Adjacency
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.survey import Survey
from cachedoctor.repairs.loops import Inputs

Key = TypeVar("Key")


@dataclass(slots=True)
class Removed:
    """What repair took out of the documents, and why."""

    looping_links: int = 0
    pruned_links: int = 0
    pruned_definitions: int = 0
    """Of the pruned links those with a selector: ways to a record by the definition of its step."""
    dangling_links: int = 0
    """Links to records outside the document, and to records that are dead or invalid."""
    duplicate_records: int = 0
    dead_records: int = 0
    invalid_records: int = 0
    """Records with an input that has no alternative inside the document."""
    dropped_records: list[str] = field(default_factory=list)
    """Digests of records that were given up to reach a size, oldest first."""
    dangling_results: int = 0
    """Results and chains whose layers are outside the document or in a cycle of parents."""
    missing_blob_results: int = 0
    duplicate_results: int = 0
    unused_layers: int = 0


@dataclass(slots=True)
class Draft:
    """The items of a merged cache in the order of their smallest records. `inputs` may still hold loops."""

    digests: list[str]
    inputs: list[Inputs]
    results: list[list[tuple[str, int]]]
    """For each item its results as (`createdAt`, layer), oldest first."""
    chains: list[list[tuple[str, tuple[int, ...]]]]
    """For each item its chains as (`createdAt`, layers), oldest first."""
    blobs: list[str]
    parents: list[int]
    layer_fields: list[dict[str, Any] | None]
    rank: list[int]
    """An order in which each item comes after at least one alternative of each of its inputs."""
    removed: Removed

    @property
    def links(self) -> int:
        """Number of links."""
        return sum(len(one) for inputs in self.inputs for one in inputs)

    def acyclic(self) -> Acyclic:
        """The graph of the draft, whose loops are cut already."""
        sources = [[source for one in inputs for source, _ in one] for inputs in self.inputs]
        links = Adjacency(sources)
        order, cyclic = links.topological
        assert not cyclic
        roots = [item for item, own in enumerate(sources) if not own]
        return Acyclic(sources, links.children, order, roots, removed=0)

    def config(self) -> CacheConfig:
        """The document, with the layers that results need and no others."""
        kept = self._needed_layers()
        number = {layer: index for index, layer in enumerate(kept)}
        inputs = list(chain.from_iterable(self.inputs))
        links = list(chain.from_iterable(inputs))
        results = list(chain.from_iterable(self.results))
        return CacheConfig(
            blobs=[self.blobs[layer] for layer in kept],
            parents=[number.get(self.parents[layer], NO_PARENT) for layer in kept],
            digests=self.digests,
            input_start=[0, *accumulate(map(len, self.inputs))],
            link_start=[0, *accumulate(map(len, inputs))],
            links=[source for source, _ in links],
            selectors=[selector for _, selector in links],
            result_start=[0, *accumulate(map(len, self.results))],
            results=[number[layer] for _, layer in results],
            result_created=[created for created, _ in results],
            chains=[
                (item, [number[layer] for layer in listed], created)
                for item, own in enumerate(self.chains)
                for created, listed in own
            ],
            layer_fields=[self.layer_fields[layer] for layer in kept],
            unknown_fields=(),
        )

    def _needed_layers(self) -> list[int]:
        needed = bytearray(len(self.blobs))
        pointed = [layer for own in self.results for _, layer in own]
        pointed += [layer for own in self.chains for _, listed in own for layer in listed]
        for start in pointed:
            layer = start
            while layer != NO_PARENT and not needed[layer]:
                needed[layer] = 1
                layer = self.parents[layer]
        return [layer for layer, is_needed in enumerate(needed) if is_needed]


class _Layers:
    """The layers of all documents, equal ones joined, in the order in which they first occur."""

    def __init__(self, survey: Survey, blobs: Sequence[frozenset[str] | None]) -> None:
        self.blobs: list[str] = []
        self.parents: list[int] = []
        self.fields: list[dict[str, Any] | None] = []
        self.of_document: list[list[int]] = []
        """For each layer of each document its number here, `_OUTSIDE` or `_MISSING` where no result may need it."""
        numbers = survey.chain_numbers.of_layers
        first: dict[int, int] = {}
        parent_number: list[int] = []
        for config, tree, own in zip(survey.configs, survey.trees, numbers, strict=True):
            for layer, number in enumerate(own):
                if tree.depth[layer] and number not in first:
                    first[number] = len(self.blobs)
                    self.blobs.append(config.blobs[layer])
                    self.fields.append(config.layer_fields[layer])
                    parent_number.append(own[config.parents[layer]] if tree.depth[layer] > 1 else _NONE)
        self.parents = [NO_PARENT if number == _NONE else first[number] for number in parent_number]
        for config, tree, own, listed in zip(survey.configs, survey.trees, numbers, blobs, strict=True):
            incomplete = bytes(len(own)) if listed is None else layers.incomplete_layers(config, tree, listed)
            self.of_document.append(
                [
                    _OUTSIDE if not tree.depth[layer] else _MISSING if incomplete[layer] else first[number]
                    for layer, number in enumerate(own)
                ]
            )

    def number(self, document: int, layer: int) -> int:
        """The number of a layer here, or why there is none."""
        own = self.of_document[document]
        return own[layer] if 0 <= layer < len(own) else _OUTSIDE


_NONE = -1
_OUTSIDE = -2
_MISSING = -3


def draft(survey: Survey, blobs: Sequence[frozenset[str] | None]) -> Draft:
    """Merge the documents of a survey: dead records and bad links go, equal records and layers become one.

    `blobs` are for each document what its manifest lists, `None` where there is none. Every distinct result stays, but
    for those that no importer could use: layers outside the document or in a cycle, and blobs that the manifest does
    not list. Results are put oldest first: BuildKit up to v0.24 keeps the last, v0.25 and later take the newest.
    """
    removed = Removed()
    item_of = _items(survey, removed)
    made = _Layers(survey, blobs)
    count = len(survey.merged.records)
    results: dict[tuple[int, int], str] = {}
    chains: dict[tuple[int, tuple[int, ...]], str] = {}
    _gather_results(survey, item_of, made, results, chains, removed)
    inputs, rank = _gather_inputs(survey, item_of, removed)
    return Draft(
        digests=[survey.graph.digests[record] for record in survey.merged.records],
        inputs=inputs,
        results=_oldest_first(results, count),
        chains=_oldest_first(chains, count),
        blobs=made.blobs,
        parents=made.parents,
        layer_fields=made.fields,
        rank=rank,
        removed=removed,
    )


def _items(survey: Survey, removed: Removed) -> list[int]:
    """The item of each record, -1 for those that nothing reaches."""
    graph = survey.graph
    number = {record: item for item, record in enumerate(survey.merged.records)}
    item_of = [-1] * graph.size
    for record in survey.order:
        item_of[record] = number[survey.merge.item[record]]
    removed.duplicate_records = len(survey.order) - survey.merged.size
    for record, item in enumerate(item_of):
        if item < 0:
            if all(graph.inputs(record)):
                removed.dead_records += 1
            else:
                removed.invalid_records += 1
    return item_of


def _gather_inputs(survey: Survey, item_of: Sequence[int], removed: Removed) -> tuple[list[Inputs], list[int]]:
    """The joined alternatives of each item, each once, in the order of the documents; and the rank of each item."""
    graph, merged = survey.graph, survey.merged
    removed.dangling_links = sum(len(config.links) for config in survey.configs) - len(graph.links)
    links = list(zip(map(item_of.__getitem__, graph.links), graph.selectors, strict=True))
    slots = [links[low:high] for low, high in pairwise(graph.link_start)]
    inputs = [slots[low:high] for low, high in pairwise(graph.input_start)]
    if merged.size < graph.size or merged.links < len(graph.links):
        inputs = _joined(inputs, item_of, merged.size, removed)
    rank = [-1] * merged.size
    for place, record in enumerate(survey.order):
        if rank[item_of[record]] < 0:
            rank[item_of[record]] = place
    return inputs, rank


def _joined(inputs: Sequence[Inputs], item_of: Sequence[int], count: int, removed: Removed) -> list[Inputs]:
    """The inputs of so many items from those of all records, whose sources are items already, or -1."""
    joined: list[list[dict[tuple[int, str], None]]] = [[] for _ in range(count)]
    for item, slots in zip(item_of, inputs, strict=True):
        if item < 0:
            continue
        own = joined[item]
        for number, one in enumerate(slots):
            alive = [link for link in one if link[0] >= 0]
            removed.dangling_links += len(one) - len(alive)
            if number == len(own):
                own.append({})
            own[number].update(dict.fromkeys(alive))
    return [[list(one) for one in own] for own in joined]


def _gather_results(
    survey: Survey,
    item_of: Sequence[int],
    made: _Layers,
    results: dict[tuple[int, int], str],
    chains: dict[tuple[int, tuple[int, ...]], str],
    removed: Removed,
) -> None:
    """Put the results and chains of all records to their items; of equal ones the newest date stays."""
    base = 0
    for document, config in enumerate(survey.configs):
        for (record, layer), created in zip(layers.results(config), config.result_created, strict=True):
            item = item_of[base + record]
            if item >= 0 and (number := _usable([made.number(document, layer)], removed)):
                _newest(results, (item, number[0]), created, removed)
        for record, listed, created in config.chains:
            item = item_of[base + record]
            if item >= 0 and (number := _usable([made.number(document, layer) for layer in listed], removed)):
                _newest(chains, (item, number), created, removed)
        base += len(config.digests)


def _usable(numbers: list[int], removed: Removed) -> tuple[int, ...]:
    if _OUTSIDE in numbers:
        removed.dangling_results += 1
        return ()
    if _MISSING in numbers:
        removed.missing_blob_results += 1
        return ()
    return tuple(numbers)


def _newest(own: dict[Any, str], key: Any, created: str, removed: Removed) -> None:
    if key not in own:
        own[key] = created
        return
    removed.duplicate_results += 1
    if layers.instant(created) > layers.instant(own[key]):
        own[key] = created


def _oldest_first(newest: Mapping[tuple[int, Key], str], count: int) -> list[list[tuple[str, Key]]]:
    """What each of so many items has."""
    own: list[list[tuple[str, Key]]] = [[] for _ in range(count)]
    for (item, key), created in newest.items():
        own[item].append((created, key))
    for dated in own:
        if len(dated) > 1:
            dated.sort(key=lambda one: layers.instant(one[0]))
    return own
