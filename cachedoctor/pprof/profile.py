"""A profile as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Nodes = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a value of a sample counts, such as `cpu` in `nanoseconds`."""

    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Profile:
    """n samples, each a stack and a value.

    A node is a function by its name; code without a name is a node for each file it comes from.
    """

    source: str
    kind: str
    """`cpu`, `heap`, `goroutine`, `contention` (a mutex or block profile), or the name of its first sample type."""
    sample_type: ValueType
    names: Sequence[str]
    """The printable name of each node, as `go tool pprof -top` prints it."""
    frames: Nodes
    """The nodes of all stacks, each from the leaf to the root, one stack after the other."""
    inlined: npt.NDArray[np.bool_]
    """For each frame, whether it was inlined into the next."""
    starts: Ints
    """n + 1 places in `frames`: where each stack begins, and the end."""
    values: Ints
    """The value of each sample, in the unit of the sample type."""
    locations: Nodes
    """The locations of all stacks, each from the leaf to the root: frames before inlined calls are spelled out."""
    location_starts: Ints
    """n + 1 places in `locations`."""
    texts: Sequence[Sequence[str]]
    """For each location, the names of its functions, their files and the binary: what `focus` is looked for in."""
    file: str = ""
    """The binary."""
    build_id: str = ""
    comments: Sequence[str] = ()
    doc_url: str = ""
    time_nanos: int = 0
    """When it was taken, in nanoseconds since 1970, 0 where that is not known."""
    duration_nanos: int = 0
    """How long it was taken for, 0 where that is not known."""

    @property
    def total(self) -> int:
        """The sum of all values without their signs, as pprof takes it."""
        return int(np.abs(self.values).sum())

    @property
    def duration_seconds(self) -> float | None:
        """How long it was taken for."""
        return self.duration_nanos / 1e9 if self.duration_nanos else None

    def subset(self, samples: npt.NDArray[np.bool_]) -> Profile:
        """The profile with some of its samples."""
        sizes, location_sizes = np.diff(self.starts), np.diff(self.location_starts)
        frames = np.repeat(samples, sizes)
        return replace(
            self,
            frames=self.frames[frames],
            inlined=self.inlined[frames],
            starts=_bounds(sizes[samples]),
            values=self.values[samples],
            locations=self.locations[np.repeat(samples, location_sizes)],
            location_starts=_bounds(location_sizes[samples]),
        )


def _bounds(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
