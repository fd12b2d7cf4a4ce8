"""Logarithms of path counts, from floats instead of exact integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cachedoctor.graph.loops import Acyclic

_SCALE = 512
_LARGE = 2.0**_SCALE
"""Larger floats are divided by this number. How often is kept beside each of them."""


def of_paths(graph: Acyclic) -> list[float]:
    """For each item, the binary logarithm of the number of paths from a root to it. O(items + links)."""
    paths, scales = [1.0] * graph.size, [0] * graph.size
    for item, sources in graph.forwards:
        if sources:
            total, scale = 0.0, 0
            for source in sources:
                other = scales[source]
                if other == scale:
                    total += paths[source]
                elif other > scale:
                    total, scale = _scaled(total, scale - other) + paths[source], other
                else:
                    total += _scaled(paths[source], other - scale)
            if total >= _LARGE:
                total, scale = _scaled(total, -1), scale + 1
            paths[item], scales[item] = total, scale
    return _logarithms(paths, scales)


def of_walks(graph: Acyclic) -> list[float]:
    """For each item, the binary logarithm of the calls of a walk that starts there. O(items + links)."""
    walks, scales = [1.0] * graph.size, [0] * graph.size
    for item, sources in graph.backwards:
        walk, scale = walks[item], scales[item]
        if walk >= _LARGE:
            walk, scale = walks[item], scales[item] = _scaled(walk, -1), scale + 1
        for source in sources:
            other = scales[source]
            if other == scale:
                walks[source] += walk
            elif other < scale:
                walks[source], scales[source] = walk + _scaled(walks[source], other - scale), scale
            else:
                walks[source] += _scaled(walk, scale - other)
    return _logarithms(walks, scales)


def _scaled(number: float, scales: int) -> float:
    return math.ldexp(number, _SCALE * scales)


def _logarithms(numbers: Sequence[float], scales: Sequence[int]) -> list[float]:
    logarithms = list(map(math.log2, numbers))
    if not any(scales):
        return logarithms
    return [logarithm + _SCALE * scale for logarithm, scale in zip(logarithms, scales, strict=True)]
