"""The wire rules of Go's `encoding/json` with `omitempty`, one by one."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig, decode, decode_inline, encode
from cachedoctor.cacheconfig.decode import MOST_UNKNOWN
from cachedoctor.errors import InputError


def config(**fields: Any) -> CacheConfig:
    return decode(copy.deepcopy(fields), "f")


def problem(**fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        config(**fields)
    return str(caught.value)


def test_absent_parent_is_layer_0_and_none_is_minus_1() -> None:
    assert config(layers=[{"blob": "a", "parent": -1}, {"blob": "b"}]).parents == [NO_PARENT, 0]


def test_absent_link_is_record_0_and_absent_selector_is_empty() -> None:
    found = config(records=[{"digest": "a", "inputs": [[{}, {"selector": "s", "link": 2}]]}])
    assert (found.links, found.selectors) == ([0, 2], ["", "s"])


def test_absent_layer_of_a_result_is_0() -> None:
    assert config(records=[{"layers": [{}]}]).results == [0]


def test_absent_lists_are_empty() -> None:
    assert config().digests == []
    found = config(records=[{}])
    assert (found.digests, found.input_start, found.result_start, found.chains) == ([""], [0, 0], [0, 0], [])


def test_null_is_the_zero_value_everywhere() -> None:
    assert config(layers=None, records=None) == config()
    assert config(layers=[None]).parents == [0]
    assert config(layers=[{"blob": None, "parent": None}]).blobs == [""]
    nulls = {"digest": None, "inputs": None, "layers": None, "chains": None}
    assert config(records=[nulls, None]).digests == ["", ""]
    assert config(records=[{"inputs": [[{"selector": None, "link": None}, None]]}]).links == [0, 0]
    assert config(records=[{"layers": [None, {"layer": None, "createdAt": None}]}]).results == [0, 0]
    assert config(records=[{"chains": [{"layers": None}, None]}]).chains == [(0, [], ""), (0, [], "")]
    assert config(records=[{"chains": [{"layers": [None, 3]}]}]).chains == [(0, [0, 3], "")]


@pytest.mark.parametrize("empty", [None, []])
def test_an_element_of_inputs_may_be_empty(empty: list[Any] | None) -> None:
    found = config(records=[{"inputs": [[{"link": 1}], empty]}])
    assert (found.input_start, found.link_start) == ([0, 2], [0, 1, 1])


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T08:14:45.23117993Z",
        "2026-11-24T08:14:45.123456789Z",
        "2026-11-24T08:14:45.999999999Z",
        "2026-11-24T08:14:45.000000001Z",
        "2026-11-24T08:14:45Z",
        "2026-11-24T08:14:45.5+02:00",
        "0001-01-01T00:00:00Z",
        "2024-02-29T23:59:59.1-11:30",
    ],
)
def test_times_are_kept_as_text(text: str) -> None:
    found = config(records=[{"layers": [{"createdAt": text}], "chains": [{"createdAt": text}]}])
    assert found.result_created == [text]
    assert found.chains == [(0, [], text)]


def test_times_of_results_and_chains_may_be_absent() -> None:
    found = config(records=[{"layers": [{"layer": 1}], "chains": [{"layers": [1]}]}])
    assert found.result_created == [""]
    assert found.chains == [(0, [1], "")]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-11-24",
        "2026-11-24T08:14:45",
        "2026-11-24 08:14:45Z",
        "2026-11-24T08:14Z",
        "2026-11-24T08:14:45.Z",
        "2026-11-24T08:14:45,5Z",
        "2026-11-24t08:14:45z",
        "2026-11-24T08:14:45+0200",
        " 2026-11-24T08:14:45Z",
        "2026-11-24T08:14:45Z\n",
        "26-11-24T08:14:45Z",
        pytest.param("", id="empty"),
        pytest.param("\uff12026-11-24T08:14:45Z", id="wide digits"),
        pytest.param("2026-13-24T08:14:45Z", id="month 13"),
        pytest.param("2026-02-29T08:14:45Z", id="no leap year"),
        pytest.param("2026-11-24T24:14:45Z", id="hour 24"),
        pytest.param("2026-11-24T08:60:45Z", id="minute 60"),
    ],
)
def test_times_that_are_none(text: str) -> None:
    """Go's `time.Time` takes none of these, so BuildKit refuses the whole document."""
    message = problem(records=[{"layers": [{"createdAt": text}]}])
    assert message == "f: $.records[0].layers[0].createdAt: expected a time as RFC 3339 writes it"
    message = problem(records=[{}, {"chains": [{}, {"createdAt": text}]}])
    assert message == "f: $.records[1].chains[1].createdAt: expected a time as RFC 3339 writes it"


