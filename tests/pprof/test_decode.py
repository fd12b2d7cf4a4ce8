"""Profiles that are damaged, hostile, or unusual."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.errors import InputError
from cachedoctor.pprof import decode as module
from cachedoctor.pprof import profile_pb2 as pb
from cachedoctor.pprof.decode import decode
from cachedoctor.pprof.profile import Profile
from tests.pprof.profiles import KINDS, Builder, kept_in


def small() -> Builder:
    builder = Builder()
    builder.mapping("/usr/bin/buildkitd", "abc")
    builder.sample([("inner", "outer"), "main.main"], 1, 10)
    return builder


def stacks(profile: Profile) -> list[tuple[list[str], int]]:
    """The names of each stack, leaf first."""
    return [([profile.names[node] for node in nodes], value) for nodes, value in profile.samples]


def test_profile() -> None:
    profile = small().profile()
    assert stacks(profile) == [(["inner", "outer", "main.main"], 10)]
    assert (profile.total, profile.kind) == (10, "cpu")
    assert (profile.file, profile.build_id) == ("buildkitd", "abc")
    assert [list(line) for line in profile.samples.lines] == [[0, 1], [2]]
    assert profile.texts == [["inner", "", "outer", ""], ["main.main", ""]]


def test_stacks_from_the_root_to_the_leaf() -> None:
    builder = small()
    builder.sample([("inner", "outer"), "main.main"], 1, 5)
    builder.sample(["main.main"], 1, 0)
    builder.sample(["outer"], 1, 3)
    builder.sample(["outer"], 1, -3)
    assert list(builder.profile().stacks()) == [(["main.main", "outer", "inner"], 15)]


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        ([("samples", "count"), ("cpu", "nanoseconds")], "cpu"),
        ([("inuse_objects", "count"), ("inuse_space", "bytes")], "heap"),
        ([("contentions", "count"), ("delay", "nanoseconds")], "contention"),
        ([("goroutine", "count")], "goroutine"),
        ([("", "")], "unknown"),
    ],
)
def test_kind_follows_from_the_sample_types(types: list[tuple[str, str]], kind: str) -> None:
    assert Builder(*types).profile().kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_sample_type_can_be_chosen(kind: str) -> None:
    data = small().bytes()
    with kept_in(kind):
        assert decode(data, "samples").total == 1
        assert decode(data, "cpu").total == 10
    with pytest.raises(InputError, match=r"^no sample type wall; it has samples, cpu$"):
        decode(data, "wall")


def test_names_that_are_not_utf_8_are_escaped() -> None:
    data = small().bytes().replace(b"inner", b"in\xff\xfer")
    assert "in\\xff\\xfer" in decode(data).names


@pytest.mark.parametrize("size", [module.ARRAYS_FROM // 2 - 10, module.ARRAYS_FROM // 2 + 10])
def test_kind_of_samples_depends_on_how_many_frames_there_may_be(size: int) -> None:
    builder = small()
    builder.proto.sample.append(raw(pb.Sample(location_id=[2] * (size - 12), value=[1, 1])))
    assert len(builder.proto.sample[0]) + len(builder.proto.sample[1]) in range(size - 6, size + 6)
    lists = type(small().profile().samples)
    assert isinstance(builder.profile().samples, lists) == (size < module.ARRAYS_FROM // 2)


def raw(message: pb.ValueType | pb.Function | pb.Location | pb.Mapping | pb.Sample | pb.Label) -> bytes:
    return message.SerializeToString()


LINE_OF_NOTHING = raw(pb.Location(id=9, line=[pb.Line(function_id=77)]))
LABEL_OF_NOTHING = raw(pb.Sample(value=[1, 1], label=[raw(pb.Label(key=99))]))
PARENTHESIS = 5
"""The index of the string `(`."""
DAMAGED_LABEL = raw(pb.Sample(value=[1, 1], label=[b"\x08\x80"]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda proto: proto.function.append(raw(pb.Function(id=9, name=99))), "string 99 is not among its 9 strings"),
        (lambda proto: proto.location.append(LINE_OF_NOTHING), "location 9 has a line without a function"),
        (lambda proto: proto.sample.append(LABEL_OF_NOTHING), "string 99 is not among its"),
        (lambda proto: proto.sample.append(DAMAGED_LABEL), "a label that cannot be decoded"),
        (lambda proto: proto.sample.append(b"\x10\x01\x10\x01\x1a\x02\x0a\x7f"), "a label that cannot be decoded"),
        (lambda proto: proto.sample.append(b"\x10\x01\x10\x01\x1a\x7f\x0a"), "a sample: it cannot be decoded"),
        (lambda proto: proto.sample_type.append(raw(pb.ValueType(type=-1))), "string -1 is not among its"),
        (lambda proto: proto.sample.append(raw(pb.Sample(location_id=[99], value=[1, 1]))), "location that is not"),
        (lambda proto: proto.sample.append(raw(pb.Sample(location_id=[0], value=[1, 1]))), "location that is not"),
        (lambda proto: proto.sample.append(raw(pb.Sample(location_id=[2**63], value=[1, 1]))), "location that is not"),
        (lambda proto: proto.sample.append(raw(pb.Sample(location_id=[1], value=[1]))), "1 values for 2 sample types"),
        (lambda proto: proto.sample.append(b"\x0a\x7f\x01"), "a sample: it cannot be decoded"),
        (lambda proto: proto.location.append(raw(pb.Location(id=1))), "two locations with the id 1"),
        (lambda proto: proto.function.append(raw(pb.Function())), "a function with the id 0"),
        (lambda proto: proto.mapping.append(b"\xff"), "a mapping that cannot be decoded"),
        (lambda proto: proto.sample_type.append(b"\xff"), "a sample type that cannot be decoded"),
        (lambda proto: proto.location.append(raw(pb.Location(id=9, line=[pb.Line()] * 600_000))), "too many bytes"),
        (
            lambda proto: setattr(proto, "drop_frames", PARENTHESIS),
            "its drop_frames or keep_frames is not a regular expression",
        ),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_malformed_profile_is_one_line(change: Callable[[pb.Profile], None], problem: str, kind: str) -> None:
    builder = Builder()
    assert builder.string("(") == PARENTHESIS
    builder.sample([("inner", "outer"), "main.main"], 1, 10)
    change(builder.proto)
    with kept_in(kind), pytest.raises(InputError, match=f"^a malformed profile: .*{problem}") as caught:
        builder.profile()
    assert "\n" not in str(caught.value)


def test_profile_without_sample_types_is_refused() -> None:
    builder = small()
    builder.proto.ClearField("sample_type")
    with pytest.raises(InputError, match=r"^a profile without sample types; expected profile.proto of pprof$"):
        builder.profile()


@pytest.mark.parametrize("kind", KINDS)
def test_ids_far_apart(kind: str) -> None:
    builder = Builder(("n", "count"))
    builder.proto.function.append(raw(pb.Function(id=2**60, name=builder.string("f"), system_name=builder.string("f"))))
    for number in (2**64 - 1, 5, 2**40):
        builder.proto.location.append(raw(pb.Location(id=number, line=[pb.Line(function_id=2**60)])))
    builder.proto.sample.append(raw(pb.Sample(location_id=[2**40, 2**64 - 1, 5], value=[3])))
    with kept_in(kind):
        assert stacks(builder.profile()) == [(["f", "f", "f"], 3)]
        builder.proto.sample.append(raw(pb.Sample(location_id=[6], value=[3])))
        with pytest.raises(InputError, match="a location that is not in the profile"):
            builder.profile()


@given(st.data())
def test_damaged_bytes_are_read_alike_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(small().bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    read = {}
    for kind in KINDS:
        with kept_in(kind), suppress(InputError):
            read[kind] = stacks(decode(bytes(damaged[:cut])))
    assert read.get("lists") == read.get("arrays")


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [("MOST_OBJECTS", 3, "objects and"), ("MOST_STRINGS", 3, "strings, which"), ("MOST_LINES", 2, "3 lines of all")],
)
def test_objects_are_bounded(limit: str, value: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(InputError, match=problem):
        small().profile()


def test_inlined_frames_are_bounded() -> None:
    """However small the file is."""
    builder = Builder(("n", "count"))
    builder.location(tuple(f"f{number}" for number in range(250)))
    builder.proto.sample.append(raw(pb.Sample(location_id=[1] * 300_000, value=[1])))
    with pytest.raises(InputError, match="75,000,000 frames in all stacks together"):
        builder.profile()
    builder.location(tuple(f"f{number}" for number in range(257)))
    with pytest.raises(InputError, match="257 calls inlined at location 2"):
        builder.profile()


@pytest.mark.slow
def test_generated_decoder_is_current(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    command = ["-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([sys.executable, *command, "cachedoctor/pprof/profile.proto"], check=True, cwd=root)
    for name in ("profile_pb2.py", "profile_pb2.pyi"):
        generated = tmp_path / "cachedoctor" / "pprof" / name
        assert generated.read_text() == (root / "cachedoctor" / "pprof" / name).read_text()
