"""A pprof profile from its bytes."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from cachedoctor.errors import InputError, reading
from cachedoctor.pprof.names import of_binary, simplified
from cachedoctor.pprof.profile import Profile, ValueType
from cachedoctor.pprof.profile_pb2 import Function, Label, Location, Mapping
from cachedoctor.pprof.profile_pb2 import Profile as Encoded
from cachedoctor.pprof.profile_pb2 import ValueType as EncodedType
from cachedoctor.pprof.samples import UNKNOWN_LOCATION, Lines, ListSamples, Samples
from cachedoctor.pprof.wire import DAMAGED, LARGEST_FIELD, check_size, parse_sample

MOST_STRINGS = 4_000_000
MOST_OBJECTS = 400_000
"""Locations, functions, mappings and comments together: the profile of a large program has some ten thousand."""
MOST_INLINED = 256
"""Calls inlined into each other at one location."""
MOST_LINES = 1_000_000
"""Lines of all locations together."""
ARRAYS_FROM = 1 << 18
"""Samples that may have this many frames are kept in numpy arrays instead of lists."""

_Message = TypeVar("_Message", bound=Message)


def decode(data: bytes, sample_type: str | None = None) -> Profile:
    """The profile in the bytes of a profile.proto that is not compressed.

    `sample_type` names one of its sample types; by default its own default counts, or else the last one, as in pprof.
    Raises `InputError`. Source: proto/profile.proto and profile/encode.go of google/pprof.
    """
    check_size(data)
    try:
        encoded = Encoded.FromString(data)
    except DecodeError as error:
        raise InputError(DAMAGED) from error
    with reading(where=_MALFORMED):
        decoder = _Decoder(encoded)
    chosen = decoder.chosen(sample_type)
    with reading(where=_MALFORMED):
        return decoder.profile(chosen)


_MALFORMED = "a malformed profile"


class _Function(NamedTuple):
    name: str
    file: str
    start_line: int


class _Decoder:
    """One profile, checked as pprof checks it (profile/profile.go, `CheckValid`)."""

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded
        _check_counts(encoded)
        self.strings = [raw.decode("utf-8", "backslashreplace") for raw in encoded.string_table]
        self.mappings = self._mappings()
        self.functions = self._functions()
        self.types = self._types()
        self.nodes: dict[tuple[str, str, int], int] = {}
        """The node of each function: its name, or if it has none, its binary and the line it starts at."""

    def chosen(self, sample_type: str | None) -> int:
        """The index of the sample type that counts (pprof, profile/index.go, `SampleIndexByName`)."""
        names = [value_type.type for value_type in self.types]
        if not names:
            raise InputError("a profile without sample types; expected profile.proto of pprof")
        if sample_type is not None:
            if sample_type not in names:
                raise InputError(f"no sample type {sample_type}; it has {', '.join(names)}")
            return names.index(sample_type)
        default = self.string(self.encoded.default_sample_type)
        return names.index(default) if default and default in names else len(names) - 1

    def profile(self, chosen: int) -> Profile:
        """The profile of the sample type with this index."""
        encoded = self.encoded
        locations = self._locations()
        samples = self._samples(chosen, list(locations), [self._lines(location) for location in locations.values()])
        drop, keep = self.string(encoded.drop_frames), self.string(encoded.keep_frames)
        if drop:
            from cachedoctor.pprof.filter import without_dropped

            samples = without_dropped([name for name, _, _ in self.nodes], samples, drop, keep)
        binary, build_id = next(iter(self.mappings.values()), ("", ""))
        return Profile(
            kind=_kind(self.types),
            sample_type=self.types[chosen],
            names=[name or of_binary(path) for name, path, _ in self.nodes],
            samples=samples,
            texts=[self._texts(*pair) for pair in zip(locations.values(), samples.lines, strict=True)],
            file=PurePosixPath(binary).name,
            build_id=build_id,
            comments=[self.string(index) for index in encoded.comment],
            doc_url=self.string(encoded.doc_url),
            time_nanos=encoded.time_nanos,
            duration_nanos=encoded.duration_nanos,
        )

    def string(self, index: int) -> str:
        """A string by its index. Raises `InputError` if there is none."""
        if not 0 <= index < max(1, len(self.strings)):
            raise InputError(f"string {index} is not among its {len(self.strings):,} strings")
        return self.strings[index] if self.strings else ""

    def _mappings(self) -> dict[int, tuple[str, str]]:
        """The path and the build id of each binary."""
        mappings = _by_id(Mapping, self.encoded.mapping, "mapping")
        return {
            identity: (self.string(mapping.filename), self.string(mapping.build_id))
            for identity, mapping in mappings.items()
        }

    def _functions(self) -> dict[int, _Function]:
        functions: dict[int, _Function] = {}
        for identity, function in _by_id(Function, self.encoded.function, "function").items():
            name = simplified(self.string(function.name), self.string(function.system_name))
            functions[identity] = _Function(name, self.string(function.filename), function.start_line)
        return functions

    def _types(self) -> list[ValueType]:
        try:
            types = [EncodedType.FromString(raw) for raw in self.encoded.sample_type]
        except DecodeError as error:
            raise InputError("a sample type that cannot be decoded") from error
        return [ValueType(self.string(value_type.type), self.string(value_type.unit)) for value_type in types]

    def _locations(self) -> dict[int, Location]:
        encoded = self.encoded.location
        # An empty line takes two bytes here, and an object once it is decoded.
        if sum(map(len, encoded)) > 64 * MOST_LINES or max(map(len, encoded), default=0) > LARGEST_FIELD:
            raise InputError("too many bytes in its locations, which is refused")
        locations = _by_id(Location, encoded, "location")
        lines = sum(len(location.line) for location in locations.values())
        if lines > MOST_LINES:
            raise InputError(f"{lines:,} lines of all locations together, which is refused")
        return locations

    def _lines(self, location: Location) -> list[int]:
        """The nodes at a location, the innermost first."""
        binary, _ = self.mappings.get(location.mapping_id, ("", ""))
        if len(location.line) > MOST_INLINED:
            raise InputError(f"{len(location.line):,} calls inlined at location {location.id}, which is refused")
        keys = [] if location.line else [("", binary, 0)]
        for line in location.line:
            function = self.functions.get(line.function_id)
            if function is None:
                raise InputError(f"location {location.id} has a line without a function")
            keys.append((function.name, "", 0) if function.name else ("", binary, function.start_line))
        return [self.nodes.setdefault(key, len(self.nodes)) for key in keys]

    def _texts(self, location: Location, nodes: Sequence[int]) -> list[str]:
        """The names and files of the outermost lines of a location, as many as are left, and its binary."""
        functions = [self.functions[line.function_id] for line in location.line[-len(nodes) :]]
        texts = [text for function in functions for text in (function.name, function.file)]
        mapping = self.mappings.get(location.mapping_id)
        return [*texts, mapping[0]] if mapping else texts

    def _samples(self, chosen: int, ids: list[int], lines: Lines) -> Samples:
        """The samples, with the value of the chosen type. Raises `InputError`."""
        raw = self.encoded.sample
        samples: Samples
        # Each location of a stack takes at least a byte, and adds as many frames as it has lines.
        if len(raw) < ARRAYS_FROM and sum(map(len, raw)) * max(map(len, lines), default=1) < ARRAYS_FROM:
            samples, labels = _listed(raw, len(self.types), chosen, ids, lines)
        else:
            from cachedoctor.pprof import arrays

            samples, labels = arrays.read(raw, len(self.types), chosen, ids, lines)
        for encoded in labels:
            try:
                label = Label.FromString(encoded)
            except DecodeError as error:
                raise InputError("a label that cannot be decoded") from error
            for index in (label.key, label.str, label.num_unit):
                self.string(index)
        return samples


def _check_counts(encoded: Encoded) -> None:
    counted: list[Sized] = [encoded.location, encoded.function, encoded.mapping, encoded.sample_type, encoded.comment]
    objects = sum(map(len, counted))
    if objects > MOST_OBJECTS or len(encoded.string_table) > MOST_STRINGS:
        raise InputError(f"{objects:,} objects and {len(encoded.string_table):,} strings, which is refused")


def _by_id(message: type[_Message], encoded: Sequence[bytes], name: str) -> dict[int, _Message]:
    decoded: dict[int, _Message] = {}
    for raw in encoded:
        try:
            item = message.FromString(raw)
        except DecodeError as error:
            raise InputError(f"a {name} that cannot be decoded") from error
        identity: int = item.id  # type: ignore[attr-defined]
        if identity == 0 or identity in decoded:
            raise InputError(f"a {name} with the id 0" if identity == 0 else f"two {name}s with the id {identity}")
        decoded[identity] = item
    return decoded


def _listed(
    raw: Sequence[bytes], types: int, chosen: int, ids: Sequence[int], lines: Lines
) -> tuple[ListSamples, set[bytes]]:
    """The samples and their distinct labels; as `arrays.read`."""
    index = {identity: at for at, identity in enumerate(ids)}
    stacks, values, labels = [], [], set[bytes]()
    for encoded in raw:
        sample = parse_sample(encoded, types)
        try:
            stacks.append(list(map(index.__getitem__, sample.location_id[:])))
        except KeyError as error:
            raise InputError(UNKNOWN_LOCATION) from error
        values.append(sample.value[chosen])
        labels.update(sample.label)
    return ListSamples(stacks, values, lines), labels


def _kind(types: Sequence[ValueType]) -> str:
    """The kind of Go profile that has these sample types (runtime/pprof of Go 1.24)."""
    names = {value_type.type for value_type in types}
    if "cpu" in names:
        return "cpu"
    if names & {"inuse_space", "alloc_space"}:
        return "heap"
    if "contentions" in names:
        return "contention"
    return types[0].type or "unknown"
