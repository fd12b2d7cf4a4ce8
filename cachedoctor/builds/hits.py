"""Which steps of a build will hit in a cache, and why the others miss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What will become of a step."""

    HIT = "hit"
    MISS = "miss"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a step does not hit for certain."""

    CHANGED = "changed"
    BASE_IMAGE = "base-image"
    INPUT_MISSED = "input-missed"
    CONTENT_UNKNOWN = "content-unknown"
    NOT_IN_CACHE = "not-in-cache"
    NO_RESULT = "no-result"
    LOST_LINK = "lost-link"


class Hit(NamedTuple):
    """What will become of one step."""

    step: int
    """Its index in `Build.steps`."""
    state: State
    reason: Reason | None
    """`None` for a hit."""
    because: str
    """In words: what differs, by name and never by value."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What will become of the steps of one build."""

    build: int
    steps: tuple[Hit, ...]
    """Those that have a place in the Dockerfile, in its order."""

    def count(self, state: State) -> int:
        """How many steps are in this state."""
        return sum(hit.state is state for hit in self.steps)
