"""The wire rules of Go's `encoding/json` with `omitempty`, one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from cachedoctor.cacheconfig import NO_PARENT, CacheConfig, decode, decode_inline
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
    "text", ["2026-11-24T08:14:45.23117993Z", "2026-11-24T08:14:45Z", "2026-11-24T08:14:45.5+02:00"]
)
def test_times_are_kept_as_text(text: str) -> None:
    assert config(records=[{"layers": [{"layer": 0, "createdAt": text}]}]).result_created == [text]


@pytest.mark.parametrize("text", ["yesterday", "2026-11-24", "2026-11-24T08:14:45", "2026-11-24 08:14:45Z"])
def test_times_that_are_none(text: str) -> None:
    message = problem(records=[{"layers": [{"createdAt": text}]}])
    assert message == "f: $.records[0].layers[0].createdAt: expected a time as RFC 3339 writes it"


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


WHOLE: dict[str, Any] = {
    "layers": [{"blob": "a", "parent": -1}],
    "records": [
        {
            "layers": [{"layer": 0, "createdAt": "2026-11-24T08:14:45Z"}],
            "chains": [{"layers": [0], "createdAt": "2026-11-24T08:14:45Z"}],
            "digest": "d",
            "inputs": [[{"selector": "s", "link": 0}]],
        }
    ],
}
WRONG: list[Any] = [True, False, 0, 7, 1.5, 1e300, "", "x", [], ["x"], [7], {}, {"a": 1}]


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


@pytest.mark.parametrize("path", [path for path in places(WHOLE) if path], ids=json_path)
def test_wrong_types_are_named_by_their_place(path: tuple[Any, ...]) -> None:
    for wrong in WRONG:
        if type(wrong) is type(at(path)):
            continue
        changed = copy.deepcopy(WHOLE)
        parent = changed
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = wrong
        message = problem(**changed)
        assert message.startswith(f"f: {json_path(path)}: expected "), (wrong, message)
        assert "\n" not in message


@pytest.mark.parametrize("wrong", [None, True, 7, "x", []])
def test_what_is_no_object(wrong: Any) -> None:
    with pytest.raises(InputError, match="expected a cache config object"):
        decode(wrong, "f")


def test_numbers_beyond_floats_are_no_integers() -> None:
    with pytest.raises(InputError, match="expected an integer, found number"):
        decode(orjson.loads(b'{"layers":[{"parent":123456789012345678901234567890}]}'), "f")
