"""Gives the records of caches the names of the steps of builds that make them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from cachedoctor.builds.build import Build, Input, Location, Step, record_digest
from cachedoctor.builds.lookup import Certainty, Found, Lookup, Wild, names_of, needed_outputs, wild_of
from cachedoctor.builds.names import Name, Place
from cachedoctor.cacheconfig import NO_PARENT, CacheConfig
from cachedoctor.graph.joining import without_joining
from cachedoctor.graph.layers import layer_tree, parents_first
from cachedoctor.graph.records import Graph
from cachedoctor.graph.records import build as graph_of

MOST_PLACES = 64
"""Places that are compared for a record whose inputs do not agree with any step."""
MOST_USES = 8
"""Steps that are looked at to say what content, or which image, a root is."""
_MOST_PATHS = 3


def match(
    builds: Sequence[Build], configs: Sequence[CacheConfig], diff_ids: Sequence[Mapping[str, str]] = ()
) -> list[list[Name | None]]:
    """For each config, the name of each record, `None` if it is not of these builds.

    Steps are looked up in their order, as BuildKit does. Since each comes after those that it needs, this finds all
    steps whose digest and inputs agree with a record, and no others. A second pass takes what the first left: content
    may then stand for any input. What is left after that has a name that is not sure, by its digest alone.
    `diff_ids` has the uncompressed digests of blobs, for each config: from them follows which roots are base images.
    Linear in links, times the steps that a record can be.
    """
    steps = _Steps(builds)
    ids: Sequence[Mapping[str, str]] = diff_ids or [{}] * len(configs)
    return [_Matching(steps, config, of_config).names() for config, of_config in zip(configs, ids, strict=True)]


def images(config: CacheConfig, diff_ids: Mapping[str, str] | None = None) -> dict[str, int]:
    """The digest of the root of each image that the layers of a cache begin with, and its number of layers.

    An image is also known by the chain ID of its layers (v0.8 to v0.32: `containerimage.(*puller).CacheKey`), which
    follows from their uncompressed digests: from `diff_ids`, or from annotations that some backends write.
    """
    ids = diff_ids or {}
    tree = layer_tree(config.parents)
    chain_ids: list[str] = [""] * len(config.blobs)
    found: dict[str, int] = {}
    for layer in parents_first(config, tree):
        diff_id = ids.get(config.blobs[layer]) or _annotated(config.layer_fields[layer])
        parent = config.parents[layer]
        if not diff_id or not tree.depth[layer]:
            continue
        if parent == NO_PARENT:
            chain_ids[layer] = diff_id
        elif chain_ids[parent]:
            chain_ids[layer] = _digest(f"{chain_ids[parent]} {diff_id}")
        if chain_ids[layer]:
            root = record_digest(_digest(f"buildkit.source.v0:{chain_ids[layer]}"), 0)
            found[root] = tree.depth[layer]
    return found


def _annotated(fields: Mapping[str, object] | None) -> str:
    annotations = fields.get("annotations") if fields else None
    diff_id = annotations.get("diffID") if isinstance(annotations, dict) else None
    return diff_id if isinstance(diff_id, str) else ""


def _digest(text: str) -> str:
    return f"sha256:{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


class _Use(NamedTuple):
    """A step that needs what a root is."""

    place: int
    source: int
    """The place of the step that makes it."""
    needed: Input
    sure: bool


class _Steps:
    """The outputs of the steps of all builds, each a place with a number, in an order in which inputs come first."""

    def __init__(self, builds: Sequence[Build]) -> None:
        self.places: list[Place] = []
        self.steps: list[Step] = []
        self.inputs: list[list[int]] = []
        """The places of the inputs of each place."""
        self.by_name: dict[str, list[int]] = defaultdict(list)
        """The places whose record can have a digest."""
        for number, build in enumerate(builds):
            of_outputs: dict[tuple[int, int], int] = {}
            for index, outputs in enumerate(needed_outputs(build)):
                step = build.steps[index]
                inputs = [of_outputs[needed.step, needed.output] for needed in step.inputs]
                for output in outputs:
                    place = of_outputs[index, output] = len(self.places)
                    self.places.append(Place(number, index, output))
                    self.steps.append(step)
                    self.inputs.append(inputs)
                    for name in names_of(step, output):
                        self.by_name[name].append(place)

        self.unique = [
            all(len(self.by_name[name]) == 1 for name in names_of(step, place.output))
            for step, place in zip(self.steps, self.places, strict=True)
        ]
        """For each place, whether no other one has its digest."""

    def location(self, place: int) -> Location | None:
        """The first line of a step."""
        return next(iter(self.steps[place].locations), None)

    def label(self, place: int) -> str:
        """A step in words: `Dockerfile:12 RUN make`, or what it is if it has no line."""
        location, label = self.location(place), self.steps[place].label
        return f"{location.file}:{location.line} {location.text or label}" if location else label


class _Matching:
    """The records of one cache, and the places that each can be."""

    def __init__(self, steps: _Steps, config: CacheConfig, diff_ids: Mapping[str, str]) -> None:
        self._steps = steps
        self._size = len(config.digests)
        self._graph: Graph = graph_of([without_joining(config)])
        self._images = images(config, diff_ids)
        self._lookup = Lookup(self._graph, steps.by_name)
        self._places: list[list[int]] = [[] for _ in self._graph.digests]
        self._sure = [False] * self._graph.size

    def names(self) -> list[Name | None]:
        """The name of each record."""
        found = self._forwards([wild_of(step) for step in self._steps.steps], relaxed=False)
        if any(
            digest in self._steps.by_name and not places
            for digest, places in zip(self._graph.digests, self._places, strict=True)
        ):
            self._forwards(found, relaxed=True)
        self._by_digest()
        names = [self._name(record) for record in range(self._graph.size)]
        for record, uses in self._uses().items():
            names[record] = self._root(record, uses)
        for record, digest in enumerate(self._graph.digests):
            if names[record] is None and digest in self._images and not self._graph.arity(record):
                layers = self._images[digest]
                names[record] = Name(f"base image of {layers:,} layer{'s' if layers != 1 else ''}", (), (), sure=True)
        return [*names, *[None] * (self._size - len(names))]

    def _forwards(self, before: Sequence[Found], *, relaxed: bool) -> list[Found]:
        """Look all steps up, adding to what was found before, and give places to records that have none.

        If it is `relaxed`, content may stand for any input.
        """
        steps = self._steps
        found: list[Found] = []
        of_records: dict[int, dict[int, Certainty]] = defaultdict(dict)
        for place, step in enumerate(steps.steps):
            inputs = [found[number] for number in steps.inputs[place]]
            looked_up = _by_content(step) if relaxed else step
            content = _content if steps.unique[place] else _content_unless_linked
            of_place = self._lookup.find(looked_up, steps.places[place].output, inputs, content, linked_first=True)
            for record, certainty in of_place.records.items():
                of_records[record][place] = certainty
            found.append(of_place._replace(records={**of_place.records, **before[place].records}))
        for record, certainties in of_records.items():
            if not self._places[record]:
                best = max(certainties.values())
                self._places[record] = [place for place, certainty in certainties.items() if certainty is best]
                self._sure[record] = best >= Certainty.LIKELY and not relaxed
        return found

    def _by_digest(self) -> None:
        """Give the records that are left the steps that have most in common with them."""
        order, cyclic = self._graph.adjacency.topological
        for record in (*order, *cyclic):
            if not self._places[record]:
                arity = self._graph.arity(record)
                places = [
                    place
                    for place in self._steps.by_name.get(self._graph.digests[record], ())[:MOST_PLACES]
                    if len(self._steps.inputs[place]) == arity
                ]
                scores = {place: self._in_common(record, place) for place in places}
                best = max(scores.values(), default=0)
                self._places[record] = [place for place, score in scores.items() if score == best]

    def _in_common(self, record: int, place: int) -> int:
        """How much of the inputs of a record agrees with a step."""
        graph, score = self._graph, 0
        for number, needed in enumerate(self._steps.steps[place].inputs):
            source = self._steps.inputs[place][number]
            agreeing = [link for link in self._lookup.links(record, number) if graph.selectors[link] == needed.selector]
            score += bool(agreeing) + any(source in self._places[graph.links[link]] for link in agreeing)
        return score

    def _name(self, record: int) -> Name | None:
        places = self._places[record]
        if not places:
            return None
        steps = self._steps
        locations = (location for place in places for location in steps.steps[place].locations)
        return Name(
            steps.label(places[0]),
            tuple(dict.fromkeys(locations)),
            tuple(steps.places[place] for place in places),
            self._sure[record],
        )

    def _uses(self) -> dict[int, list[_Use]]:
        """For each root that may be content or an image, some of the steps that need it."""
        graph, uses = self._graph, defaultdict[int, list[_Use]](list)
        for record, places in enumerate(self._places):
            for number, links in self._lookup.slots(record) if places else ():
                for link in links:
                    root = graph.links[link]
                    if self._lookup.content[root] and len(uses[root]) < MOST_USES:
                        uses[root] += self._as_input(record, number, graph.selectors[link])
        return {root: of_root for root, of_root in uses.items() if of_root}

    def _as_input(self, record: int, number: int, selector: str) -> Iterator[_Use]:
        """What a root with this selector is for the steps that a record can be, if it is content or an image."""
        steps = self._steps
        for place in self._places[record][:MOST_USES]:
            source, needed = steps.inputs[place][number], steps.steps[place].inputs[number]
            is_content = needed.by_content and not selector
            is_image = selector == needed.selector and wild_of(steps.steps[source]).wild is Wild.ROOT
            if is_content or is_image:
                yield _Use(place, source, needed, self._sure[record])

    def _root(self, record: int, uses: Sequence[_Use]) -> Name:
        steps, first = self._steps, uses[0]
        is_content = first.needed.by_content and self._graph.digests[record] not in self._images
        if is_content:
            label = f"content of {_paths(first)}{self._within(first.source)} for {steps.label(first.place)}"
        else:
            label = f"layers of {steps.label(first.source)}"
        shown = (steps.location(use.place if is_content else use.source) for use in uses)
        return Name(
            label,
            tuple(dict.fromkeys(location for location in shown if location)),
            tuple(dict.fromkeys(steps.places[use.source] for use in uses)),
            all(use.sure for use in uses),
        )

    def _within(self, source: int) -> str:
        step = self._steps.steps[source]
        return f" in the {step.label}" if wild_of(step).local else ""


def _paths(use: _Use) -> str:
    paths = use.needed.paths
    shown = ", ".join(paths[:_MOST_PATHS])
    return f"{shown} and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else shown


def _content(needed: Input, found: Found, others: bool) -> Certainty:
    """A local source has no other record, so its content is it."""
    return Certainty.SURE if found.local else Certainty.POSSIBLE


def _content_unless_linked(needed: Input, found: Found, others: bool) -> Certainty:
    """The same for a step that differs from others only in its inputs."""
    return Certainty.SURE if found.local and not others else Certainty.POSSIBLE


def _by_content(step: Step) -> Step:
    """The step as if content could stand for each of its inputs."""
    return replace(step, inputs=tuple(replace(needed, by_content=True) for needed in step.inputs))
