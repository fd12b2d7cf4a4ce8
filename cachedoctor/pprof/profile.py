"""A profile: its samples, and what is known about them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachedoctor.pprof.samples import Samples


class ValueType(NamedTuple):
    """What a value of a sample counts, such as `cpu` in `nanoseconds`."""

    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Samples of one type, and the names of their nodes.

    A node is a function by its name; code without a name is a node for each file it comes from.
    """

    kind: str
    """`cpu`, `heap`, `goroutine`, `contention` (a mutex or block profile), or the name of its first sample type."""
    sample_type: ValueType
    names: Sequence[str]
    """The printable name of each node, as `go tool pprof -top` prints it."""
    samples: Samples
    """Their values are in the unit of the sample type."""
    texts: Sequence[Sequence[str]]
    """For each location, the names of its functions, their files and the binary: what `--focus` is matched against."""
    file: str = ""
    """The binary."""
    build_id: str = ""
    comments: Sequence[str] = ()
    doc_url: str = ""
    time_nanos: int = 0
    """When it was taken, in nanoseconds since 1970; 0 if unknown."""
    duration_nanos: int = 0
    """How long it took, 0 if unknown."""

    @property
    def total(self) -> int:
        """The sum of all values without their signs, as pprof takes it."""
        return self.samples.total()

    @property
    def duration_seconds(self) -> float | None:
        """How long it took, `None` if unknown."""
        return self.duration_nanos / 1e9 if self.duration_nanos else None

    def stacks(self) -> Iterator[tuple[list[str], int]]:
        """All distinct stacks, as names from the root to the leaf, each with the sum of its values if that is not 0."""
        sums: dict[bytes, int] = {}
        for nodes, value in self.samples:
            key = array("i", nodes).tobytes()
            sums[key] = sums.get(key, 0) + value
        for key, value in sums.items():
            if value:
                yield [self.names[node] for node in reversed(memoryview(key).cast("i"))], value
