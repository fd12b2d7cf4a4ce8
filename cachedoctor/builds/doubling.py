"""The copies between stages that multiply the paths of the loop check, and where the same files could come from."""

from __future__ import annotations

import math
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from cachedoctor.builds.build import Build, Input, Step
from cachedoctor.builds.names import Name, Place
from cachedoctor.errors import CountTooLarge
from cachedoctor.graph import logarithms, paths
from cachedoctor.graph.loops import Acyclic
from cachedoctor.graph.records import Adjacency
from cachedoctor.graph.survey import Survey

MOST_COUNTED = 8
"""Copies for which it is counted what would be left without them."""
MOST_BITS = 1 << 31
"""Bits that may be added up for that: about a tenth of a second."""
_FEWEST = 0.01
"""The fraction of all calls that has to pass through a copy for it to be counted."""


class Instead(NamedTuple):
    """Where the same file could be copied from."""

    place: Place
    """The step that makes it, as far as the build shows."""
    path: str
    """What it is called there."""
    runs: tuple[int, ...]
    """Steps of the build that run between the two, and may change the file: then it is not the same."""
    calls: int
    """The loop-check calls that would be left."""


class Doubling(NamedTuple):
    """A copy, or a mount, from another stage that many paths pass through."""

    place: Place
    """The step that copies."""
    input: int
    """Which of its inputs that is."""
    calls: int
    """The loop-check calls that would be left without it."""
    instead: Instead | None


