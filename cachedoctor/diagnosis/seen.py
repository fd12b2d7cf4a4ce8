"""What a diagnosis sees at once, for causes to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cachedoctor.diagnosis.evidence import Evidence
from cachedoctor.diagnosis.exports import Export, Wait
from cachedoctor.diagnosis.phases import Phase
from cachedoctor.pprof.goroutines import Goroutine


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was read, and what was made of it."""

    evidence: Sequence[Evidence]
    """What was read; the first is what `shares` and `cores` are from."""
    shares: Mapping[Phase, float]
    cores: float | None
    exports: Sequence[Export]
    waits: Sequence[Wait]
    goroutines: Sequence[Goroutine] = field(default=())
    """All goroutines, in the order of the dumps."""

    @property
    def first(self) -> Evidence:
        """The profile that the table is from."""
        return self.evidence[0]

    @property
    def marks(self) -> Sequence[str]:
        """Lines that only a process prints that dies."""
        return [line for item in self.evidence for line in item.marks]

    @property
    def whole(self) -> bool:
        """Whether all dumps were read whole: only then it counts that something is not in them."""
        dumps = [item for item in self.evidence if item.kind == "goroutine"]
        return all(not item.warning for item in dumps) and (
            not self.goroutines
            or all(goroutine.id is None for goroutine in self.goroutines)
            or any(name == "main.main" for goroutine in self.goroutines for name in goroutine.stack)
        )
