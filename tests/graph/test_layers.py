"""Layers, their parents and their chains."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.cacheconfig import CacheConfig
from cachedoctor.graph import layers
from tests.cacheconfig.test_times import times
from tests.support import decoded, digest, document, record
from tests.support import layers as listed


@given(st.lists(st.integers(-2, 8), max_size=8))
def test_depths_and_faults_are_those_of_following_each_layer(parents: list[int]) -> None:
    tree = layers.layer_tree(parents)
    for layer in range(len(parents)):
        path = [layer]
        while 0 <= parents[path[-1]] < len(parents) and parents[path[-1]] not in path:
            path.append(parents[path[-1]])
        ends = parents[path[-1]] == -1
        assert tree.depth[layer] == (len(path) if ends else 0)
        assert (layer in tree.cyclic) == (parents[path[-1]] == layer)
        assert (layer in tree.dangling) == (parents[layer] != -1 and not 0 <= parents[layer] < len(parents))


def test_the_newest_result_counts() -> None:
    root = record("root")
    root["layers"] = [
        {"layer": 2, "createdAt": "2026-11-24T08:00:00.4Z"},
        {"layer": 0, "createdAt": "2026-11-24T08:00:00.41Z"},
    ]
    config = document([root, record("x", [0], layer=2), record("y", [0])], listed(-1, 0, 1)).config
    assert layers.result_layers(config, layers.layer_tree(config.parents)) == [1, 3, 0]


def test_a_missing_blob_makes_all_descendants_incomplete() -> None:
    config = document([], listed(-1, 0, 1, -1)).config
    blobs = frozenset({digest("layer 0"), digest("layer 2"), digest("layer 3")})
    assert list(layers.incomplete_layers(config, layers.layer_tree(config.parents), blobs)) == [0, 1, 1, 0]


def test_equal_chains_have_equal_numbers() -> None:
    first, second = document([], listed(-1, 0, 1)).config, document([], [*listed(-1, 0), *listed(-1)]).config
    numbers = layers.chain_numbers([first, second], [layers.layer_tree(config.parents) for config in (first, second)])
    assert numbers == [[0, 1, 2], [0, 1, 0]]


def test_marshalling_grows_with_the_third_power() -> None:
    assert [layers.marshal_steps(count) for count in (0, 1, 2, 100)] == [0, 0, 2, 250_000]
    whole = sum(map(layers.marshal_steps, range(401)))
    assert whole == pytest.approx(400**4 / 16, rel=0.01)


PARENTS = st.lists(st.integers(-2, 9), max_size=9)
BLOBS = st.lists(st.sampled_from("ab"), min_size=9, max_size=9)


def path_of(parents: Sequence[int], layer: int) -> tuple[list[int], bool]:
    """A layer and its ancestors as far as they can be followed, and whether they end properly."""
    path: list[int] = []
    while 0 <= layer < len(parents) and layer not in path:
        path.append(layer)
        layer = parents[layer]
    return path, layer == -1


def with_layers(parents: Sequence[int], blobs: Sequence[str], records: list[dict[str, Any]]) -> CacheConfig:
    docs = [{"blob": blob, "parent": parent} for blob, parent in zip(blobs, parents, strict=False)]
    return decoded({"layers": docs, "records": records})


@settings(max_examples=300)
@given(
    PARENTS, st.lists(st.integers(-2, 10), max_size=4), st.lists(st.lists(st.integers(-2, 10), max_size=2), max_size=2)
)
def test_used_layers_are_those_of_results_and_chains_and_their_ancestors(
    parents: list[int], results: list[int], chains: list[list[int]]
) -> None:
    """Even if ancestors never end, or lead out of the document."""
    last = {"layers": [{"layer": at} for at in results], "chains": [{"layers": chain} for chain in chains]}
    config = with_layers(parents, "x" * 9, [{}, last])
    pointed_at = [*results, *chain.from_iterable(chains)]
    expected = {step for at in pointed_at for step in path_of(parents, at)[0]}
    assert list(layers.used_layers(config)) == [at in expected for at in range(len(parents))]
    assert list(layers.results(config)) == [(1, at) for at in results]
    assert list(layers.pointed_at(config)) == [(1, at) for at in pointed_at]


@settings(max_examples=300)
@given(PARENTS, BLOBS)
def test_incomplete_layers_lack_their_own_blob_or_that_of_an_ancestor(parents: list[int], blobs: list[str]) -> None:
    config = with_layers(parents, blobs, [])
    tree = layers.layer_tree(parents)
    incomplete = layers.incomplete_layers(config, tree, frozenset("a"))
    for layer in range(len(parents)):
        path, ends = path_of(parents, layer)
        if ends:
            assert incomplete[layer] == any(blobs[step] == "b" for step in path)
        elif blobs[layer] == "b":
            assert incomplete[layer]


@settings(max_examples=300)
@given(st.lists(st.tuples(PARENTS, BLOBS), min_size=1, max_size=2))
def test_layers_have_the_same_number_if_blobs_and_ancestors_are_equal(docs: list[tuple[list[int], list[str]]]) -> None:
    listed = [with_layers(parents, blobs, []) for parents, blobs in docs]
    numbers = layers.chain_numbers(listed, [layers.layer_tree(parents) for parents, _ in docs])
    seen = [
        (numbers[document][layer], tuple(blobs[step] for step in path))
        for document, (parents, blobs) in enumerate(docs)
        for layer in range(len(parents))
        for path, ends in [path_of(parents, layer)]
        if ends
    ]
    assert all((first[0] == second[0]) == (first[1] == second[1]) for first in seen for second in seen)


@settings(max_examples=300)
@given(st.lists(st.tuples(times(), st.integers(-1, 5)), min_size=1, max_size=4, unique_by=lambda result: result[0][1]))
def test_the_length_is_that_of_the_newest_result(results: list[tuple[tuple[str, Fraction], int]]) -> None:
    parents = [-1, 0, 1, 4, 3]
    listed = [{"createdAt": time[0], "layer": layer} for time, layer in results]
    config = with_layers(parents, "x" * 5, [{}, {"layers": listed}])
    newest = max(results, key=lambda result: result[0][1])[1]
    expected = {0: 1, 1: 2, 2: 3}.get(newest, 0)
    assert layers.result_layers(config, layers.layer_tree(parents)) == [0, expected]


def test_a_result_without_a_time_is_older_than_any() -> None:
    results = [{"layer": 1}, {"layer": 0, "createdAt": "1970-01-01T00:00:00Z"}, {"layer": 1}]
    config = with_layers([-1, 0], "xy", [{"layers": results}])
    assert layers.result_layers(config, layers.layer_tree([-1, 0])) == [1]


def test_a_chain_has_its_own_layers() -> None:
    several = {"chains": [{"layers": [2]}, {"layers": [0, 2, 1]}]}
    config = with_layers(
        [-1, 0, 1], "xyz", [several, several | {"layers": [{"layer": 2}]}, {"chains": [{"layers": [2]}]}]
    )
    assert layers.result_layers(config, layers.layer_tree([-1, 0, 1])) == [3, 3, 1]


@pytest.mark.parametrize("count", [100_000])
def test_long_chains_and_long_cycles_are_followed_once(count: int) -> None:
    upwards = layers.layer_tree([at + 1 for at in range(count - 1)] + [-1])
    assert upwards.depth == list(range(count, 0, -1))
    ring = layers.layer_tree([*range(1, count), 0])
    assert (ring.depth, ring.cyclic) == ([0] * count, list(range(count)))
    lost = layers.layer_tree([at + 1 for at in range(count)])
    assert (lost.depth, lost.cyclic, lost.dangling) == ([0] * count, [], [count - 1])
