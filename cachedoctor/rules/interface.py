"""What a rule is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cachedoctor.buildkit import Version
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import CacheDocument

MOST_RECORDS = 1_000
"""Records that a finding names; `count` says how many there are."""


IMPORTED_BYTES = 1_048_576
"""Bytes of config or manifest that BuildKit still imports (v0.8 to v0.32: `remotecache.readBlob`)."""


class Severity(StrEnum):
    """How bad a finding is: a word, and an order of words."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, and one more for each that is worse."""
        return tuple(Severity).index(self)

    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


@dataclass(frozen=True, slots=True)
class Measure:
    """What a finding counts, so that two runs can be compared."""

    unit: str
    """`bytes`, `calls`, `records` and the like; findings of one rule may count different things."""
    value: int
    exact: bool = True
    """Whether another run, or the same cache once more, cannot give another number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still borne."""

    max_seconds: float = 60.0
    """From here on an export step is an error."""
    warn_seconds: float = 1.0
    """From here on an export step is a warning."""
    max_calls: int | None = None
    """More loop-check calls than these are an error, however short they take; `None` where time alone decides."""
    max_bytes: int = IMPORTED_BYTES
    """More bytes of config or manifest than these are an error."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that rules look at."""

    documents: Sequence[CacheDocument]
    survey: Survey
    limits: Limits
    buildkit: Version | None
    """Judge for this version only; for all where `None`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule saw in one place; `Finding` adds what all findings of the rule have in common."""

    message: str
    records: Sequence[int | str] = ()
    """Records, or layers for the rules on layers."""
    source: str = ""
    severity: Severity | None = None
    """Where it is another than the rule's own."""
    measure: Measure | None = None
    """Where something else than `records` is counted."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its words, and the function that looks for it."""

    id: str
    name: str
    severity: Severity
    affects: str
    help: tuple[str, ...]
    check: Callable[[Context], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    rule: str
    """Its id, such as `CD201`."""
    name: str
    """Its name, such as `path-explosion`."""
    severity: Severity
    message: str
    """What was found, and what it means."""
    affects: str
    """The BuildKit versions that it touches."""
    help: tuple[str, ...]
    """What to do, what helps most first."""
    records: tuple[int | str, ...] = ()
    """Records (layers for the rules on layers) by index in their document, or by digest where several were merged."""
    count: int = 0
    """How many there are; `records` stops at `MOST_RECORDS`."""
    source: str = ""
    """The source that it was found in, empty where it is about all of them together."""
    measure: Measure = Measure("records", 0)
    known: bool = False
    """Whether a baseline has it, and it did not get worse since."""


def verdict(findings: Iterable[Finding]) -> str:
    """`error`, `warning` or `ok`: the worst of the findings, notes not counted."""
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    return "ok" if worst <= Severity.NOTE else str(worst)
