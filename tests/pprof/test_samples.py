"""Samples in lists and in arrays, against a model that takes each sample for itself, and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor.pprof import arrays
from cachedoctor.pprof.arrays import ArraySamples
from cachedoctor.pprof.samples import Edges, ListSamples, Samples, wrapped

NODES = 6
VALUES = st.one_of(st.integers(-5, 9), st.integers(-(2**63), 2**63 - 1))


class Given(NamedTuple):
    """Samples as the model takes them."""

    stacks: list[list[int]]
    values: list[int]
    lines: list[list[int]]

    def both(self) -> list[Samples]:
        return [ListSamples(*self), in_arrays(*self)]

    def frames(self, stack: list[int]) -> list[tuple[int, bool]]:
        """The nodes of a stack, leaf first, and whether each is inlined."""
        return [
            (node, at < len(self.lines[location]) - 1)
            for location in stack
            for at, node in enumerate(self.lines[location])
        ]


def in_arrays(stacks: list[list[int]], values: list[int], lines: list[list[int]]) -> ArraySamples:
    locations = np.array([location for stack in stacks for location in stack], np.int32)
    starts = np.cumsum([0, *map(len, stacks)], dtype=np.int64)
    return ArraySamples(locations, starts, np.array(values, np.int64), lines)


@st.composite
def samples(draw: st.DrawFn) -> Given:
    lines = draw(
        st.lists(st.lists(st.integers(0, NODES - 1), min_size=1, max_size=3), min_size=1, max_size=6), label="lines"
    )
    stacks = draw(st.lists(st.lists(st.integers(0, len(lines) - 1), max_size=8), max_size=8), label="stacks")
    values = draw(st.lists(VALUES, min_size=len(stacks), max_size=len(stacks)), label="values")
    return Given(stacks, values, lines)


MASKS = st.lists(st.booleans(), min_size=NODES, max_size=NODES)
LABELS = st.lists(st.integers(-1, 3), min_size=NODES, max_size=NODES)


@given(samples())
def test_iteration_spells_out_inlined_calls(given_samples: Given) -> None:
    expected = [
        ([node for node, _ in given_samples.frames(stack)], value)
        for stack, value in zip(given_samples.stacks, given_samples.values, strict=True)
    ]
    for kind in given_samples.both():
        assert [(list(nodes), value) for nodes, value in kind] == expected


@given(samples())
def test_total_and_weights(given_samples: Given) -> None:
    flat, cum = [0] * NODES, [0] * NODES
    for stack, value in zip(given_samples.stacks, given_samples.values, strict=True):
        nodes = [node for node, _ in given_samples.frames(stack)]
        for node in set(nodes):
            cum[node] += value
        if nodes:
            flat[nodes[0]] += value
    for kind in given_samples.both():
        assert kind.total() == wrapped(sum(map(abs, given_samples.values)))
        assert kind.weights(NODES) == (list(map(wrapped, flat)), list(map(wrapped, cum)))


def edges(given_samples: Given, kept: Sequence[bool], callees: Sequence[bool]) -> Edges:
    sums: Edges = {}
    for stack, value in zip(given_samples.stacks, given_samples.values, strict=True):
        shown = [frame for frame in reversed(given_samples.frames(stack)) if kept[frame[0]]]
        seen = set()
        for (caller, _), (callee, inlined) in pairwise(shown):
            edge = caller, callee
            if value and caller != callee and callees[callee] and edge not in seen:
                seen.add(edge)
                weight, called = sums.get(edge, (0, False))
                sums[edge] = wrapped(weight + value), called or not inlined
    return sums


@given(samples(), MASKS, MASKS)
def test_edges(given_samples: Given, kept: list[bool], callees: list[bool]) -> None:
    for kind in given_samples.both():
        assert kind.edges(kept, callees) == edges(given_samples, kept, callees)


@given(samples(), MASKS)
def test_edges_do_not_depend_on_how_the_work_is_divided(given_samples: Given, kept: list[bool]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for limit in ("FRAMES", "CELLS", "LOCATIONS"):
            patch.setattr(arrays, limit, 1)
        assert in_arrays(*given_samples).edges(kept, kept) == edges(given_samples, kept, kept)
        assert in_arrays(*given_samples).weights(NODES) == ListSamples(*given_samples).weights(NODES)


@given(samples(), st.lists(LABELS, max_size=3))
def test_label_is_that_of_the_node_nearest_to_the_leaf(given_samples: Given, labels: list[list[int]]) -> None:
    sums: dict[int, int] = {}
    for stack, value in zip(given_samples.stacks, given_samples.values, strict=True):
        nodes = [node for node, _ in given_samples.frames(stack)]
        label = next((of_nodes[node] for of_nodes in labels for node in nodes if of_nodes[node] >= 0), -1)
        sums[label] = wrapped(sums.get(label, 0) + abs(value))
    for kind in given_samples.both():
        assert kind.by_label(*labels) == sums


@given(samples(), st.data())
def test_samples_through_a_location(given_samples: Given, data: st.DataObject) -> None:
    size = len(given_samples.lines)
    locations = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    chosen = [
        (stack, value)
        for stack, value in zip(given_samples.stacks, given_samples.values, strict=True)
        if any(locations[location] for location in stack)
    ]
    expected = ListSamples([stack for stack, _ in chosen], [value for _, value in chosen], given_samples.lines)
    for kind in given_samples.both():
        assert as_lists(kind.through(locations)) == as_lists(expected)


@given(samples())
def test_cut_stacks(given_samples: Given) -> None:
    lines = [line[-1:] for line in given_samples.lines]
    expected = ListSamples([stack[1:] for stack in given_samples.stacks], given_samples.values, lines)
    for kind in given_samples.both():
        shorter = kind.cut(lines, lambda stack: stack[1:])
        assert shorter.lines == lines
        assert as_lists(shorter) == as_lists(expected)


def as_lists(kind: Samples) -> list[tuple[list[int], int]]:
    return [(list(nodes), value) for nodes, value in kind]


@pytest.mark.parametrize(
    ("number", "wraps_to"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (-(2**63), -(2**63)), (2**64 + 5, 5)]
)
def test_numbers_wrap_around_at_64_bits(number: int, wraps_to: int) -> None:
    assert wrapped(number) == wraps_to
