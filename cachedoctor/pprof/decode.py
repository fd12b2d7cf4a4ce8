"""A pprof profile from its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message

from cachedoctor.errors import InputError
from cachedoctor.pprof import prune
from cachedoctor.pprof.profile import Ints, Nodes, Profile, ValueType
from cachedoctor.pprof.profile_pb2 import Function, Label, Location, Mapping
from cachedoctor.pprof.profile_pb2 import Profile as Encoded
from cachedoctor.pprof.profile_pb2 import ValueType as EncodedType
from cachedoctor.pprof.samples import MalformedSampleError, Places, Samples, columns

FREE_BYTES = 64 << 20
"""Bytes of a profile whose fields need not be counted before they are told apart: that takes 16 bytes for each."""
MOST_FIELDS = 8_000_000
"""Fields of a larger profile: samples, locations, functions, strings together."""
MOST_STRINGS = 4_000_000
MOST_OBJECTS = 400_000
"""Locations, functions, mappings and comments together: a daemon's profile has some ten thousand."""
LARGEST_FIELD = 1 << 20
"""Bytes of one of these fields."""
MOST_FRAMES = 1 << 26
"""Frames of all stacks together, inlined calls spelled out."""
MOST_INLINED = 256
"""Calls inlined into each other at one location."""
TOGETHER = 1 << 16
"""Locations of stacks that are spelled out at once."""
MOST_LINES = 1_000_000
"""Lines of all locations together."""

_Message = TypeVar("_Message", bound=Message)
_UNKNOWN = "<unknown>"


def decode(data: bytes, source: str, sample_type: str | None = None) -> Profile:
    """The profile in the bytes of a profile.proto that is not compressed.

    `sample_type` names one of its sample types; otherwise its own default counts, and without one the last, as pprof
    chooses. Raises `InputError`. Source: proto/profile.proto and profile/encode.go of google/pprof.
    """
    _check_size(data, source)
    try:
        encoded = Encoded.FromString(data)
    except DecodeError as error:
        raise InputError("a damaged or truncated profile: its protobuf cannot be decoded", source=source) from error
    return _Decoder(encoded, source).profile(sample_type)


def _check_size(data: bytes, source: str) -> None:
    """Refuse what would need many times its own size in memory. Raises `InputError`."""
    if len(data) <= FREE_BYTES:
        return
    at, fields, size = 0, 0, len(data)
    try:
        while at < size:
            tag = data[at]
            at += 1
            if tag >= 0x80:
                tag, at = _varint(data, at - 1)
            kind = tag & 7
            if kind == 2:
                length = data[at]
                at += 1
                if length >= 0x80:
                    length, at = _varint(data, at - 1)
                if length > LARGEST_FIELD:
                    raise InputError(f"a field of {length:,} bytes, which is refused", f"byte {at}", source=source)
                at += length
            elif kind == 0:
                _, at = _varint(data, at)
            else:
                at += {1: 8, 5: 4}[kind]
            fields += 1
            if fields > MOST_FIELDS:
                raise InputError(f"more than {MOST_FIELDS:,} fields, which is refused", f"byte {at}", source=source)
    except (IndexError, KeyError) as error:
        raise InputError(
            "a damaged or truncated profile: its protobuf cannot be decoded", f"byte {at}", source=source
        ) from error


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError


