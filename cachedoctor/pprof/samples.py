"""The samples of a profile, and what is added up over them.

Two classes give the same results. `ListSamples` keeps lists and needs nothing but Python, which is fastest for a few
hundred thousand frames. `arrays.ArraySamples` keeps numpy arrays, for profiles so large that importing numpy pays off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import Protocol

Lines = Sequence[Sequence[int]]
"""The nodes of each location, innermost first: every node but the last is inlined into the next."""
UNKNOWN_LOCATION = "a sample: it has a location that is not in the profile"
Edges = dict[tuple[int, int], tuple[int, bool]]
"""For each caller and callee, the value of the samples with this call, and whether any such call was not inlined."""


class Samples(Protocol):
    """n samples. Each is a stack of locations, leaf first, and a value.

    Sums wrap around at 64 bits, as they do in pprof.
    """

    @property
    def lines(self) -> Lines:
        """The nodes of each location: several if calls were inlined."""

    def __iter__(self) -> Iterator[tuple[Sequence[int], int]]:
        """The nodes of each sample, leaf first, inlined calls spelled out; and its value."""

    def total(self) -> int:
        """The sum of all values without their signs, as pprof takes it."""

    def weights(self, nodes: int) -> tuple[list[int], list[int]]:
        """For each of so many nodes its flat value (samples whose leaf it is) and its cum value (samples it is in)."""

    def edges(self, kept: Sequence[bool], callees: Sequence[bool]) -> Edges:
        """The calls of `callees` once all nodes that are not kept are left out.

        A call counts once in each sample, and whether it is inlined is seen at its occurrence nearest to the root
        (pprof, internal/graph, `newGraph`).
        """

    def by_label(self, *labels: Sequence[int]) -> dict[int, int]:
        """The sum of values, without their signs, for each label.

        Each of `labels` gives every node a label, -1 for none. A sample has the label of the node nearest to its leaf
        that has one in the first of them, otherwise in the second, and so on; -1 if no node has any.
        """

    def through(self, locations: Sequence[bool]) -> Samples:
        """The samples whose stacks go through one of these locations."""

    def cut(self, lines: Lines, cut: Callable[[list[int]], list[int]]) -> Samples:
        """The samples with other lines, and with what `cut` leaves of their stacks of locations."""


@dataclass(frozen=True, slots=True)
class ListSamples:
    """Samples as lists; see `Samples`."""

    stacks: Sequence[list[int]]
    values: Sequence[int]
    lines: Lines

    def __iter__(self) -> Iterator[tuple[Sequence[int], int]]:
        for stack, value in self._pairs():
            yield list(chain.from_iterable(map(self.lines.__getitem__, stack))), value

    def total(self) -> int:
        return wrapped(sum(map(abs, self.values)))

    def weights(self, nodes: int) -> tuple[list[int], list[int]]:
        flat, cum = [0] * nodes, [0] * nodes
        for stack, value in self._pairs():
            if stack:
                flat[self.lines[stack[0]][0]] += value
            for node in set(chain.from_iterable(map(self.lines.__getitem__, set(stack)))):
                cum[node] += value
        return list(map(wrapped, flat)), list(map(wrapped, cum))

    def edges(self, kept: Sequence[bool], callees: Sequence[bool]) -> Edges:
        # From the outermost line inwards; the outermost is called, the others are inlined.
        shown = [[(node, at == 0) for at, node in enumerate(reversed(nodes)) if kept[node]] for nodes in self.lines]

        @cache
        def steps(above: int, location: int) -> list[tuple[tuple[int, int], bool]]:
            caller = shown[above][-1][0] if above >= 0 else -1
            calls = []
            for node, called in shown[location]:
                if caller not in (-1, node) and callees[node]:
                    calls.append(((caller, node), called))
                caller = node
            return calls

        edges: Edges = {}
        for stack, value in self._pairs():
            if not value:
                continue
            path = [-1, *(location for location in reversed(stack) if shown[location])]
            calls: dict[tuple[int, int], bool] = {}
            for above, location in dict.fromkeys(pairwise(path)):
                for edge, called in steps(above, location):
                    calls.setdefault(edge, called)
            for edge, called in calls.items():
                weight, ever_called = edges.get(edge, (0, False))
                edges[edge] = weight + value, ever_called or called
        return {edge: (wrapped(weight), called) for edge, (weight, called) in edges.items()}

    def by_label(self, *labels: Sequence[int]) -> dict[int, int]:
        of_locations = [[_first(map(of_node.__getitem__, nodes)) for nodes in self.lines] for of_node in labels]
        sums: dict[int, int] = {}
        for stack, value in self._pairs():
            label = _first(_first(map(of_location.__getitem__, stack)) for of_location in of_locations)
            sums[label] = sums.get(label, 0) + abs(value)
        return {label: wrapped(value) for label, value in sums.items()}

    def through(self, locations: Sequence[bool]) -> ListSamples:
        kept = [(stack, value) for stack, value in self._pairs() if any(map(locations.__getitem__, stack))]
        return ListSamples([stack for stack, _ in kept], [value for _, value in kept], self.lines)

    def cut(self, lines: Lines, cut: Callable[[list[int]], list[int]]) -> ListSamples:
        return ListSamples(list(map(cut, self.stacks)), self.values, lines)

    def _pairs(self) -> Iterator[tuple[list[int], int]]:
        return zip(self.stacks, self.values, strict=True)


def _first(labels: Iterator[int]) -> int:
    return next((label for label in labels if label >= 0), -1)


def wrapped(number: int) -> int:
    """A number as 64 bits with a sign hold it."""
    return (number + 2**63) % 2**64 - 2**63
