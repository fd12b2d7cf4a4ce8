"""Small profiles made by hand."""

from collections.abc import Sequence

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
            one = pb.ValueType(type=self.string(type), unit=self.string(unit))
            self.proto.sample_type.append(one.SerializeToString())

    def string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))

    def function(self, name: str, file: str = "", start_line: int = 0) -> int:
        if name not in self.functions:
            number = len(self.functions) + 1
            self.functions[name] = number
            index = self.string(name)
            one = pb.Function(
                id=number, name=index, system_name=index, filename=self.string(file), start_line=start_line
            )
            self.proto.function.append(one.SerializeToString())
        return self.functions[name]

    def location(self, line: Line, mapping: int = 0) -> int:
        if line not in self.locations:
            number = len(self.locations) + 1
            self.locations[line] = number
            one = pb.Location(id=number, mapping_id=mapping, address=number * 16)
            for at, name in enumerate(line):
                one.line.add(function_id=self.function(name), line=at + 1)
            self.proto.location.append(one.SerializeToString())
        return self.locations[line]

    def mapping(self, file: str, build_id: str = "") -> int:
        number = len(self.proto.mapping) + 1
        one = pb.Mapping(id=number, filename=self.string(file), build_id=self.string(build_id))
        self.proto.mapping.append(one.SerializeToString())
        return number

    def sample(self, stack: Sequence[Line | str], *values: int) -> None:
        """A stack, leaf first; a string is a location with one function."""
        places = [self.location(line if isinstance(line, tuple) else (line,)) for line in stack]
        self.proto.sample.append(pb.Sample(location_id=places, value=values).SerializeToString())

    def bytes(self) -> bytes:
        del self.proto.string_table[:]
        self.proto.string_table.extend(text.encode("utf-8", "surrogatepass") for text in self.strings)
        return self.proto.SerializeToString()

    def profile(self) -> Profile:
        return decode(self.bytes(), "test.pprof")
