"""The wire rules of Go's `encoding/json` with `omitempty`, one by one, and the two readers against each other."""

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

from cachedoctor.cacheconfig import (
    NO_PARENT,
    CacheConfig,
    decode,
    decode_inline,
    decode_parsed,
    decode_strictly,
    encode,
)
from cachedoctor.cacheconfig.lenient import MOST_UNKNOWN
from cachedoctor.errors import InputError
from tests.strategies import HOSTILE, nearly_valid, written
from tests.support import FIXTURES


def config(**fields: Any) -> CacheConfig:
    return decode(json.dumps(fields).encode())


def problem(**fields: Any) -> str:
    with pytest.raises(InputError) as caught:
        config(**fields)
    return str(caught.value)


def test_an_absent_parent_is_layer_0_and_no_parent_is_minus_1() -> None:
    assert config(layers=[{"blob": "a", "parent": -1}, {"blob": "b"}]).parents == [NO_PARENT, 0]


def test_an_absent_link_is_record_0_and_an_absent_selector_is_empty() -> None:
    read = config(records=[{"digest": "a", "inputs": [[{}, {"selector": "s", "link": 2}]]}])
    assert (read.links, read.selectors) == ([0, 2], ["", "s"])


def test_the_absent_layer_of_a_result_is_0() -> None:
    assert config(records=[{"layers": [{}]}]).results == [0]


def test_absent_lists_are_empty() -> None:
    assert config().digests == []
    read = config(records=[{}])
    assert (read.digests, read.input_start, read.result_start, read.chains) == ([""], [0, 0], [0, 0], [])


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
    read = config(records=[{"inputs": [[{"link": 1}], empty]}])
    assert (read.input_start, read.link_start) == ([0, 2], [0, 1, 1])


def test_times_are_kept_as_text() -> None:
    text = "2026-11-24T08:14:45.23117993Z"
    read = config(records=[{"layers": [{"createdAt": text}], "chains": [{"createdAt": text}]}])
    assert read.result_created == [text]
    assert read.chains == [(0, [], text)]


def test_times_of_results_and_chains_may_be_absent() -> None:
    read = config(records=[{"layers": [{"layer": 1}], "chains": [{"layers": [1]}]}])
    assert read.result_created == [""]
    assert read.chains == [(0, [1], "")]


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-24T08:14:45", "2026-02-29T08:14:45Z"])
def test_a_bad_time_is_refused(text: str) -> None:
    """Go's `time.Time` does not take it, so BuildKit refuses the whole document."""
    message = problem(records=[{"layers": [{"createdAt": text}]}])
    assert message == "$.records[0].layers[0].createdAt: expected a time as RFC 3339 writes it"
    message = problem(records=[{}, {"chains": [{}, {"createdAt": text}]}])
    assert message == "$.records[1].chains[1].createdAt: expected a time as RFC 3339 writes it"


def test_annotations_and_unknown_fields_are_allowed() -> None:
    read = config(layers=[{"blob": "a", "annotations": {"size": 5}}], records=[{"note": [1], "digest": "d"}], more=1)
    assert read.annotated
    assert read.layer_fields == [{"annotations": {"size": 5}}]
    assert read.unknown_fields == ("more", "records[].note")


def test_unknown_fields_of_layers_keep_their_order() -> None:
    layer = {"z": 1, "blob": "b", "annotations": {"y": 2, "x": None}, "parent": -1, "a": None}
    (fields,) = config(layers=[layer]).layer_fields
    assert json.dumps(fields) == '{"z": 1, "annotations": {"y": 2, "x": null}, "a": null}'


def test_the_case_of_a_field_does_not_matter() -> None:
    record = {"DIGEST": "d", "Inputs": [[{"Link": 4, "\N{LATIN SMALL LETTER LONG S}elector": "s", "links": 5}]]}
    read = config(layers=[{"Blob": "b", "PARENT": -1, "Size": 1}], records=[record])
    assert (read.digests, read.links, read.selectors) == (["d"], [4], ["s"])
    assert (read.blobs, read.parents, read.layer_fields) == (["b"], [-1], [{"Size": 1}])
    assert read.unknown_fields == ("records[].inputs[][].links",)
    assert problem(records=[{"Digest": 1}]) == "$.records[0].Digest: expected a string, found integer"


@pytest.mark.parametrize(
    ("fields", "link"), [('"link":1,"Link":2', 2), ('"LINK":2,"link":1', 1), ('"Link":3,"link":null', 3)]
)
def test_of_fields_that_differ_only_in_case_the_last_one_counts(fields: str, link: int) -> None:
    assert decode(f'{{"records":[{{"inputs":[[{{{fields}}}]]}}]}}'.encode()).links == [link]


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_integers_have_64_bits(number: int) -> None:
    assert config(records=[{"inputs": [[{"link": number}]]}]).links == [number]
    assert config(records=[{"inputs": [[{"link": number}, None]]}]).links == [number, 0]


