"""Layers, their parents and their chains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.chains import layers
from tests.support import digest, document, record
from tests.support import layers as listed


@given(st.lists(st.integers(-2, 8), max_size=8))
def test_depth_and_faults_as_if_each_layer_was_followed(parents: list[int]) -> None:
    tree = layers.layer_tree(parents)
    for layer in range(len(parents)):
        path = [layer]
        while 0 <= parents[path[-1]] < len(parents) and parents[path[-1]] not in path:
            path.append(parents[path[-1]])
        ends = parents[path[-1]] == -1
        assert tree.depth[layer] == (len(path) if ends else 0)
        assert (layer in tree.cyclic) == (parents[path[-1]] == layer)
        assert (layer in tree.dangling) == (parents[layer] != -1 and not 0 <= parents[layer] < len(parents))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-11-24T08:00:00Z", "2026-11-24T08:00:00.1Z"),
        ("2026-11-24T08:00:00.49Z", "2026-11-24T08:00:00.5Z"),
        ("2026-11-24T08:00:00.123456788Z", "2026-11-24T08:00:00.123456789Z"),
        ("2026-11-24T10:00:00+02:00", "2026-11-24T08:00:01Z"),
        ("", "0001-01-01T00:00:00Z"),
        ("2026-11-24T08:00:00.2+00:00", "2026-11-24T06:00:00.3-02:00"),
    ],
)
def test_instants_are_in_the_order_of_time(earlier: str, later: str) -> None:
    assert layers.instant(earlier) < layers.instant(later)


def test_the_newest_result_counts() -> None:
    one = record("root")
    one["layers"] = [
        {"layer": 2, "createdAt": "2026-11-24T08:00:00.4Z"},
        {"layer": 0, "createdAt": "2026-11-24T08:00:00.41Z"},
    ]
    config = document([one, record("x", [0], layer=2), record("y", [0])], listed(-1, 0, 1)).config
    assert layers.result_layers(config, layers.layer_tree(config.parents)) == [1, 3, 0]


def test_a_missing_blob_takes_all_below_it() -> None:
    config = document([], listed(-1, 0, 1, -1)).config
    blobs = frozenset({digest("layer 0"), digest("layer 2"), digest("layer 3")})
    assert list(layers.incomplete_layers(config, layers.layer_tree(config.parents), blobs)) == [0, 1, 1, 0]


def test_equal_chains_have_equal_numbers() -> None:
    first, second = document([], listed(-1, 0, 1)).config, document([], [*listed(-1, 0), *listed(-1)]).config
    numbers = layers.chain_numbers([first, second], [layers.layer_tree(one.parents) for one in (first, second)])
    assert numbers == [[0, 1, 2], [0, 1, 0]]


def test_marshalling_grows_with_the_third_power() -> None:
    assert [layers.marshal_steps(count) for count in (0, 1, 2, 100)] == [0, 0, 2, 250_000]
    whole = sum(map(layers.marshal_steps, range(401)))
    assert whole == pytest.approx(400**4 / 16, rel=0.01)
