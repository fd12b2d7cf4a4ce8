"""Profiles that are damaged, hostile, or unusual."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.diagnosis.load import load
from cachedoctor.errors import InputError
from cachedoctor.pprof import decode as module
from cachedoctor.pprof import profile_pb2 as pb
from cachedoctor.pprof.decode import decode, simplified
from tests.pprof.profiles import Builder
from tests.pprof.test_samples import field, varint
from tests.support import FIXTURES, run

STUCK = FIXTURES / "profiles" / "cpu-stuck.pprof"


def small() -> Builder:
    builder = Builder()
    builder.mapping("/usr/bin/buildkitd", "abc")
    builder.sample([("inner", "outer"), "main.main"], 1, 10)
    return builder


def test_a_profile_is_columns() -> None:
    profile = small().profile()
    assert [profile.names[node] for node in profile.frames] == ["inner", "outer", "main.main"]
    assert profile.inlined.tolist() == [True, False, False]
    assert (profile.values.tolist(), profile.total, profile.kind) == ([10], 10, "cpu")
    assert (profile.file, profile.build_id) == ("buildkitd", "abc")


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
def test_the_kind_is_told_by_the_sample_types(types: list[tuple[str, str]], kind: str) -> None:
    assert Builder(*types).profile().kind == kind


def test_the_sample_type_can_be_chosen() -> None:
    data = small().bytes()
    assert decode(data, "x", "samples").values.tolist() == [1]
    with pytest.raises(InputError, match="no sample type wall; it has samples, cpu"):
        decode(data, "x", "wall")


def test_names_that_are_not_utf_8_are_told_escaped() -> None:
    builder = small()
    data = builder.bytes().replace(b"inner", b"in\xff\xfer")
    assert "in\\xff\\xfer" in decode(data, "x").names


@pytest.mark.parametrize("name", ["C.operator()(int)", "C.(anonymous namespace)::f(int)", ".C.f(int)"])
def test_names_are_held_against_drop_frames_without_their_arguments(name: str) -> None:
    """`()` of an operator and of an anonymous namespace are no arguments (google/pprof, profile/prune.go)."""
    builder = Builder()
    builder.sample([name, "main.main"], 1, 10)
    # A name that differs from its system name has been demangled, and stays as it is.
    function = pb.Function.FromString(builder.proto.function[0])
    function.system_name = builder.string("mangled")
    builder.proto.function[0] = function.SerializeToString()
    assert len(builder.profile().frames) == 2
    builder.proto.drop_frames = builder.string(r"C\.operator\(\)|C\.\(anonymous namespace\)::f|C\.f")
    profile = builder.profile()
    assert [profile.names[node] for node in profile.frames] == ["main.main"]


def breaking(change: Callable[[Builder], None]) -> bytes:
    builder = small()
    change(builder)
    return builder.bytes()


def raw(message: pb.ValueType | pb.Function | pb.Location | pb.Mapping | pb.Sample) -> bytes:
    return message.SerializeToString()


LINE_OF_NOTHING = pb.Location(id=9, line=[pb.Line(function_id=77)]).SerializeToString()
LABEL_OF_NOTHING = pb.Sample(value=[1, 1], label=[pb.Label(key=99)]).SerializeToString()
ODD_LABEL = b"\x08\x01" * 20 + pb.Sample(value=[1, 1], label=[pb.Label(num_unit=98)]).SerializeToString()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one.proto.ClearField("sample_type"), "without sample types"),
        (lambda one: one.proto.function.append(raw(pb.Function(id=9, name=99))), "string 99 is not among its"),
        (lambda one: one.proto.location.append(LINE_OF_NOTHING), "line without a function"),
        (lambda one: one.proto.sample.append(LABEL_OF_NOTHING), "string 99 is not among its"),
        (lambda one: one.proto.sample.append(ODD_LABEL), "string 98 is not among its"),
        (lambda one: one.proto.sample.append(b"\x10\x01\x10\x01\x1a\x02\x08\x80"), "a sample: it cannot"),
        (lambda one: one.proto.sample.append(b"\x10\x01\x10\x01\x1a\x02\x0a\x7f"), "a label that cannot"),
        (lambda one: one.proto.sample_type.append(raw(pb.ValueType(type=-1))), "string -1 is not among its"),
        (lambda one: one.proto.sample.append(raw(pb.Sample(location_id=[99], value=[1, 1]))), "location that is not"),
        (lambda one: one.proto.sample.append(raw(pb.Sample(location_id=[0], value=[1, 1]))), "location that is not"),
        (lambda one: one.proto.sample.append(raw(pb.Sample(location_id=[2**63], value=[1, 1]))), "location that"),
        (lambda one: one.proto.sample.append(raw(pb.Sample(location_id=[1], value=[1]))), "1 values for 2"),
        (lambda one: one.proto.sample.append(b"\x0a\x7f\x01"), "a sample: it cannot be decoded"),
        (lambda one: one.proto.location.append(raw(pb.Location(id=1))), "two locations with the id 1"),
        (lambda one: one.proto.function.append(raw(pb.Function())), "a function with the id 0"),
        (lambda one: one.proto.mapping.append(b"\xff"), "a mapping that cannot be decoded"),
        (lambda one: one.proto.sample_type.append(b"\xff"), "a sample type that cannot be decoded"),
        (lambda one: one.proto.location.append(raw(pb.Location(id=9, line=[pb.Line()] * 600_000))), "too many bytes"),
        (lambda one: setattr(one.proto, "drop_frames", one.string("(")), "no regular expression"),
    ],
)
def test_a_malformed_profile_is_one_line(change: Callable[[Builder], None], problem: str) -> None:
    data = breaking(change)
    with pytest.raises(InputError, match=problem) as caught:
        decode(data, "x.pprof")
    assert "\n" not in str(caught.value)


def test_ids_far_apart_are_found() -> None:
    builder = Builder(("n", "count"))
    builder.proto.function.append(raw(pb.Function(id=2**60, name=builder.string("f"), system_name=builder.string("f"))))
    for number in (2**64 - 1, 5, 2**40):
        builder.proto.location.append(raw(pb.Location(id=number, line=[pb.Line(function_id=2**60)])))
    builder.proto.sample.append(raw(pb.Sample(location_id=[2**40, 2**64 - 1, 5], value=[3])))
    assert builder.profile().location_starts.tolist() == [0, 3]
    builder.proto.sample.append(raw(pb.Sample(location_id=[6], value=[3])))
    with pytest.raises(InputError, match="a location that is not in the profile"):
        builder.profile()


@given(st.data())
def test_damaged_bytes_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(small().bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    with suppress(InputError):
        assert decode(bytes(whole[:cut]), "x").starts[0] == 0


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "cut.pprof"
    file.write_bytes(STUCK.read_bytes()[:-300])
    done = run("profile", file)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().count("\n") == 1
    assert "gzip byte" in done.stderr.decode()


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    import gzip

    file = tmp_path / "bomb.pprof"
    with gzip.open(file, "wb", 9) as out:
        for _ in range(300):
            out.write(bytes(1 << 20))
    done = run("profile", file)
    assert done.returncode == 2
    assert "which is refused" in done.stderr.decode()


@pytest.mark.parametrize("unit", [b"\x12\x00", b"\x22\x00", b"\x22\x02\x08\x01", b"\x32\x00", b"\x6a\x00"])
def test_a_profile_of_empty_fields_needs_no_memory_to_refuse(unit: bytes) -> None:
    head = Builder().bytes()
    big = head + unit * (70_000_000 // len(unit))
    with pytest.raises(InputError, match="fields, which is refused"):
        decode(big, "x")


def test_large_fields_are_refused_where_they_cannot_be_meant() -> None:
    data = Builder().bytes() + field(6, bytes(1 << 19)) * 140
    assert decode(data, "x").values.size == 0
    with pytest.raises(InputError, match="a field of 1,048,577 bytes"):
        decode(data + field(13, bytes((1 << 20) + 1)), "x")
    with pytest.raises(InputError, match="truncated"):
        decode(data + b"\x32\x7f", "x")
    with pytest.raises(InputError, match="truncated"):
        decode(data + b"\xff" * 12, "x")
    with pytest.raises(InputError, match="truncated"):
        decode(data + b"\x0b", "x")
    assert decode(data + varint(200 << 3) + b"\x01" + varint(201 << 3 | 5) + b"1234", "x").values.size == 0


@pytest.mark.parametrize(
    ("limit", "value", "problem"),
    [("MOST_OBJECTS", 3, "objects and"), ("MOST_STRINGS", 3, "strings, which"), ("MOST_LINES", 2, "3 lines of all")],
)
def test_objects_are_bounded(limit: str, value: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, limit, value)
    with pytest.raises(InputError, match=problem):
        small().profile()


def test_code_without_a_name_is_never_dropped() -> None:
    builder = Builder(("n", "count"))
    builder.sample([(), "f", "main.main"], 1)
    builder.proto.drop_frames = builder.string(".*nown.*|f")
    profile = builder.profile()
    assert [profile.names[node] for node in profile.frames] == ["main.main"]
    builder.proto.drop_frames = builder.string(".*nown.*")
    profile = builder.profile()
    assert [profile.names[node] for node in profile.frames] == ["<unknown>", "f", "main.main"]


def test_a_small_file_of_many_inlined_frames_is_refused() -> None:
    builder = Builder(("n", "count"))
    builder.location(tuple(f"f{number}" for number in range(250)))
    builder.proto.sample.append(raw(pb.Sample(location_id=[1] * 300_000, value=[1])))
    with pytest.raises(InputError, match="75,000,000 frames in all stacks together"):
        builder.profile()
    builder.location(tuple(f"f{number}" for number in range(257)))
    with pytest.raises(InputError, match="257 calls inlined at location 2"):
        builder.profile()


def test_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAMES", 2)
    with pytest.raises(InputError, match="3 frames in all stacks together"):
        small().profile()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("main.main", "main.main"),
        ("a/b.EachRef[go.shape.interface { ID() string }]", "a/b.EachRef[go.shape.interface { ID string }]"),
        ("x.(*T[...]).m", "x.(*T[...]).m"),
        ("std::map<int, a(b)>::at(int)", "std::map::at"),
        ("a::b)c(d)", "a::b)c(d)"),
        ("a::b(c", "a::b(c"),
        ("java.<init>(x)", "java.<init>(x)"),
    ],
)
def test_names_are_simplified_as_pprof_does(name: str, shown: str) -> None:
    assert simplified(name, name) == shown
    assert simplified("demangled", name) == "demangled"


def test_the_generated_decoder_is_current(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    command = ["-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([sys.executable, *command, "cachedoctor/pprof/profile.proto"], check=True, cwd=root)
    for name in ("profile_pb2.py", "profile_pb2.pyi"):
        made = tmp_path / "cachedoctor" / "pprof" / name
        assert made.read_text() == (root / "cachedoctor" / "pprof" / name).read_text()


def test_captures_are_read() -> None:
    evidence = load(str(STUCK))
    assert evidence.profile
    assert (evidence.kind, evidence.sample_type, evidence.unit) == ("cpu", "cpu", "nanoseconds")
    assert evidence.total == 15_000_000_000
    assert evidence.duration_seconds == pytest.approx(15.17, abs=0.01)