def test_annotations_and_unknown_fields_do_no_harm() -> None:
    found = config(layers=[{"blob": "a", "annotations": {"size": 5}}], records=[{"note": [1], "digest": "d"}], more=1)
    assert found.annotated
    assert found.layer_fields == [{"annotations": {"size": 5}}]
    assert found.unknown_fields == ("more", "records[].note")


@pytest.mark.parametrize(
    ("number", "fits"), [(2**63 - 1, True), (-(2**63), True), (2**63, False), (-(2**63) - 1, False)]
)
def test_integers_have_64_bits(number: int, fits: bool) -> None:
    if fits:
        assert config(records=[{"inputs": [[{"link": number}]]}]).links == [number]
    else:
        assert "64 bits" in problem(records=[{"inputs": [[{"link": number}]]}])


def test_inline_layers_are_each_the_child_of_the_one_before() -> None:
    found = decode_inline([{"digest": "a", "layers": [{"layer": 2}]}], ["x", "y", "z"], "f")
    assert (found.blobs, found.parents, found.results) == (["x", "y", "z"], [-1, 0, 1], [2])
    assert decode_inline(None, ["x"], "f").digests == []


def test_the_path_of_an_inline_record_starts_at_the_list_that_the_image_has() -> None:
    """What is encoded in the image is the list of records, so there is no field `records` to be named."""
    with pytest.raises(InputError) as caught:
        decode_inline([{}, {"digest": 5}], ["x"], "f", "$.cache")
    assert str(caught.value) == "f: $.cache[1].digest: expected a string, found integer"
    with pytest.raises(InputError) as caught:
        decode_inline({"digest": "a"}, ["x"], "f")
    assert str(caught.value) == "f: $: expected an array, found object"


WHOLE: dict[str, Any] = {
    "layers": [{"blob": "a", "parent": -1}, {"blob": "b", "parent": 0, "annotations": {"size": 1}}],
    "records": [
        {"digest": "c"},
        {
            "layers": [{"layer": 1}, {"layer": 0, "createdAt": "2026-11-24T08:14:45Z"}],
            "chains": [{}, {"layers": [0, 1], "createdAt": "2026-11-24T08:14:45Z"}],
            "digest": "d",
            "inputs": [[{"link": 0}], [{"link": 0}, {"selector": "s", "link": 0}]],
        },
    ],
}
LARGE = json.loads("1e400")
WRONG: list[Any] = [
    *(True, False, 0, 7, -1, 2**63, 0.0, 1.5, 1e300, LARGE, "", "x", "7", [], [0], ["x"], [[0]], [[]], {}, {"a": 1})
]
KINDS = {int: "an integer", str: "a string", list: "an array", dict: "an object"}
FOUND = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean"}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from places(below, (*path, key))