class _Decoder:
    """One profile, checked as pprof checks it (profile/profile.go, `CheckValid`)."""

    def __init__(self, encoded: Encoded, source: str) -> None:
        self.encoded = encoded
        self.source = source
        self._check_counts()
        self.strings = [text.decode("utf-8", "backslashreplace") for text in encoded.string_table]
        self.mappings = self._by_id(Mapping, encoded.mapping, "mapping")
        self.functions = self._by_id(Function, encoded.function, "function")
        self._check_strings()
        self.nodes: dict[tuple[str, str, int], int] = {}
        """The node of each function: its name, or where it has none, its binary and the line it starts at."""

    def profile(self, sample_type: str | None) -> Profile:
        encoded = self.encoded
        types = self._types()
        if not types:
            raise InputError("a profile without sample types; expected profile.proto of pprof", source=self.source)
        chosen = self._choose([one.type for one in types], sample_type)
        locations = self._locations()
        lines = [self._lines(location) for location in locations.values()]
        samples = self._samples(len(types), _places(list(locations)))
        names = [self._name(key) for key in self.nodes]
        stacks, starts = samples.locations, samples.starts
        drop, keep = self.string(encoded.drop_frames), self.string(encoded.keep_frames)
        if drop:
            try:
                named = [name for name, _, _ in self.nodes]
                lines, stacks, starts = prune.uninteresting(named, lines, stacks, starts, drop, keep)
            except ValueError as error:
                raise self.fail(str(error)) from error
        frames, inlined, frame_starts = self._spelled_out(lines, stacks, starts)
        main = next(iter(self.mappings.values()), None)
        return Profile(
            source=self.source,
            kind=_kind(types),
            sample_type=types[chosen],
            names=names,
            frames=frames,
            inlined=inlined,
            starts=frame_starts,
            values=samples.values[:, chosen].copy(),
            locations=stacks,
            location_starts=starts,
            texts=[self._texts(*pair) for pair in zip(locations.values(), lines, strict=True)],
            file=PurePosixPath(self.string(main.filename)).name if main else "",
            build_id=self.string(main.build_id) if main else "",
            comments=[self.string(index) for index in encoded.comment],
            doc_url=self.string(encoded.doc_url),
            time_nanos=encoded.time_nanos,
            duration_nanos=encoded.duration_nanos,
        )

    def _check_counts(self) -> None:
        one = self.encoded
        objects = len(one.location) + len(one.function) + len(one.mapping) + len(one.sample_type) + len(one.comment)
        if objects > MOST_OBJECTS or len(one.string_table) > MOST_STRINGS:
            raise self.fail(f"{objects:,} objects and {len(one.string_table):,} strings, which is refused")

    def _types(self) -> list[ValueType]:
        try:
            found = [EncodedType.FromString(raw) for raw in self.encoded.sample_type]
        except DecodeError as error:
            raise self.fail("a sample type that cannot be decoded") from error
        return [ValueType(self.string(one.type), self.string(one.unit)) for one in found]

    def _locations(self) -> dict[int, Location]:
        # An empty line takes two bytes here, and an object once it is decoded.
        if (
            sum(map(len, self.encoded.location)) > 64 * MOST_LINES
            or max(map(len, self.encoded.location), default=0) > LARGEST_FIELD
        ):
            raise self.fail("too many bytes in its locations, which is refused")
        found = self._by_id(Location, self.encoded.location, "location")
        lines = sum(len(location.line) for location in found.values())
        if lines > MOST_LINES:
            raise self.fail(f"{lines:,} lines of all locations together, which is refused")
        return found

    def _check_strings(self) -> None:
        for function in self.functions.values():
            for index in (function.name, function.system_name, function.filename):
                self.string(index)
        for mapping in self.mappings.values():
            self.string(mapping.filename)
            self.string(mapping.build_id)

    def fail(self, problem: str) -> InputError:
        return InputError(f"a malformed profile: {problem}", source=self.source)

    def string(self, index: int) -> str:
        if not 0 <= index < max(1, len(self.strings)):
            raise self.fail(f"string {index} is not among its {len(self.strings):,} strings")
        return self.strings[index] if self.strings else ""

    def _by_id(self, message: type[_Message], encoded: Sequence[bytes], name: str) -> dict[int, _Message]:
        found: dict[int, _Message] = {}
        for raw in encoded:
            try:
                one = message.FromString(raw)
            except DecodeError as error:
                raise self.fail(f"a {name} that cannot be decoded") from error
            identity: int = one.id  # type: ignore[attr-defined]
            if identity == 0 or identity in found:
                raise self.fail(f"a {name} with the id 0" if identity == 0 else f"two {name}s with the id {identity}")
            found[identity] = one
        return found

    def _choose(self, names: list[str], wanted: str | None) -> int:
        """Which sample type counts (pprof, profile/index.go, `SampleIndexByName`)."""
        if wanted is not None:
            if wanted not in names:
                raise InputError(f"no sample type {wanted}; it has {', '.join(names)}", source=self.source)
            return names.index(wanted)
        default = self.string(self.encoded.default_sample_type)
        return names.index(default) if default and default in names else len(names) - 1

    def _lines(self, location: Location) -> list[int]:
        """The nodes at a location, the innermost first."""
        mapping = self.mappings.get(location.mapping_id)
        binary = self.string(mapping.filename) if mapping else ""
        if len(location.line) > MOST_INLINED:
            raise self.fail(f"{len(location.line):,} calls inlined at location {location.id}, which is refused")
        if not location.line:
            return [self._node("", binary, 0)]
        nodes = []
        for line in location.line:
            function = self.functions.get(line.function_id)
            if function is None:
                raise self.fail(f"location {location.id} has a line without a function")
            name = self._simplified(function)
            nodes.append(self._node(name, "", 0) if name else self._node("", binary, function.start_line))
        return nodes

    def _simplified(self, function: Function) -> str:
        return simplified(self.string(function.name), self.string(function.system_name))

    def _node(self, name: str, binary: str, start_line: int) -> int:
        return self.nodes.setdefault((name, binary, start_line), len(self.nodes))

    def _texts(self, location: Location, nodes: list[int]) -> list[str]:
        """What is known of the outermost of its lines, which are those that are left."""
        functions = (self.functions[line.function_id] for line in location.line[-len(nodes) :])
        texts = [text for one in functions for text in (self._simplified(one), self.string(one.filename))]
        mapping = self.mappings.get(location.mapping_id)
        return [*texts, self.string(mapping.filename)] if mapping else texts

    @staticmethod
    def _name(key: tuple[str, str, int]) -> str:
        name, binary, _ = key
        return name or (f"[{PurePosixPath(binary).name}]" if binary else _UNKNOWN)

    def _samples(self, types: int, places: Places) -> Samples:
        try:
            samples = columns(self.encoded.sample, types, places)
        except MalformedSampleError as error:
            raise self.fail(f"a sample: {error}") from error
        for raw in samples.labels:
            try:
                label = Label.FromString(raw)
            except DecodeError as error:
                raise self.fail("a label that cannot be decoded") from error
            for index in (label.key, label.str, label.num_unit):
                self.string(index)
        return samples

    def _spelled_out(
        self, lines: list[list[int]], stacks: Nodes, starts: Ints
    ) -> tuple[Nodes, npt.NDArray[np.bool_], Ints]:
        """The frames of all stacks with inlined calls, whether each is one, and where the stacks begin."""
        counts = np.fromiter(map(len, lines), np.int64, len(lines))
        flat = np.fromiter((node for nodes in lines for node in nodes), np.int32, int(counts.sum()))
        if len(counts) and counts.max() == 1:
            return flat[stacks], np.zeros(len(stacks), np.bool_), starts
        sizes = counts[stacks]
        total = int(sizes.sum())
        if total > MOST_FRAMES:
            raise self.fail(f"{total:,} frames in all stacks together, which is refused")
        ends = np.cumsum(sizes)
        firsts = np.cumsum(counts) - counts
        frames, inlined = np.empty(total, np.int32), np.empty(total, np.bool_)
        for low in range(0, len(stacks), TOGETHER):
            part = slice(low, low + TOGETHER)
            spelled = slice(int(ends[low] - sizes[low]), int(ends[part][-1]))
            within = np.arange(spelled.start, spelled.stop) - np.repeat(ends[part] - sizes[part], sizes[part])
            frames[spelled] = flat[np.repeat(firsts[stacks[part]], sizes[part]) + within]
            inlined[spelled] = within < np.repeat(sizes[part] - 1, sizes[part])
        return frames, inlined, np.concatenate([np.zeros(1, np.int64), ends])[starts]


