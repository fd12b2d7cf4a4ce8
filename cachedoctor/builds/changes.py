"""What differs between a build and an earlier one, by name and never by value."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence

from cachedoctor.builds.build import Build, Step
from cachedoctor.text import cut, printable

MOST_NAMES = 3
"""Names that one sentence lists."""
_LONGEST_NAME = 60
_ORDER = "order of "
"""Facts that begin like this also differ if what they are the order of does."""


def counterparts(build: Build, before: Build) -> list[Step | None]:
    """For each step, the step of the earlier build that it was; `None` for what is new.

    First come steps with the same digest, then those with the same instruction, then those of the same kind whose
    inputs come from the same steps. Each earlier step is taken once. O(steps).
    """
    earlier: list[int | None] = [None] * len(build.steps)
    taken: set[int] = set()

    def pair(key: Callable[[Step], Hashable], wanted: Callable[[Step], Hashable]) -> None:
        free: dict[Hashable, deque[int]] = defaultdict(deque)
        for number, step in enumerate(before.steps):
            if number not in taken:
                free[key(step)].append(number)
        for number, step in enumerate(build.steps):
            if earlier[number] is None and (sought := wanted(step)) and free.get(sought):
                earlier[number] = free[sought].popleft()
                taken.add(earlier[number] or 0)

    def inputs(step: Step) -> Hashable:
        return step.kind, tuple(needed.step for needed in step.inputs)

    def inputs_then(step: Step) -> Hashable:
        return step.kind, tuple(earlier[needed.step] for needed in step.inputs)

    def first_digest(step: Step) -> Hashable:
        return step.digests[:1]

    def instruction(step: Step) -> Hashable:
        return step.kind, step.label

    pair(first_digest, first_digest)
    pair(instruction, instruction)
    pair(inputs, inputs_then)
    return [None if number is None else before.steps[number] for number in earlier]


def differing(step: Step, earlier: Step) -> list[str]:
    """The names of the facts that differ, in their order; what is new or gone differs, too."""
    names = [
        name for name in dict.fromkeys((*step.facts, *earlier.facts)) if step.facts.get(name) != earlier.facts.get(name)
    ]
    return [name for name in names if not name.startswith(_ORDER)] or names


def listed(names: Sequence[str]) -> str:
    """Names in a sentence with their verb: `command and user differ`."""
    shown = [printable(cut(name, _LONGEST_NAME)) for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        shown.append(f"{len(names) - MOST_NAMES} more")
    return shown[0] + " differs" if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]} differ"
