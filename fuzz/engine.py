"""One run of atheris: `python -m fuzz.engine TARGET [libFuzzer options and folders]`. libFuzzer ends the process."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

import atheris

with atheris.instrument_imports(include=["cachedoctor"]):
    from fuzz.targets import TARGETS, Cross, Mutate

FORM_KEPT = 0.9
"""The share of changes that keep an input parsable; the others change any byte."""


def main() -> None:
    """Fuzz until time is up or something fails."""
    target = TARGETS[sys.argv[1]]
    more: dict[str, Any] = {}
    if target.mutate:
        more["custom_mutator"] = _mutator(target.mutate)
    if target.cross:
        more["custom_crossover"] = _crossing(target.cross)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run, **more)
    atheris.Fuzz()


def _mutator(mutate: Mutate) -> Callable[[bytes, int, int], bytes]:
    def mutated(data: bytes, most: int, seed: int) -> bytes:
        choose = random.Random(seed)
        result = mutate(data, choose) if choose.random() < FORM_KEPT else None
        if result is not None and len(result) <= most:
            return result
        # atheris provides a working `Mutate` only once it has started, so it is looked up here.
        changed: bytes = atheris.Mutate(data, most)
        return changed

    return mutated


def _crossing(cross: Cross) -> Callable[[bytes, bytes, int, int], bytes]:
    def crossed(data: bytes, other: bytes, most: int, seed: int) -> bytes:
        result = cross(data, other, random.Random(seed))
        return result if result is not None and len(result) <= most else data

    return crossed


if __name__ == "__main__":
    main()
