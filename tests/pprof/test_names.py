"""Function names as pprof prints and compares them."""

from __future__ import annotations

import pytest

from cachedoctor.pprof.names import of_binary, simplified, without_arguments


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
def test_names_are_simplified_as_by_pprof(name: str, shown: str) -> None:
    assert simplified(name, name) == shown
    assert simplified("demangled", name) == "demangled"


@pytest.mark.parametrize(("path", "shown"), [("/usr/bin/buildkitd", "[buildkitd]"), ("", "<unknown>")])
def test_functions_without_a_name_are_named_after_their_binary(path: str, shown: str) -> None:
    assert of_binary(path) == shown


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("C.operator()(int)", "C.operator()"),
        ("C.(anonymous namespace)::f(int)", "C.(anonymous namespace)::f"),
        (".C.f(int)", "C.f"),
        ("main.main", "main.main"),
    ],
)
def test_parentheses_of_an_operator_or_a_namespace_are_not_arguments(name: str, bare: str) -> None:
    assert without_arguments(name) == bare