def json_path(path: tuple[Any, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def at(path: tuple[Any, ...]) -> Any:
    found: Any = WHOLE
    for step in path:
        found = found[step]
    return found


def replaced(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The whole document with another value in one place."""
    changed = copy.deepcopy(WHOLE)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


KNOWN_PLACES = [path for path in places(WHOLE) if path and "annotations" not in path]


@pytest.mark.parametrize("path", KNOWN_PLACES, ids=json_path)
def test_wrong_types_are_named_by_their_place(path: tuple[Any, ...]) -> None:
    expected = type(at(path))
    for wrong in WRONG:
        if type(wrong) is not expected:
            message = problem(**replaced(path, wrong))
            assert message == f"f: {json_path(path)}: expected {KINDS[expected]}, found {FOUND[type(wrong)]}"


@pytest.mark.parametrize("path", [path for path in KNOWN_PLACES if type(at(path)) is int], ids=json_path)
@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**400])
def test_integers_that_are_too_long_are_named_by_their_place(path: tuple[Any, ...], number: int) -> None:
    message = problem(**replaced(path, number))
    assert message == f"f: {json_path(path)}: expected an integer of 64 bits, found a larger one"


@pytest.mark.parametrize("path", [path for path in KNOWN_PLACES if type(at(path)) is list], ids=json_path)
@pytest.mark.parametrize("wrong", [True, 1.5, "x", [[["x"]]], {"a": 1}])
def test_wrong_elements_are_named_by_their_index(path: tuple[Any, ...], wrong: Any) -> None:
    """Whatever else is in the list, and however the wrong element is nested."""
    whole: list[Any] = at(path)
    if whole and type(whole[0]) is type(wrong):
        return
    message = problem(**replaced(path, [*copy.deepcopy(whole), wrong]))
    assert message.startswith(f"f: {json_path((*path, len(whole)))}: expected ")


def test_annotations_are_nested_no_deeper_than_can_be_written() -> None:
    def nested(depth: int) -> Any:
        return orjson.loads("[" * depth + "]" * depth)

    found = decode({"layers": [{"blob": "a", "annotations": nested(99)}]}, "f")
    assert decode(orjson.loads(encode(found)), "f") == found
    for depth in (100, 254, 900):
        with pytest.raises(InputError, match=r"f: \$\.layers\[1\]: nested more than 100 deep"):
            decode({"layers": [{}, {"annotations": nested(depth)}]}, "f")


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_annotations_may_be_anything(wrong: Any) -> None:
    found = config(**replaced(("layers", 1, "annotations"), wrong))
    assert found.layer_fields == [None, {"annotations": wrong}]
    assert found.parents == [NO_PARENT, 0]


@pytest.mark.parametrize(
    "path", [(), *(path for path in places(WHOLE) if type(at(path)) is dict and path)], ids=json_path
)
def test_unknown_fields_of_any_type_are_passed_over(path: tuple[Any, ...]) -> None:
    plain = config(**copy.deepcopy(WHOLE))
    for value in (*WRONG, None):
        changed = replaced((*path, "other"), value)
        found = config(**changed)
        assert dataclasses.replace(found, layer_fields=[], unknown_fields=()) == dataclasses.replace(
            plain, layer_fields=[], unknown_fields=()
        )


FIELDS = {
    "document": {"layers": "list layer", "records": "list record"},
    "layer": {"blob": "str", "parent": "int"},
    "record": {"layers": "list result", "chains": "list chain", "digest": "str", "inputs": "list list link"},
    "result": {"layer": "int", "createdAt": "time"},
    "chain": {"layers": "list int", "createdAt": "time"},
    "link": {"selector": "str", "link": "int"},
}
ZERO: dict[str, Any] = {"str": "", "int": 0, "time": ""}


def of_kind(kind: str) -> st.SearchStrategy[Any]:
    """JSON of a kind, in which anything may be `null` and any field absent."""
    if kind.startswith("list "):
        return st.none() | st.lists(of_kind(kind.removeprefix("list ")), max_size=3)
    if kind in FIELDS:
        fields = {name: of_kind(of) for name, of in FIELDS[kind].items()}
        return st.none() | st.fixed_dictionaries({}, optional=fields)
    if kind == "int":
        return st.none() | st.integers(-2, 3) | st.integers(-(2**63), 2**63 - 1)
    return st.none() | st.sampled_from(
        ["2026-11-24T08:14:45.5Z", "2026-11-24T08:14:45Z"] if kind == "time" else ["a", ""]
    )


def read(value: Any, kind: str) -> Any:
    """What Go has after reading it: every field, every list, and zero values for what is absent or `null`."""
    if kind.startswith("list "):
        return [read(one, kind.removeprefix("list ")) for one in value or []]
    if kind in FIELDS:
        return {name: read((value or {}).get(name), of) for name, of in FIELDS[kind].items()}
    return ZERO[kind] if value is None else value


def written(found: CacheConfig) -> dict[str, Any]:
    """The columns put back into nested lists."""
    chains: list[list[dict[str, Any]]] = [[] for _ in found.digests]
    for record, layers, created in found.chains:
        chains[record].append({"layers": layers, "createdAt": created})
    links = [{"selector": s, "link": link} for link, s in zip(found.links, found.selectors, strict=True)]
    results = [{"layer": at, "createdAt": t} for at, t in zip(found.results, found.result_created, strict=True)]
    inputs = [links[low:high] for low, high in pairwise(found.link_start)]
    columns = zip(found.digests, pairwise(found.result_start), pairwise(found.input_start), chains, strict=True)
    return {
        "layers": [{"blob": blob, "parent": at} for blob, at in zip(found.blobs, found.parents, strict=True)],
        "records": [
            {"layers": results[slice(*own)], "chains": chain, "digest": digest, "inputs": inputs[slice(*span)]}
            for digest, own, span, chain in columns
        ],
    }


@settings(max_examples=500, deadline=None)
@given(of_kind("document").filter(bool))
def test_any_document_is_read_as_go_reads_it(document: dict[str, Any]) -> None:
    assert written(decode(copy.deepcopy(document), "f")) == read(document, "document")


@pytest.mark.parametrize("wrong", [None, True, 7, "x", []])
def test_what_is_no_object(wrong: Any) -> None:
    with pytest.raises(InputError, match="expected a cache config object"):
        decode(wrong, "f")


def test_numbers_beyond_floats_are_no_integers() -> None:
    with pytest.raises(InputError, match="expected an integer, found number"):
        decode(orjson.loads(b'{"layers":[{"parent":123456789012345678901234567890}]}'), "f")


def test_unknown_fields_are_told_in_part() -> None:
    names = [f"f{number:03}" for number in range(MOST_UNKNOWN + 1)]
    one = {"records": [dict.fromkeys(names, 0)]}
    assert decode(one, "x").unknown_fields == tuple(f"records[].{name}" for name in names[:-1])
