"""Profiles of any size, and what reading them is compared with: only parsing their protobuf.

`python -m benchmarks.profiles FILE` does that in a process of its own.
"""

from __future__ import annotations

import gzip
import random
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from cachedoctor.pprof import profile_pb2 as pb

MESSAGES = {
    ("Profile", "sample_type"): "ValueType",
    ("Profile", "sample"): "Sample",
    ("Profile", "mapping"): "Mapping",
    ("Profile", "location"): "Location",
    ("Profile", "function"): "Function",
    ("Sample", "label"): "Label",
}
"""What is a message in the published format, and bytes in ours."""


def published() -> type[Message]:
    """The message class of the published format. The one of the package reads nested messages as bytes."""
    file = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "published.proto", "published"
    for message in file.message_type:
        for field in message.field:
            if (message.name, field.name) in MESSAGES:
                field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".published.{MESSAGES[message.name, field.name]}"
            elif field.type_name:
                field.type_name = f".published.{field.type_name.rpartition('.')[2]}"
    pool = descriptor_pool.DescriptorPool()
    added = pool.AddSerializedFile(file.SerializeToString())
    published_file = added or pool.FindFileByName("published.proto")
    return message_factory.GetMessageClass(published_file.message_types_by_name["Profile"])


def cpu_profile(samples: int, *, depth: int = 20, functions: int = 3000, seed: int = 1) -> bytes:
    """A gzipped CPU profile of distinct stacks whose upper halves repeat, like those of a daemon."""
    choose = random.Random(seed)
    strings = ["", "samples", "count", "cpu", "nanoseconds"]
    profile = pb.Profile(duration_nanos=30 * 10**9)
    for type, unit in ((1, 2), (3, 4)):
        profile.sample_type.append(pb.ValueType(type=type, unit=unit).SerializeToString())
    for number in range(1, functions + 1):
        name = len(strings)
        strings.append(f"github.com/moby/buildkit/package{number % 50}.(*T{number % 300}).method{number}")
        profile.function.append(pb.Function(id=number, name=name, system_name=name).SerializeToString())
        line = pb.Line(function_id=number, line=number)
        profile.location.append(pb.Location(id=number, address=16 * number, line=[line]).SerializeToString())
    profile.string_table.extend(text.encode() for text in strings)
    callers = [[choose.randint(1, functions) for _ in range(depth - 6)] for _ in range(5000)]
    for _ in range(samples):
        stack = [choose.randint(1, functions) for _ in range(6)] + choose.choice(callers)
        profile.sample.append(pb.Sample(location_id=stack, value=[1, 10_000_000]).SerializeToString())
    return gzip.compress(profile.SerializeToString(), 6)


if __name__ == "__main__":
    published().FromString(gzip.decompress(Path(sys.argv[1]).read_bytes()))
