"""What a diagnosis sees at once, for causes to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cachedoctor.text import printable

if TYPE_CHECKING:
    from cachedoctor.diagnosis.evidence import Evidence
    from cachedoctor.diagnosis.exports import Export, Wait
    from cachedoctor.diagnosis.phases import Phase
    from cachedoctor.diagnosis.twice import Twice
    from cachedoctor.pprof.goroutines import Goroutine
    from cachedoctor.pprof.top import Row, Top


def row_line(table: Top, row: Row) -> str:
    """A row as its table has it, to be shown as evidence."""
    summed = next((summed for each, summed in table.summed() if each.function == row.function), row.flat)
    return printable(table.line(row, summed).strip())


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
    twice: Twice | None = None
    """What moved since an earlier dump, if there is one."""

    @property
    def first(self) -> Evidence:
        """The profile that the table is from."""
        return self.evidence[0]

    @property
    def marks(self) -> Sequence[str]:
        """Lines that only a process prints that dies, without the signals that ask for a dump."""
        return [mark for item in self.evidence for mark in item.died]

    @property
    def whole(self) -> bool:
        """Whether all dumps were read whole: only then it counts that something is not in them."""
        dumps = [item for item in self.evidence if item.kind == "goroutine"]
        return all(item.whole for item in dumps) and (
            not self.goroutines
            or (all(goroutine.stack or goroutine.hidden for goroutine in self.goroutines) and self._has_main)
        )

    @property
    def _has_main(self) -> bool:
        """Whether the first goroutine of the program is there; only dumps of `debug=2` can be checked for it."""
        return all(goroutine.id is None for goroutine in self.goroutines) or any(
            name == "main.main" for goroutine in self.goroutines for name in goroutine.stack
        )