def _places(known: list[int]) -> Places:
    """From ids to their places among the known ones."""
    table = np.array(known, np.uint64)
    highest = int(table.max()) if known else 0
    if highest <= 4 * len(known) + 1024:
        direct = np.full(highest + 2, -1, np.int32)
        direct[table] = np.arange(len(known))
        return lambda ids: _known(direct[np.minimum(ids, np.uint64(highest + 1))])
    order = np.argsort(table)
    ascending = table[order]

    def search(ids: npt.NDArray[np.uint64]) -> Nodes:
        near = np.minimum(np.searchsorted(ascending, ids), len(known) - 1)
        return _known(np.where(ascending[near] == ids, order[near], -1).astype(np.int32))

    return search


def _known(places: Nodes) -> Nodes:
    if places.size and int(places.min()) < 0:
        raise MalformedSampleError("it has a location that is not in the profile")
    return places


def simplified(name: str, system_name: str) -> str:
    """A function name as pprof prints it: what looks like C++ loses its parameters and template arguments.

    Generic Go functions do as well. Source: google/pprof, internal/symbolizer, `demangleSingleFunction`; names that are
    mangled are left as they are, since Go has none.
    """
    if name and name != system_name:
        return name
    looks = "::" in system_name or any(letter in system_name for letter in "<>[]")
    if not looks or ".<" in system_name or "])." in system_name:
        return system_name
    return _without(_without(system_name, "(", ")"), "<", ">")


def _without(name: str, start: str, end: str) -> str:
    """A name without what stands between these letters; where they do not match, without the pairs before that."""
    kept: list[str] = []
    nesting = first = 0
    for at, letter in enumerate(name):
        if letter == start:
            nesting += 1
            first = at if nesting == 1 else first
        elif letter == end:
            nesting -= 1
            if nesting < 0:
                return "".join(kept) + name[at:]
        elif not nesting:
            kept.append(letter)
    return "".join(kept) + (name[first:] if nesting else "")


def _kind(types: Sequence[ValueType]) -> str:
    """What Go profile has these sample types (runtime/pprof of Go 1.24)."""
    names = {one.type for one in types}
    if "cpu" in names:
        return "cpu"
    if names & {"inuse_space", "alloc_space"}:
        return "heap"
    if "contentions" in names:
        return "contention"
    return types[0].type or "unknown"
