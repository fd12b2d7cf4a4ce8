"""Looks the steps of builds up in the records of a cache, the way that BuildKit does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

from cachedoctor.builds.build import Build, Input, Step, record_digest
from cachedoctor.graph.records import Graph

MOST_ALIKE = 100
"""Records that are looked at for one step. Many can have the same digest: all `--link` merges of two inputs do."""


class Certainty(IntEnum):
    """How sure it is that a record is found for a step."""

    NO = 0
    POSSIBLE = 1
    """If content that is not known is as it was."""
    LIKELY = 2
    """The inputs lead to it by their own records, but those are not sure."""
    SURE = 3


class Wild(IntEnum):
    """Which records may also be those of a step, though their digests cannot be computed."""

    NONE = 0
    ROOT = 1
    """Roots: an image has a second digest, that of its layers (v0.8 to v0.32: `containerimage.(*puller).CacheKey`), and
    that of a download can depend on the server."""
    ALIKE = 2
    """Records with the digests of the step: there are too many to tell them apart."""
    ANY = 3
    """Any record: the digest of the operation is unknown."""


class Found(NamedTuple):
    """The records of one output of a step."""

    records: Mapping[int, Certainty]
    wild: Wild = Wild.NONE
    names: Collection[str] = ()
    """What their digest can be."""
    local: bool = False
    """Whether it is a local source, which no cache has a record of."""


ContentCertainty = Callable[[Input, Found, bool], Certainty]
"""How sure it is that content is as it was: for an input of a step, what was found for it, and whether the input of the
record has alternatives that are not content."""


def needed_outputs(build: Build) -> list[list[int]]:
    """The outputs of each step of a build that are needed, the first one always among them."""
    outputs = [{0} for _ in build.steps]
    for step in build.steps:
        for needed in step.inputs:
            outputs[needed.step].add(needed.output)
    return list(map(sorted, outputs))


def names_of(step: Step, output: int) -> list[str]:
    """What the digest of the record of an output can be, most likely first."""
    return list(dict.fromkeys(record_digest(digest, output) for digest in step.digests))


def wild_of(step: Step) -> Found:
    """What is found for a step without looking at any record. Nothing decides the digest of a local source."""
    if step.kind == "source":
        return Found({}, Wild.ROOT) if step.digests or step.facts else Found({}, local=True)
    return Found({}, Wild.NONE if step.digests else Wild.ANY)


class Lookup:
    """The records of a cache by what leads to them.

    `claimed` are the digests of records that steps make; other roots may be content. Links with an index in `unsafe`
    may be missing once the cache is imported.
    """

    def __init__(self, graph: Graph, claimed: Collection[str], unsafe: Collection[int] = ()) -> None:
        self.graph = graph
        self._unsafe = unsafe
        self.by_shape: dict[tuple[str, int], list[int]] = defaultdict(list)
        """The records with a digest and a number of inputs."""
        self._children: dict[tuple[int, int, str, str], list[int]] = defaultdict(list)
        self._by_content: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._only_by_content: dict[tuple[int, str], list[int]] = defaultdict(list)
        self.unclaimed = [digest not in claimed for digest in graph.digests]
        """For each record, whether no step makes it as far as its digest tells."""
        # Up to v0.24 there are roots whose digest is a name that only the exporting daemon knew.
        self.content = [
            unclaimed and not graph.arity(record) and graph.digests[record].startswith("sha256:")
            for record, unclaimed in enumerate(self.unclaimed)
        ]
        """For each record, whether it may be content, or the layers of an image."""
        for record, digest in enumerate(graph.digests):
            self.by_shape[digest, graph.arity(record)].append(record)
            if digest in claimed:
                self._index(record, digest)

    def _index(self, record: int, digest: str) -> None:
        graph = self.graph
        start = graph.input_start[record]
        for slot in range(start, graph.input_start[record + 1]):
            links = range(graph.link_start[slot], graph.link_start[slot + 1])
            for link in links:
                self._children[graph.links[link], slot - start, graph.selectors[link], digest].append(record)
            contents = [self.content[graph.links[link]] and not graph.selectors[link] for link in links]
            if any(contents):
                self._by_content[slot - start, digest].append(record)
                if all(contents):
                    self._only_by_content[slot - start, digest].append(record)

    def find(
        self, step: Step, output: int, inputs: Sequence[Found], content: ContentCertainty, *, linked_first: bool = False
    ) -> Found:
        """The records that BuildKit can find for an output of a step whose inputs it has found.

        As `solver.(*edge).recalcCurrentState` (v0.8 to v0.32): those to which each input leads, by its own record with
        the selector, or by its content. If it is `linked_first`, content is only looked at if nothing else leads to a
        record. If too many records only differ in their content, they are not looked at one by one.
        """
        nothing, names = wild_of(step), names_of(step, output)
        wild = nothing.wild
        found: dict[int, Certainty] = {}
        for name in names:
            if not step.inputs:
                found.update(dict.fromkeys(self.by_shape.get((name, 0), ()), Certainty.SURE))
                continue
            linked = self._linked(step, name, inputs)
            if linked_first:
                self._add(found, linked, step, inputs, content)
                found = {record: sure for record, sure in found.items() if sure >= Certainty.LIKELY}
                if found:
                    continue
            candidates = self._candidates(step, name, inputs)
            if len(candidates) > MOST_ALIKE:
                candidates, wild = linked, Wild.ALIKE
            self._add(found, candidates, step, inputs, content)
        return nothing._replace(records=found, wild=wild, names=names)

    def _add(
        self,
        found: dict[int, Certainty],
        candidates: Iterable[int],
        step: Step,
        inputs: Sequence[Found],
        content: ContentCertainty,
    ) -> None:
        for record in candidates:
            if record not in found and (certainty := self._certainty(record, step, inputs, content)):
                found[record] = certainty

    def _linked(self, step: Step, name: str, inputs: Sequence[Found]) -> Collection[int]:
        """The records to which the own records of one of the inputs lead: of the one that leads to the fewest.

        Local sources have none: their content leads to records, if there are many, then to those without anything else.
        """
        led = [self._led(number, step, name, inputs[number]) for number in range(len(step.inputs))]
        return min((records for records in led if records), key=len, default=())

    def _led(self, number: int, step: Step, name: str, found: Found) -> Collection[int]:
        needed = step.inputs[number]
        led: dict[int, None] = {}
        if found.local and needed.by_content:
            seen = self._by_content.get((number, name), [])
            led = dict.fromkeys(seen if len(seen) <= MOST_ALIKE else self._only_by_content.get((number, name), []))
        for source in found.records:
            led.update(dict.fromkeys(self._children.get((source, number, needed.selector, name), ())))
            if len(led) > MOST_ALIKE:
                break
        return list(islice(led, MOST_ALIKE))

    def _candidates(self, step: Step, name: str, inputs: Sequence[Found]) -> Collection[int]:
        """The records to which one of the inputs leads, in whatever way: the one that leads to the fewest."""
        fewest: Collection[int] = self.by_shape.get((name, len(step.inputs)), ())
        for number, needed in enumerate(step.inputs):
            if inputs[number].wild or len(fewest) <= 1:
                continue
            led = dict.fromkeys(self._by_content.get((number, name), ()) if needed.by_content else ())
            for source in inputs[number].records if len(led) < len(fewest) else ():
                led.update(dict.fromkeys(self._children.get((source, number, needed.selector, name), ())))
                if len(led) >= len(fewest):
                    break
            else:
                fewest = led if len(led) < len(fewest) else fewest
        return fewest

    def _certainty(self, record: int, step: Step, inputs: Sequence[Found], content: ContentCertainty) -> Certainty:
        certainty = Certainty.SURE
        for number, needed in enumerate(step.inputs):
            if certainty:
                certainty = min(certainty, self.leads(record, number, needed, inputs[number], content))
        return certainty

    def leads(self, record: int, number: int, needed: Input, found: Found, content: ContentCertainty) -> Certainty:
        """How sure it is that an input leads to a record of this shape."""
        best = Certainty.NO
        by_content, others = [], False
        for link in self.links(record, number):
            source, selector = self.graph.links[link], self.graph.selectors[link]
            certainty = Certainty.NO
            if selector == needed.selector:
                known = found.records.get(source)
                certainty = max(known, Certainty.LIKELY) if known else self._perhaps(source, found)
            if not selector and self.content[source]:
                by_content.append(link)
            else:
                others = True
            best = max(best, self._limited(certainty, link))
        if needed.by_content:
            for link in by_content:
                best = max(best, self._limited(content(needed, found, others), link))
        return best

    def _perhaps(self, source: int, found: Found) -> Certainty:
        possible = (
            (found.wild is Wild.ROOT and self.content[source])
            or (found.wild is Wild.ALIKE and self.graph.digests[source] in found.names)
            or (found.wild is Wild.ANY and self.unclaimed[source])
        )
        return Certainty.POSSIBLE if possible else Certainty.NO

    def _limited(self, certainty: Certainty, link: int) -> Certainty:
        return min(certainty, Certainty.LIKELY) if link in self._unsafe else certainty

    def links(self, record: int, number: int) -> range:
        """The links of an input of a record."""
        slot = self.graph.input_start[record] + number
        return range(self.graph.link_start[slot], self.graph.link_start[slot + 1])

    def slots(self, record: int) -> Iterator[tuple[int, range]]:
        """The number of each input of a record, with its links."""
        for number in range(self.graph.arity(record)):
            yield number, self.links(record, number)
