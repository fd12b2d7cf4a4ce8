"""The record of a build in SLSA provenance, v0.2 and v1, as BuildKit v0.11 and later write it.

BuildKit writes the same content in both (v0.32: `solver/llbsolver/provenance`). Only max mode has the steps.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from cachedoctor.builds.build import Build, Input, Location, Step, chain_digest
from cachedoctor.builds.dockerfile import Dockerfile
from cachedoctor.builds.facts import facts
from cachedoctor.builds.labels import label
from cachedoctor.builds.messages import Op, Platform
from cachedoctor.builds.operations import digest, normalized, texts
from cachedoctor.builds.origins import Materials, digests
from cachedoctor.builds.selectors import selections
from cachedoctor.errors import InputError, reading
from cachedoctor.sources.json import typed

HOW_TO_GET = "docker buildx history inspect attachment --type provenance > provenance.json"
"""The command that gives a full record of the last build."""

MOST_HIDDEN = 100
"""Build arguments that are looked for in paths; if there are more, no path is shown."""
_SHORTEST_HIDDEN = 4
"""Letters of a value that is looked for: shorter ones are everywhere."""
MOST_STEPS = 50_000
"""Steps of one build."""
MOST_INPUTS = 200_000
"""Inputs of all of its steps."""


class NoStepsError(InputError):
    """Provenance in min mode, or by something else than BuildKit: it has no steps."""


class _Position(Struct):
    line: int = 0


class _Range(Struct):
    start: _Position = field(default_factory=_Position)
    end: _Position = field(default_factory=_Position)


class _Place(Struct):
    source_index: int = field(default=0, name="sourceIndex")
    ranges: list[_Range] = []


class _Places(Struct):
    locations: list[_Place] = []


class _Info(Struct):
    filename: str = ""
    data: str = ""


class _Source(Struct):
    locations: dict[str, _Places] = {}
    infos: list[_Info] = []


class _Blob(Struct):
    digest: str = ""


class _Notes(Struct):
    """What BuildKit adds to what SLSA specifies."""

    source: _Source = field(default_factory=_Source)
    layers: dict[str, list[list[_Blob] | None] | None] | None = None
    """For each result, such as `step7:0`, its layers in each form that there is."""
    vcs: dict[str, str] = {}


class _Step(Struct):
    id: str
    op: Op = field(default_factory=Op)
    inputs: list[str] = []


class _Config(Struct):
    steps: list[_Step] | None = field(default=None, name="llbDefinition")
    vertices: dict[str, str] = field(default_factory=dict, name="digestMapping")


class _Material(Struct):
    uri: str = ""
    digest: dict[str, str] = {}


class _Parameters(Struct):
    args: dict[str, str] = {}


class _ConfigSource02(Struct):
    path: str = field(default="", name="entryPoint")


class _Environment(Struct):
    platform: str = ""


class _Invocation(Struct):
    config_source: _ConfigSource02 = field(default_factory=_ConfigSource02, name="configSource")
    parameters: _Parameters = field(default_factory=_Parameters)
    environment: _Environment = field(default_factory=_Environment)


class _Metadata02(Struct):
    notes: _Notes = field(default_factory=_Notes, name="https://mobyproject.org/buildkit@v1#metadata")


class Predicate02(Struct):
    """SLSA v0.2, what v0.11 to v0.27 write."""

    config: _Config = field(default_factory=_Config, name="buildConfig")
    invocation: _Invocation = field(default_factory=_Invocation)
    metadata: _Metadata02 = field(default_factory=_Metadata02)
    materials: list[_Material] = []
    build_type: str = field(default="", name="buildType")

    @property
    def record(self) -> _Record:
        """What is needed of it."""
        asked = self.invocation
        return _Record(
            config=self.config,
            config_path="$.buildConfig.llbDefinition",
            notes=self.metadata.notes,
            materials=self.materials,
            args=asked.parameters.args,
            dockerfile=asked.config_source.path,
            platform=asked.environment.platform,
            build_type=self.build_type,
        )


class _ConfigSource1(Struct):
    path: str = ""


class _External(Struct):
    config_source: _ConfigSource1 = field(default_factory=_ConfigSource1, name="configSource")
    request: _Parameters = field(default_factory=_Parameters)


class _Internal(Struct):
    config: _Config = field(default_factory=_Config, name="buildConfig")
    platform: str = field(default="", name="builderPlatform")


class _Definition(Struct):
    external: _External = field(default_factory=_External, name="externalParameters")
    internal: _Internal = field(default_factory=_Internal, name="internalParameters")
    materials: list[_Material] = field(default_factory=list, name="resolvedDependencies")
    build_type: str = field(default="", name="buildType")


class _Metadata1(Struct):
    notes: _Notes = field(default_factory=_Notes, name="buildkit_metadata")


class _Details(Struct):
    metadata: _Metadata1 = field(default_factory=_Metadata1)


class Predicate1(Struct):
    """SLSA v1, what v0.28 and later write."""

    definition: _Definition = field(name="buildDefinition")
    details: _Details = field(default_factory=_Details, name="runDetails")

    @property
    def record(self) -> _Record:
        """What is needed of it."""
        asked, inside = self.definition.external, self.definition.internal
        return _Record(
            config=inside.config,
            config_path="$.buildDefinition.internalParameters.buildConfig.llbDefinition",
            notes=self.details.metadata.notes,
            materials=self.definition.materials,
            args=asked.request.args,
            dockerfile=asked.config_source.path,
            platform=inside.platform,
            build_type=self.definition.build_type,
        )


class _Record(Struct):
    """What both forms say about a build. It holds values, and lives only while a record is read."""

    config: _Config
    config_path: str
    """The JSON path of the steps."""
    notes: _Notes
    materials: list[_Material]
    args: dict[str, str]
    dockerfile: str
    platform: str
    """That of the daemon."""
    build_type: str


def is_predicate(parsed: Any) -> bool:
    """Whether this is the parsed JSON of SLSA provenance by BuildKit, or of something very much like it."""
    return isinstance(parsed, dict) and (
        "buildDefinition" in parsed or {"buildType", "buildConfig"} & parsed.keys() != set()
    )


def predicate_build(
    parsed: Any, kind: str, *, platform: str = "", args: Mapping[str, str] | None = None, target: str = ""
) -> Build:
    """The build that the parsed JSON of a predicate records; what the container of the predicate knows comes first.

    `args` are the options of the build that the container has. Raises `InputError` if it has no steps, if they are not
    those of a build, or if they need each other.
    """
    shape: type[Predicate1] | type[Predicate02] = Predicate1 if "buildDefinition" in parsed else Predicate02
    record = typed(parsed, shape).record
    if not record.config.steps:
        if "buildkit" not in record.build_type:
            raise NoStepsError(f"provenance that BuildKit did not write; get its own with: {HOW_TO_GET}")
        raise NoStepsError(f"provenance in min mode, which has no build steps; get the full record with: {HOW_TO_GET}")
    record.args = record.args | dict(args or {})
    reader = _Reader(record)
    steps = reader.steps()
    return Build(
        source="",
        kind=kind,
        target=target or record.args.get("target", ""),
        platform=platform or reader.platform(),
        dockerfile=reader.dockerfile,
        steps=steps,
    )


class _Reader:
    """Makes the steps of one record."""

    def __init__(self, record: _Record) -> None:
        self._record = record
        self._listed = record.config.steps or []
        self._materials = Materials((material.uri, material.digest) for material in record.materials)
        self._default = _platform_of(record.platform)
        self._shown = _hiding(record.args)
        self._infos = record.notes.source.infos
        self._files: dict[int, Dockerfile] = {}
        self.dockerfile = self._path()
        if len(self._listed) > MOST_STEPS:
            raise InputError(f"more than {MOST_STEPS:,} steps, which is refused", record.config_path)
        if sum(len(step.inputs) for step in self._listed) > MOST_INPUTS:
            raise InputError(f"steps with more than {MOST_INPUTS:,} inputs, which is refused", record.config_path)
        self._numbers = _numbered([step.id for step in self._listed], record.config_path)
        self._inputs = [self._inputs_of(step) for step in self._listed]
        needed = {number for inputs in self._inputs for number, _ in inputs}
        # The result of a build is an operation of no kind that nothing needs.
        self._results = {
            number
            for number, step in enumerate(self._listed)
            if not step.op.kind and number not in needed and step.inputs
        }
        with reading(where=record.config_path):
            self._order = _sorted([[number for number, _ in inputs] for inputs in self._inputs])
        self._vertices = {identifier: vertex for vertex, identifier in record.config.vertices.items()}

    def steps(self) -> tuple[Step, ...]:
        """All steps but the result, each after the steps that it needs."""
        order = [number for number in self._order if number not in self._results]
        places = {number: place for place, number in enumerate(order)}
        steps = []
        for number in order:
            with reading(where=self._where(number)):
                steps.append(self._step(number, places))
        return tuple(steps)

    def platform(self) -> str:
        """The platform that was built for: what was asked for, or that of the steps that the result comes from."""
        asked = self._record.args.get("platform", "")
        if asked and "," not in asked:
            return asked
        number = max(self._results, default=self._order[-1])
        for _ in self._listed:
            platform = self._listed[number].op.platform
            if platform is not None and platform.os:
                return _name_of(platform)
            if not self._inputs[number]:
                break
            number = self._inputs[number][0][0]
        return self._record.platform

    def _inputs_of(self, step: _Step) -> list[tuple[int, int]]:
        """The number of each step that another one needs, and of its output."""
        inputs = []
        for text in step.inputs:
            identifier, _, output = text.rpartition(":")
            known = identifier in self._numbers
            if not known or not re.fullmatch(r"[0-9]{1,3}", output):
                problem = "the number of an output after a colon" if known else "the id of another step and an output"
                raise InputError(f"expected {problem}", f"{self._where(self._numbers[step.id])}.inputs")
            inputs.append((self._numbers[identifier], int(output)))
        return inputs

    def _where(self, number: int) -> str:
        return f"{self._record.config_path}[{number}]"

    def _step(self, number: int, places: Mapping[int, int]) -> Step:
        listed, inputs = self._listed[number], self._inputs[number]
        op = replace(listed.op, platform=listed.op.platform or self._default)
        source = op.op.source
        if source is not None:
            known = digests(source, op.platform, self._materials)
        else:
            known = [digest(text) for text in texts(op, len(inputs))]
        locations = self._locations(listed.id)
        taken = selections(op, len(inputs))
        return Step(
            id=listed.id,
            kind=op.kind,
            digests=tuple(known),
            inputs=tuple(
                Input(
                    places[needed],
                    output,
                    selection.digest,
                    tuple(map(self._shown, selection.paths)),
                    selection.by_content,
                )
                for (needed, output), selection in zip(inputs, taken, strict=True)
            ),
            locations=locations,
            label=locations[0].text if locations and locations[0].text else label(op),
            vertex=self._vertices.get(listed.id, ""),
            facts=facts(op, self._materials, self._shown),
            results=self._results_of(listed.id),
        )

    def _results_of(self, identifier: str) -> frozenset[str]:
        forms = (self._record.notes.layers or {}).get(f"{identifier}:0") or ()
        return frozenset(chain_digest(blob.digest for blob in blobs) for blobs in forms if blobs)

    def _path(self) -> str:
        """The path of the Dockerfile in its repository, as far as it is known."""
        args, vcs = self._record.args, self._record.notes.vcs
        name = self._record.dockerfile or args.get("filename", "") or (self._infos[0].filename if self._infos else "")
        folder = args.get("vcs:localdir:dockerfile", "") or vcs.get("localdir:dockerfile", "")
        return posixpath.normpath(posixpath.join(folder, name)) if name else ""

    def _locations(self, identifier: str) -> tuple[Location, ...]:
        places = self._record.notes.source.locations.get(identifier)
        found = (self._location(place) for place in places.locations) if places else ()
        return tuple(dict.fromkeys(sorted(location for location in found if location)))

    def _location(self, place: _Place) -> Location | None:
        lines = [line for span in place.ranges for line in (span.start.line, span.end.line) if line > 0]
        if not lines or not 0 <= place.source_index < len(self._infos):
            return None
        name = self._infos[place.source_index].filename
        is_main = posixpath.basename(name) == posixpath.basename(self.dockerfile)
        text = self._file(place.source_index).instruction(min(lines), max(lines))
        return Location(self.dockerfile if is_main else name, min(lines), max(lines), text)

    def _file(self, index: int) -> Dockerfile:
        if index not in self._files:
            try:
                data = base64.b64decode(self._infos[index].data, validate=True)
            except (binascii.Error, ValueError):
                data = b""
            self._files[index] = Dockerfile(data)
        return self._files[index]


def _numbered(identifiers: Sequence[str], where: str) -> dict[str, int]:
    """The number of each step. Raises `InputError` if two have the same id."""
    numbers: dict[str, int] = {}
    for number, identifier in enumerate(identifiers):
        if numbers.setdefault(identifier, number) != number:
            raise InputError(f"two steps have the same id, {identifier[:40]!r}", f"{where}[{number}].id")
    return numbers


def _sorted(needs: Sequence[Sequence[int]]) -> list[int]:
    """The numbers of steps, each after those that it needs, and otherwise as they are; `InputError` for a cycle."""
    users: list[list[int]] = [[] for _ in needs]
    missing = [len(needed) for needed in needs]
    for number, needed in enumerate(needs):
        for other in needed:
            users[other].append(number)
    ready = [number for number, count in enumerate(missing) if not count]
    heapify(ready)
    order = []
    while ready:
        number = heappop(ready)
        order.append(number)
        for user in users[number]:
            missing[user] -= 1
            if not missing[user]:
                heappush(ready, user)
    if len(order) < len(needs):
        raise InputError(f"{len(needs) - len(order):,} steps are in a cycle, or depend on one")
    return order


def _platform_of(text: str) -> Platform:
    os, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(architecture, os, variant)


def _name_of(platform: Platform) -> str:
    named = normalized(platform)
    return "/".join(filter(None, (named.os, named.architecture, named.variant)))


def _hiding(args: Mapping[str, str]) -> Callable[[str], str]:
    """What writes the names of build arguments in place of their values into a path, or `...` if there are too many."""
    hidden = [
        (value, f"${{{name.removeprefix('build-arg:')}}}")
        for name, value in args.items()
        if name.startswith("build-arg:") and len(value) >= _SHORTEST_HIDDEN
    ]
    hidden.sort(key=lambda pair: -len(pair[0]))

    def shown(path: str) -> str:
        if len(hidden) > MOST_HIDDEN:
            return "..."
        for value, name in hidden:
            path = path.replace(value, name)
        return path

    return shown
