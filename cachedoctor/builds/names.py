"""What the records of caches are called: the steps that make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cachedoctor.builds.build import Location


class Place(NamedTuple):
    """A step of one of several builds."""

    build: int
    step: int
    output: int


@dataclass(frozen=True, slots=True)
class Name:
    """What one record is."""

    label: str
    """In words, the first place first: `Dockerfile:12 COPY --from=deps /deps /app/deps`, or `content of /app for …`."""
    locations: tuple[Location, ...]
    """All lines that it can be, the likeliest first."""
    places: tuple[Place, ...]
    sure: bool
    """Whether it is one of these for certain: its digest and its inputs agree. Otherwise only its digest does."""
