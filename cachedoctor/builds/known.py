"""What the records of builds say of the records of some caches, and how it is put in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cachedoctor.text import short

if TYPE_CHECKING:
    from cachedoctor.builds.build import Build, Location, Step
    from cachedoctor.builds.doubling import Doubling
    from cachedoctor.builds.hits import Hits
    from cachedoctor.builds.names import Name, Place
    from cachedoctor.graph.survey import Survey


@dataclass(frozen=True)
class Known:
    """Builds, what they call the records of the documents of a survey, and what will become of their steps."""

    builds: Sequence[Build] = ()
    names: Sequence[Sequence[Name | None]] = ()
    """For each document, one for each of its records; empty without builds."""
    hits: Sequence[Hits] = ()
    """For each build whose steps can be looked up."""
    doublings: Sequence[Doubling] = ()
    """The copies between stages that multiply the paths of the loop check, the worst first."""
    by_digest: Mapping[str, Sequence[Name]] = field(default_factory=dict)
    """All names of the records with a digest: different steps can have the same."""

    @classmethod
    def of(
        cls,
        builds: Sequence[Build],
        names: Sequence[Sequence[Name | None]],
        survey: Survey,
        hits: Sequence[Hits] = (),
        doublings: Sequence[Doubling] = (),
    ) -> Known:
        """These builds and names, for the records of a survey."""
        by_digest: dict[str, list[Name]] = {}
        for config, of_document in zip(survey.configs, names, strict=True):
            for digest, name in zip(config.digests, of_document, strict=False):
                if name:
                    by_digest.setdefault(digest, []).append(name)
        return cls(builds, names, hits, doublings, by_digest)

    def name(self, document: int, record: int) -> Name | None:
        """What a record of a document is called, `None` if no build has it."""
        return self.names[document][record] if self.names else None

    def call(self, survey: Survey, record: int) -> str:
        """A record of the graph in words: by its line if that is known, otherwise by the start of its digest."""
        name = self.name(*survey.place(record))
        return f"{described(name)} ({survey.number(record)})" if name else survey.name(record)

    def called(self, digest: str) -> str:
        """A digest in words: by the line of a record that has it, otherwise by its start."""
        names = self.by_digest.get(digest)
        return described(names[0]) if names else short(digest)

    def lines(self, survey: Survey, records: Iterable[int]) -> tuple[Location, ...]:
        """The lines of records of the graph, in their order, each once."""
        if not self.names:
            return ()
        return _distinct(self.name(*survey.place(record)) for record in records)

    def lines_of(self, records: Iterable[int | str], document: int | None) -> tuple[Location, ...]:
        """The lines of records that are given by their index in a document, or by digest."""
        names: list[Name | None] = []
        for record in records if self.names else ():
            if isinstance(record, str):
                names += self.by_digest.get(record, ())
            elif document is not None:
                names.append(self.name(document, record))
        return _distinct(names)

    def step(self, place: Place) -> Step:
        """The step at a place."""
        return self.builds[place.build].steps[place.step]

    def named(self, build: int, *, sure: bool = False) -> int:
        """How many records of all documents a build names, or names for sure."""
        return sum(
            any(place.build == build for place in name.places) and name.sure >= sure
            for of_document in self.names
            for name in of_document
            if name
        )

    @property
    def records(self) -> int:
        """How many records there are in all documents."""
        return sum(map(len, self.names))


NOTHING = Known()
"""What is known without builds."""


def _distinct(names: Iterable[Name | None]) -> tuple[Location, ...]:
    return tuple(dict.fromkeys(location for name in names if name for location in name.locations))


def described(name: Name) -> str:
    """A name in words, which say so if it is not sure: `Dockerfile:12 COPY --from=deps /deps /app/deps`."""
    if name.sure:
        more = len(name.locations) - 1
        return f"{name.label} +{more}" if more > 0 else name.label
    others = f", or the same instruction in {_numbers(name.locations[1:])}" if len(name.locations) > 1 else ""
    return f"perhaps {name.label}{others}"


def _numbers(locations: Sequence[Location]) -> str:
    """`Dockerfile:8, 22`: each file once."""
    lines: dict[str, list[str]] = {}
    for location in locations:
        lines.setdefault(location.file, []).append(str(location.line))
    return "; ".join(f"{file}:{', '.join(numbers)}" for file, numbers in lines.items())


def line(location: Location) -> str:
    """A line of a Dockerfile with its instruction: `Dockerfile:12 RUN make`."""
    return f"{location.file}:{location.line} {location.text}".rstrip()


def step_in_words(step: Step) -> str:
    """A step by its line, or what it is if it has none."""
    return line(step.locations[0]) if step.locations else step.label


def placed(build: Build, path: str) -> Build:
    """The build with the path of its Dockerfile, if its record only has the name of it."""
    if "/" in build.dockerfile or build.dockerfile == path:
        return build

    def moved(location: Location) -> Location:
        return location._replace(file=path) if location.file == build.dockerfile else location

    steps = tuple(
        replace(
            step,
            locations=tuple(map(moved, step.locations)),
        )
        for step in build.steps
    )
    return replace(build, dockerfile=path, steps=steps)
