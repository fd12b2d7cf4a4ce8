"""Frames that a profile itself asks to leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from cachedoctor.pprof import expressions
from cachedoctor.pprof.profile import Ints, Nodes

_RESERVED = re.compile(r"\(anonymous namespace\)|operator\(\)|(\()")


def uninteresting(
    names: Sequence[str], lines: list[list[int]], stacks: Nodes, starts: Ints, drop: str, keep: str
) -> tuple[list[list[int]], Nodes, Ints]:
    """Leave out every frame that matches `drop` and not `keep`, with all that it called.

    `names` are those of the nodes, empty for code without one, which stays. `lines` are the nodes of each location,
    innermost first; `stacks` the locations of all samples, leaf first; `starts` where each sample begins. Returns the
    same three without these frames. Raises `ValueError` where an expression is none. Source: google/pprof,
    profile/prune.go, `RemoveUninteresting`; the expressions are RE2, as there.
    """
    dropped = _dropped(names, drop, keep)
    beneath: dict[int, bool] = {}
    kept = list(lines)
    for location, nodes in enumerate(lines):
        found = next((at for at in reversed(range(len(nodes))) if dropped[nodes[at]]), None)
        if found is not None:
            beneath[location] = found == len(nodes) - 1
            kept[location] = nodes if beneath[location] else nodes[found + 1 :]
    parts = [_cut(stacks[begin:end].tolist(), beneath) for begin, end in pairwise(starts)]
    sizes = np.array([0, *map(len, parts)], np.int64)
    return kept, np.array([place for part in parts for place in part], np.int32), np.cumsum(sizes)


def _dropped(names: Sequence[str], drop: str, keep: str) -> list[bool]:
    try:
        drops = expressions.compiled(f"^({drop})$")
        keeps = expressions.compiled(f"^({keep})$") if keep else None
    except ValueError as error:
        raise ValueError("its drop_frames or keep_frames is no regular expression") from error
    simple = map(_simplified, names)
    return [bool(name and drops.search(name)) and not (keeps and keeps.search(name)) for name in simple]


def _simplified(name: str) -> str:
    """A function name without its argument list."""
    name = name.removeprefix(".")
    for found in _RESERVED.finditer(name):
        if found.group(1):
            return name[: found.start()]
    return name


def _cut(stack: list[int], beneath: dict[int, bool]) -> list[int]:
    """A stack from the first frame on that is left out, seen from its root, but for those at the root itself."""
    seen_other = False
    for at in reversed(range(len(stack))):
        whole = beneath.get(stack[at])
        if whole is None:
            seen_other = True
        elif seen_other:
            return stack[at + 1 :] if whole else stack[at:]
    return stack
