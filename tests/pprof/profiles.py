"""Small profiles made by hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from cachedoctor.pprof import decode as decoder
from cachedoctor.pprof import profile_pb2 as pb
from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.profile import Profile

Line = tuple[str, ...]
"""The functions at a location, the innermost first."""


class Builder:
    """Writes a profile.proto."""

    def __init__(self, *types: tuple[str, str]) -> None:
        self.proto = pb.Profile()
        self.strings: dict[str, int] = {"": 0}
        self.functions: dict[str, int] = {}
        self.locations: dict[Line, int] = {}
        for type, unit in types or (("samples", "count"), ("cpu", "nanoseconds")):
            value_type = pb.ValueType(type=self.string(type), unit=self.string(unit))
            self.proto.sample_type.append(value_type.SerializeToString())

    def string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))

    def function(self, name: str, file: str = "", start_line: int = 0) -> int:
        if name not in self.functions:
            number = len(self.functions) + 1
            self.functions[name] = number
            index = self.string(name)
            function = pb.Function(
                id=number, name=index, system_name=index, filename=self.string(file), start_line=start_line
            )
            self.proto.function.append(function.SerializeToString())
        return self.functions[name]

    def location(self, line: Line, mapping: int = 0) -> int:
        if line not in self.locations:
            number = len(self.locations) + 1
            self.locations[line] = number
            location = pb.Location(id=number, mapping_id=mapping, address=number * 16)
            for at, name in enumerate(line):
                location.line.add(function_id=self.function(name), line=at + 1)
            self.proto.location.append(location.SerializeToString())
        return self.locations[line]

    def mapping(self, file: str, build_id: str = "") -> int:
        number = len(self.proto.mapping) + 1
        mapping = pb.Mapping(id=number, filename=self.string(file), build_id=self.string(build_id))
        self.proto.mapping.append(mapping.SerializeToString())
        return number

    def sample(self, stack: Sequence[Line | str], *values: int) -> None:
        """A stack, leaf first; a string is a location with one function."""
        locations = [self.location(line if isinstance(line, tuple) else (line,)) for line in stack]
        self.proto.sample.append(pb.Sample(location_id=locations, value=values).SerializeToString())

    def bytes(self) -> bytes:
        del self.proto.string_table[:]
        self.proto.string_table.extend(text.encode("utf-8", "surrogatepass") for text in self.strings)
        return self.proto.SerializeToString()

    def profile(self) -> Profile:
        return decode(self.bytes())


KINDS = ("lists", "arrays")
"""The kinds of samples; see `kept_in`."""


@contextmanager
def kept_in(kind: str) -> Iterator[None]:
    """Keep the samples of any profile, however small or large, in `lists` or in numpy `arrays`."""
    with patch.object(decoder, "ARRAYS_FROM", {"lists": 1 << 62, "arrays": 0}[kind]):
        yield
