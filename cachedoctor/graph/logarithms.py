"""Logarithms of path counts, for comparisons that need no exact number and no large integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cachedoctor.graph.loops import Acyclic

_SCALE = 512
_LARGE_FLOAT = 2.0**_SCALE
"""Larger floats are divided by this, and how often is kept beside them."""


def logarithms(graph: Acyclic) -> tuple[list[float], list[float]]:
    """For each item the binary logarithms of the paths to it, and of the calls of a walk that starts at it."""
    return log_paths(graph), _log_walks(graph)


def log_paths(graph: Acyclic) -> list[float]:
    """For each item the binary logarithm of the paths to it."""
    paths, scales = [1.0] * graph.size, [0] * graph.size
    for item, sources in graph.forwards:
        if sources:
            total, scale = 0.0, 0
            for source in sources:
                there = scales[source]
                if there == scale:
                    total += paths[source]
                elif there > scale:
                    total, scale = _scaled(total, scale - there) + paths[source], there
                else:
                    total += _scaled(paths[source], there - scale)
            if total >= _LARGE_FLOAT:
                total, scale = _scaled(total, -1), scale + 1
            paths[item], scales[item] = total, scale
    return _logarithms(paths, scales)


def _log_walks(graph: Acyclic) -> list[float]:
    walks, scales = [1.0] * graph.size, [0] * graph.size
    for item, sources in graph.backwards:
        walk, scale = walks[item], scales[item]
        if walk >= _LARGE_FLOAT:
            walk, scale = walks[item], scales[item] = _scaled(walk, -1), scale + 1
        for source in sources:
            there = scales[source]
            if there == scale:
                walks[source] += walk
            elif there < scale:
                walks[source], scales[source] = walk + _scaled(walks[source], there - scale), scale
            else:
                walks[source] += _scaled(walk, scale - there)
    return _logarithms(walks, scales)


def _scaled(number: float, scales: int) -> float:
    return math.ldexp(number, _SCALE * scales)


def _logarithms(numbers: Sequence[float], scales: Sequence[int]) -> list[float]:
    logarithms = list(map(math.log2, numbers))
    return (
        [number + _SCALE * scale for number, scale in zip(logarithms, scales, strict=True)]
        if any(scales)
        else logarithms
    )