def doublings(builds: Sequence[Build], names: Sequence[Sequence[Name | None]], survey: Survey) -> list[Doubling]:
    """The copies between stages without which most loop-check calls of the next export would be saved, best first.

    `names` are those of the records of each config of the survey. Calls are exact for the median order of the exporter.
    Which copies are counted is decided by the calls through their links, from logarithms. Empty if numbers are so large
    that counting would take long. O(copies counted * (items + links)).
    """
    graph = _Graph(builds, names, survey)
    before = survey.loop_check.middle.calls
    affordable = MOST_BITS // (before.bit_length() * (graph.acyclic.size + graph.acyclic.links) + 1)
    counted = []
    for copy in graph.copies(math.log2(max(1, before)) + math.log2(_FEWEST), min(MOST_COUNTED, affordable // 2)):
        try:
            left = graph.calls_without(copy)
            if left < before:
                counted.append(Doubling(copy.place, copy.input, left, graph.instead(copy)))
        except CountTooLarge:
            continue
    return sorted(counted, key=lambda doubling: (doubling.calls, doubling.place))


@dataclass(frozen=True, slots=True)
class _Copy:
    """An input of a step that comes from another stage."""

    place: Place
    input: int
    items: tuple[int, ...]
    """The items that are this step."""


class _Graph:
    """The graph of the loop check, and the steps that its items are."""

    def __init__(self, builds: Sequence[Build], names: Sequence[Sequence[Name | None]], survey: Survey) -> None:
        self._builds = builds
        self._merged = survey.loop_check.merged.graph
        self.acyclic = survey.loop_check.typical
        self._items: dict[Place, list[int]] = defaultdict(list)
        for item, record in enumerate(survey.loop_check.records):
            document, index = survey.place(record)
            name = names[document][index]
            if name and name.sure and self._merged.arity(item):
                self._items[name.places[0]].append(item)

    def copies(self, least: float, most: int) -> list[_Copy]:
        """The copies that most calls pass through, if their binary logarithm is at least `least`."""
        to, onwards = logarithms.of_paths(self.acyclic), logarithms.of_walks(self.acyclic)
        weights: dict[_Copy, float] = {}
        for place, items in self._items.items():
            build = self._builds[place.build]
            step = build.steps[place.step]
            for number, needed in enumerate(step.inputs):
                if needed.by_content and build.steps[needed.step].kind != "source":
                    copy = _Copy(place, number, tuple(items))
                    through = (to[link] + onwards[item] for item in items for link in self._links(item, number))
                    weights[copy] = max(through, default=0.0)
        heaviest = sorted(weights, key=lambda copy: (-weights[copy], copy.place, copy.input))
        return list(islice((copy for copy in heaviest if weights[copy] >= least), max(0, most)))

    def _links(self, item: int, number: int) -> list[int]:
        """The sources of an input of an item, without those that were cut off with a loop."""
        graph, slot = self._merged, self._merged.input_start[item] + number
        if number >= graph.arity(item):
            return []
        kept = set(self.acyclic.sources[item])
        return [link for link in graph.links[graph.link_start[slot] : graph.link_start[slot + 1]] if link in kept]

    def calls_without(self, copy: _Copy) -> int:
        """The calls that are left if a step does without one of its inputs."""
        return self._calls({item: self._others(item, copy.input) for item in copy.items})

    def _others(self, item: int, number: int) -> list[int]:
        """The sources of all other inputs of an item."""
        return [
            source
            for other in range(self._merged.arity(item))
            if other != number
            for source in self._links(item, other)
        ]

    def _calls(self, changed: Mapping[int, list[int]]) -> int:
        """The calls if some items have other sources; `CountTooLarge` if they would then depend on themselves."""
        sources = self.acyclic.sources.copy()
        for item, of_item in changed.items():
            sources[item] = of_item
        adjacency = Adjacency(sources)
        if adjacency.topological[1]:
            raise CountTooLarge("the copy would be its own source")
        return paths.calls(Acyclic(adjacency, removed=0))

    def instead(self, copy: _Copy) -> Instead | None:
        """Where the file of a copy could come from instead, if that leaves fewer calls."""
        build = self._builds[copy.place.build]
        needed = build.steps[copy.place.step].inputs[copy.input]
        made = _maker(build, needed)
        if made is None:
            return None
        source, path, runs = made
        place = Place(copy.place.build, source.step, source.output)
        items = self._items.get(place)
        if not items:
            return None
        changed = {}
        for item in copy.items:
            content = [link for link in self._links(item, copy.input) if not self._merged.arity(link)]
            changed[item] = [*self._others(item, copy.input), *content, items[0]]
        return Instead(place, path, runs, self._calls(changed))


def _maker(build: Build, needed: Input) -> tuple[Input, str, tuple[int, ...]] | None:
    """The input through which the only file of a copy came into the stage that it is copied from, and so on.

    With it comes the path of the file there, and the steps that run on the way.
    """
    if len(needed.paths) != 1:
        return None
    path, at = needed.paths[0], needed.step
    found: Input | None = None
    runs: list[int] = []
    passed: list[int] = []
    while True:
        step = build.steps[at]
        copied = _copied(step, path)
        if copied is not None and build.steps[copied[0].step].kind != "source":
            found, path = copied
            at = found.step
            runs += passed
            passed = []
            continue
        if step.kind == "exec":
            passed.append(at)
        following = _below(build, step, path)
        if following is None or copied is not None:
            return (found, path, tuple(runs)) if found else None
        at = following


def _below(build: Build, step: Step, path: str) -> int | None:
    """The step that makes what a step adds to, or the part of a merge that has the path."""
    if step.kind == "merge":
        tops = (needed.step for needed in reversed(step.inputs) if _copied(build.steps[needed.step], path))
        return next(tops, step.inputs[0].step if step.inputs else None)
    return next((needed.step for needed in step.inputs if not needed.by_content), None)


def _copied(step: Step, path: str) -> tuple[Input, str] | None:
    """Which input of a step the path is copied from, and what it is called there."""
    text = step.locations[0].text if step.locations else step.label
    words = text.split()
    if step.kind != "file" or len(words) < 3 or words[0].upper() not in ("COPY", "ADD"):
        return None
    for needed in step.inputs:
        if needed.by_content and len(needed.paths) == 1:
            for source in _called(needed.paths[0], words[-1], path):
                return needed, source
    return None


def _called(source: str, destination: str, path: str) -> Iterator[str]:
    """What `path` is called in the stage from which `source` is copied to `destination`."""
    if destination.endswith("/"):
        destination = posixpath.join(destination, posixpath.basename(source.rstrip("/")))
    if destination.startswith("/") and (path == destination or path.startswith(f"{destination}/")):
        yield posixpath.normpath(source + path[len(destination) :])
