"""What is left out of a profile: samples that the user does not ask for, and frames that the profile itself drops.

Expressions are RE2, as in pprof, so that matching takes linear time whatever they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from cachedoctor.errors import FocusError, InputError
from cachedoctor.pprof.names import without_arguments
from cachedoctor.pprof.profile import Profile
from cachedoctor.pprof.samples import Samples


class Expression(Protocol):
    """A compiled regular expression."""

    def search(self, text: str, /) -> object:
        """Something true if it matches anywhere."""


def focused(profile: Profile, focus: str) -> Profile:
    """The samples in which a function, its file or the binary matches. Raises `FocusError`."""
    try:
        expression = _compiled(focus)
    except ValueError as error:
        raise FocusError(f"{focus!r} is not a regular expression") from error
    matching = [any(map(expression.search, texts)) for texts in profile.texts]
    return replace(profile, samples=profile.samples.through(matching))


def without_dropped(names: Sequence[str], samples: Samples, drop: str, keep: str) -> Samples:
    """Leave out every frame that matches `drop` and not `keep`, and everything it called.

    `names` are those of the nodes, empty for code without a name, which stays. Raises `InputError` if one of the two is
    not a regular expression. Source: google/pprof, profile/prune.go, `RemoveUninteresting`.
    """
    dropped = _dropped(names, drop, keep)
    kept = list(samples.lines)
    whole: dict[int, bool] = {}
    """The locations with a dropped frame, and whether it is their outermost, so that nothing is left of them."""
    for location, nodes in enumerate(samples.lines):
        outermost = next((at for at in reversed(range(len(nodes))) if dropped[nodes[at]]), None)
        if outermost is not None:
            whole[location] = outermost == len(nodes) - 1
            kept[location] = nodes if whole[location] else nodes[outermost + 1 :]

    def cut(stack: list[int]) -> list[int]:
        """The stack from its root to the first dropped frame; frames at the root itself stay."""
        seen_other = False
        for at in reversed(range(len(stack))):
            drops_all = whole.get(stack[at])
            if drops_all is None:
                seen_other = True
            elif seen_other:
                return stack[at + 1 :] if drops_all else stack[at:]
        return stack

    return samples.cut(kept, cut)


def _compiled(text: str) -> Expression:
    """Raises `ValueError` if the text is not a regular expression."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        expression: Expression = re2.compile(text, options)
    except re2.error as error:
        raise ValueError("not a regular expression") from error
    return expression


def _dropped(names: Sequence[str], drop: str, keep: str) -> list[bool]:
    try:
        drops = _compiled(f"^({drop})$")
        keeps = _compiled(f"^({keep})$") if keep else None
    except ValueError as error:
        raise InputError("its drop_frames or keep_frames is not a regular expression") from error
    simple = map(without_arguments, names)
    return [bool(name and drops.search(name)) and not (keeps and keeps.search(name)) for name in simple]
