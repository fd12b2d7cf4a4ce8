"""Samples that the user asks for, and frames that a profile drops. The tables of random profiles test both, too."""

from __future__ import annotations

import sys

import pytest

from cachedoctor.errors import FocusError
from cachedoctor.pprof import profile_pb2 as pb
from cachedoctor.pprof.filter import focused
from cachedoctor.pprof.profile import Profile
from tests.pprof.profiles import KINDS, Builder, kept_in


def names(profile: Profile) -> list[list[str]]:
    return [[profile.names[node] for node in nodes] for nodes, _ in profile.samples]


@pytest.mark.parametrize("kind", KINDS)
def test_focus_is_searched_in_functions_files_and_binaries(kind: str) -> None:
    builder = Builder(("n", "count"))
    mapping = builder.mapping("/usr/bin/buildkitd")
    builder.function("a", "a.go")
    builder.location(("b",), mapping)
    for function in "abc":
        builder.sample([function], 1)
    with kept_in(kind):
        profile = builder.profile()
    assert names(focused(profile, "^c$")) == [["c"]]
    assert names(focused(profile, "a.go")) == [["a"]]
    assert names(focused(profile, "buildkitd")) == [["b"]]
    assert names(focused(profile, "a.go|^c$")) == [["a"], ["c"]]
    assert names(focused(profile, "nothing")) == []


def test_focus_that_is_not_a_regular_expression_is_refused() -> None:
    with pytest.raises(FocusError, match=r"^'\(' is not a regular expression$"):
        focused(Builder().profile(), "(")


def test_focus_takes_linear_time() -> None:
    builder = Builder(("n", "count"))
    builder.sample(["a" * 5000 + "!"], 1)
    assert names(focused(builder.profile(), "(a+)+$")) == []
    assert "re2" in sys.modules


@pytest.mark.parametrize("name", ["C.operator()(int)", "C.(anonymous namespace)::f(int)", ".C.f(int)"])
def test_drop_frames_is_compared_with_names_without_their_arguments(name: str) -> None:
    builder = Builder()
    builder.sample([name, "main.main"], 1, 10)
    # A name that differs from its system name has been demangled, and stays as it is.
    function = pb.Function.FromString(builder.proto.function[0])
    function.system_name = builder.string("mangled")
    builder.proto.function[0] = function.SerializeToString()
    assert names(builder.profile()) == [[name, "main.main"]]
    builder.proto.drop_frames = builder.string(r"C\.operator\(\)|C\.\(anonymous namespace\)::f|C\.f")
    assert names(builder.profile()) == [["main.main"]]


@pytest.mark.parametrize("kind", KINDS)
def test_code_without_a_name_is_never_dropped(kind: str) -> None:
    builder = Builder(("n", "count"))
    builder.sample([(), "f", "main.main"], 1)
    with kept_in(kind):
        builder.proto.drop_frames = builder.string(".*nown.*|f")
        assert names(builder.profile()) == [["main.main"]]
        builder.proto.drop_frames = builder.string(".*nown.*")
        assert names(builder.profile()) == [["<unknown>", "f", "main.main"]]