def test_inline_layers_are_each_the_child_of_the_one_before() -> None:
    read = decode_inline(b'[{"digest":"a","layers":[{"layer":2}]}]', ["x", "y", "z"])
    assert (read.blobs, read.parents, read.results) == (["x", "y", "z"], [-1, 0, 1], [2])
    for empty in (b"null", b"[]"):
        assert decode_inline(empty, ["x"]).digests == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{},{"digest":5}]', "$.cache[1].digest: expected a string, found integer"),
        (b'{"digest":"a"}', "$.cache: expected an array, found object"),
        (b"[{}", "$.cache: byte 3: expected JSON: unexpected end of data; it seems to be cut short"),
    ],
)
def test_the_path_of_an_inline_record_starts_at_its_list_in_the_image(data: bytes, message: str) -> None:
    """What is encoded in the image is the list of records, so there is no field `records` to be named."""
    with pytest.raises(InputError) as caught:
        decode_inline(data, ["x"], "$.cache")
    assert str(caught.value) == message


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
WRONG: list[Any] = [
    *(True, False, 0, 7, -1, 2**63, 0.0, 1.5, 1e300, "", "x", "7", [], [0], ["x"], [[0]], [[]], {}, {"a": 1})
]
KINDS = {int: "an integer", str: "a string", list: "an array", dict: "an object"}
FOUND = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean"}


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def json_path(path: tuple[Any, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def at(path: tuple[Any, ...]) -> Any:
    value: Any = WHOLE
    for step in path:
        value = value[step]
    return value


def replaced(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The whole document with another value in one place."""
    changed = copy.deepcopy(WHOLE)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


KNOWN_PATHS = [path for path in paths(WHOLE) if path and "annotations" not in path]


@pytest.mark.parametrize("path", KNOWN_PATHS, ids=json_path)
def test_a_wrong_type_is_reported_with_its_path(path: tuple[Any, ...]) -> None:
    expected = type(at(path))
    for wrong in WRONG:
        if type(wrong) is not expected:
            message = problem(**replaced(path, wrong))
            assert message == f"{json_path(path)}: expected {KINDS[expected]}, found {FOUND[type(wrong)]}"


@pytest.mark.parametrize("path", [path for path in KNOWN_PATHS if type(at(path)) is int], ids=json_path)
@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_an_integer_that_is_too_long_is_reported_with_its_path(path: tuple[Any, ...], number: int) -> None:
    message = problem(**replaced(path, number))
    assert message == f"{json_path(path)}: expected an integer of 64 bits, found a larger one"


@pytest.mark.parametrize("path", [path for path in KNOWN_PATHS if type(at(path)) is int], ids=json_path)
@pytest.mark.parametrize("digits", [f"{2**64}", f"-{2**63 + 1}", "1" + "0" * 300], ids=["high", "low", "long"])
def test_an_integer_that_is_read_as_a_float_is_reported_with_its_path(path: tuple[Any, ...], digits: str) -> None:
    data = written(replaced(path, "a number")).replace(b'"a number"', digits.encode())
    with pytest.raises(InputError) as caught:
        decode(data)
    assert str(caught.value) == f"{json_path(path)}: expected an integer, found number"


@pytest.mark.parametrize("path", [path for path in KNOWN_PATHS if type(at(path)) is list], ids=json_path)
@pytest.mark.parametrize("wrong", [True, 1.5, "x", [[["x"]]], {"a": 1}])
def test_a_wrong_element_is_reported_with_its_index(path: tuple[Any, ...], wrong: Any) -> None:
    """Whatever else is in the list, and however the wrong element is nested."""
    whole: list[Any] = at(path)
    if whole and type(whole[0]) is type(wrong):
        return
    message = problem(**replaced(path, [*copy.deepcopy(whole), wrong]))
    assert message.startswith(f"{json_path((*path, len(whole)))}: expected ")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"records":[}', "byte 12: expected JSON: unexpected character"),
        (b'{"records":[{}]', "byte 15: expected JSON: unexpected end of data; it seems to be cut short"),
        (b'{"records":[{"digest":"\xff"}]}', "byte 23: expected JSON: not UTF-8"),
        (b'{"records":[{"digest":"\xc3\xa4"}x', "byte 27: expected JSON: unexpected character"),
    ],
)
def test_invalid_json_is_reported_with_its_byte(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode(data)
    assert str(caught.value).startswith(message)


def test_annotations_are_nested_no_deeper_than_can_be_written() -> None:
    def nested(depth: int) -> bytes:
        return b'{"layers":[{},{"blob":"a","annotations":' + b"[" * depth + b"]" * depth + b"}]}"

    read = decode(nested(99))
    assert decode(encode(read)) == read
    for depth in (100, 254, 900):
        with pytest.raises(InputError, match=r"\$\.layers\[1\]: nested more than 100 deep"):
            decode(nested(depth))
    with pytest.raises(InputError, match="expected JSON"):
        decode(nested(100_000))


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_annotations_may_be_anything(wrong: Any) -> None:
    read = config(**replaced(("layers", 1, "annotations"), wrong))
    assert read.layer_fields == [None, {"annotations": wrong}]
    assert read.parents == [NO_PARENT, 0]


@pytest.mark.parametrize(
    "path", [(), *(path for path in paths(WHOLE) if type(at(path)) is dict and path)], ids=json_path
)
def test_unknown_fields_of_any_type_are_ignored(path: tuple[Any, ...]) -> None:
    plain = dataclasses.replace(config(**WHOLE), layer_fields=[], unknown_fields=())
    for value in (*WRONG, None):
        read = config(**replaced((*path, "other"), value))
        assert dataclasses.replace(read, layer_fields=[], unknown_fields=()) == plain


FIELDS = {
    "document": {"layers": "list layer", "records": "list record"},
    "layer": {"blob": "str", "parent": "int"},
    "record": {"layers": "list result", "chains": "list chain", "digest": "str", "inputs": "list list link"},
    "result": {"layer": "int", "createdAt": "time"},
    "chain": {"layers": "list int", "createdAt": "time"},
    "link": {"selector": "str", "link": "int"},
}
ZERO: dict[str, Any] = {"str": "", "int": 0, "time": ""}


def of_kind(kind: str, absent: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON of a kind, in which anything may be `absent`, and any field left out."""
    if kind.startswith("list "):
        return absent | st.lists(of_kind(kind.removeprefix("list "), absent), max_size=3)
    if kind in FIELDS:
        fields = {name: of_kind(of, absent) for name, of in FIELDS[kind].items()}
        return absent | st.fixed_dictionaries({}, optional=fields)
    if kind == "int":
        return absent | st.integers(-2, 3) | st.integers(-(2**63), 2**63 - 1)
    return absent | st.sampled_from(["2026-11-24T08:14:45.5Z", "2026-11-24T08:14:45Z"] if kind == "time" else ["a", ""])


def as_go_reads(value: Any, kind: str) -> Any:
    """What Go has after reading it: every field, every list, and zero values for what is absent or `null`."""
    if kind.startswith("list "):
        return [as_go_reads(element, kind.removeprefix("list ")) for element in value or []]
    if kind in FIELDS:
        return {name: as_go_reads((value or {}).get(name), of) for name, of in FIELDS[kind].items()}
    return ZERO[kind] if value is None else value


def nested(read: CacheConfig) -> dict[str, Any]:
    """The columns put back into nested lists."""
    chains: list[list[dict[str, Any]]] = [[] for _ in read.digests]
    for record, layers, created in read.chains:
        chains[record].append({"layers": layers, "createdAt": created})
    links = [{"selector": s, "link": link} for link, s in zip(read.links, read.selectors, strict=True)]
    results = [{"layer": at, "createdAt": t} for at, t in zip(read.results, read.result_created, strict=True)]
    inputs = [links[low:high] for low, high in pairwise(read.link_start)]
    columns = zip(read.digests, pairwise(read.result_start), pairwise(read.input_start), chains, strict=True)
    return {
        "layers": [{"blob": blob, "parent": at} for blob, at in zip(read.blobs, read.parents, strict=True)],
        "records": [
            {"layers": results[slice(*result_span)], "chains": chain, "digest": digest, "inputs": inputs[slice(*span)]}
            for digest, result_span, span, chain in columns
        ],
    }


@settings(max_examples=500)
@given(of_kind("document", st.none()).filter(bool))
def test_any_document_is_read_as_go_reads_it(document: dict[str, Any]) -> None:
    assert nested(config(**document)) == as_go_reads(document, "document")


@settings(max_examples=300)
@given(of_kind("document", st.nothing()))
def test_the_strict_reader_reads_any_document_without_nulls(document: dict[str, Any]) -> None:
    read = decode_strictly(written(document))
    assert read is not None
    assert nested(read) == as_go_reads(document, "document")


def agree(data: bytes) -> bool:
    """Whether the strict reader takes it; if it does, the lenient one reads the same."""
    read = decode_strictly(data)
    if read is not None:
        assert decode_parsed(orjson.loads(data)) == read
    return read is not None


@settings(max_examples=500)
@given(nearly_valid())
def test_both_readers_agree_on_what_the_strict_one_accepts(data: bytes) -> None:
    agree(data)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_both_readers_agree_on_hostile_documents(name: str) -> None:
    for size in (1, 50, 300):
        agree(HOSTILE[name](size))


def test_the_strict_reader_reads_everything_from_buildkit() -> None:
    """None of it needs the lenient reader."""
    assert all(agree(path.read_bytes()) for path in (FIXTURES / "manifests").glob("*.json"))


@pytest.mark.parametrize("data", [b"null", b"true", b"7", b'"x"', b"[]"])
def test_a_cache_config_must_be_an_object(data: bytes) -> None:
    with pytest.raises(InputError, match="expected a cache config object"):
        decode(data)


def test_only_the_first_unknown_fields_are_reported() -> None:
    names = [f"f{number:03}" for number in range(MOST_UNKNOWN + 1)]
    read = config(records=[dict.fromkeys(names, 0)])
    assert read.unknown_fields == tuple(f"records[].{name}" for name in names[:-1])
