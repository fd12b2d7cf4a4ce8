"""What a rule is: the facts that its decorator states, what its check is given, and what it yields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import NamedTuple

from cachedoctor.buildkit import IMPORT_LIMIT, Release, Span
from cachedoctor.builds.build import Location
from cachedoctor.builds.known import NOTHING, Known
from cachedoctor.graph.survey import Survey
from cachedoctor.sources import CacheDocument


class Severity(StrEnum):
    """How bad a finding is. The words are ordered: `Severity.ERROR > "warning"`."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return tuple(Severity).index(self)

    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


class Scope(Enum):
    """What a rule judges when several sources are checked."""

    DOCUMENT = "document"
    """Each document alone; every finding names its source."""
    SOURCE = "source"
    """Each source alone. All sources together never break such a rule, even if they do not keep it as one cache."""
    TOGETHER = "together"
    """Each source alone, and the cache that all of them make together."""
    BUILD = "build"
    """What a build finds in all sources together; each source alone only if they are not judged together."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The number behind a finding, so that two runs can be compared."""

    unit: str
    """`bytes`, `calls`, `records` and so on; findings of one rule may count different things."""
    value: int
    exact: bool = True
    """False if another run, even on the same cache, could give another number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still acceptable."""

    max_seconds: float = 60.0
    """An export step that takes longer is an error."""
    warn_seconds: float = 1.0
    """An export step that takes this long is a warning."""
    max_calls: int | None = None
    """More loop-check calls are an error, however fast they are; `None` if only time counts."""
    max_bytes: int = IMPORT_LIMIT
    """A larger config or manifest is an error."""
    min_hits: float | None = None
    """A smaller percentage of the steps of a build that hit is an error; `None` if any will do."""


class Context(NamedTuple):
    """What a check is given."""

    documents: Sequence[CacheDocument]
    survey: Survey
    limits: Limits
    buildkit: Release | None
    """The release to judge for, `None` for all."""
    known: Known = NOTHING
    """What builds say of the records."""


class Found(NamedTuple):
    """What a check yields. `Finding` adds what all findings of the rule have in common."""

    message: str
    records: Sequence[int | str] = ()
    """Records, or whatever `Rule.noun` says, by index in their document, or by digest if several were merged."""
    source: str = ""
    severity: Severity | None = None
    """`None` for the severity of the rule."""
    measure: Measure | None = None
    """`None` if `records` are what is counted."""
    refuses: bool = True
    """False if this finding is not a reason for BuildKit to refuse the cache, although the rule is about such."""
    help: tuple[str, ...] = ()
    """What to do about this finding, if it is not what `Rule.help` says."""
    members: frozenset[str] | None = None
    """All digests that the finding is about. If given, all sources together only have a finding if it has a digest
    that no source has in a finding of its own; otherwise `measure` decides."""
    headline: str = ""
    """A sentence for the headline of the report, if the usual one does not say it."""
    lines: Sequence[Location] = ()
    """The lines of the Dockerfile that cause it, most first, if they are not those of `records`."""


class Rule(NamedTuple):
    """One rule, as its file declares it with the decorator `rule`."""

    id: str
    """`CD` and three digits; the first of them is that of its family."""
    name: str
    """Such as `path-explosion`."""
    severity: Severity
    affects: str
    """The BuildKit releases that it is about, for people."""
    help: tuple[str, ...]
    """What to do, the best step first. What stands in a step behind a line break is a command; `SOURCE`, `DEST` and
    `src=DIR` in it stand for those of the caches that a finding is about (`_advice.with_names`)."""
    check: Callable[[Context], Iterator[Found]]
    scope: Scope
    refused_by: Span | None
    """The releases that refuse the whole cache, `None` if all import it."""
    noun: str
    """What `records` of its findings are: `record` or `layer`."""
    table: str
    """The table that a short report shows along with its findings, empty for none."""

    @property
    def summary(self) -> str:
        """What is wrong, in one sentence: the first line of its file."""
        return self._documentation[0]

    @property
    def about(self) -> str:
        """Its documentation in Markdown: the rest of the docstring of its file."""
        return self._documentation[2].strip()

    @property
    def _documentation(self) -> tuple[str, str, str]:
        return (sys.modules[self.check.__module__].__doc__ or "").partition("\n\n")


def rule(
    id: str,
    name: str,
    severity: Severity,
    *,
    affects: str,
    help: tuple[str, ...],
    scope: Scope,
    refused_by: Span | None = None,
    noun: str = "record",
    table: str = "",
) -> Callable[[Callable[[Context], Iterator[Found]]], Rule]:
    """Make a rule of a check. The parameters are the fields of `Rule`."""

    def decorate(check: Callable[[Context], Iterator[Found]]) -> Rule:
        return Rule(id, name, severity, affects, help, check, scope, refused_by, noun, table)

    return decorate


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a cache."""

    rule: str
    """The id of its rule."""
    name: str
    """The name of its rule."""
    severity: Severity
    message: str
    """What was found, and what it means."""
    affects: str
    """The BuildKit releases that it is about."""
    help: tuple[str, ...]
    """What to do, the best step first. What stands in a step behind a line break is a command."""
    general_help: tuple[str, ...] = ()
    """The same for several caches of that kind: with `SOURCE`, `DEST` and `src=DIR` instead of their names."""
    records: tuple[int | str, ...] = ()
    """Records, or whatever `noun` says, by index in their document, or by digest if several were merged."""
    count: int = 0
    """How many there are; `records` stops at `registry.MOST_RECORDS`."""
    source: str = ""
    """The source that it is in, empty if it is about all of them together."""
    measure: Measure = Measure("records", 0)
    known: bool = False
    """Whether it is in the baseline, and did not get worse since."""
    refused_by: Span | None = None
    """The releases that refuse the whole cache for it; `None` if none does, or not the one that was judged for."""
    noun: str = "record"
    """What `records` are: `record` or `layer`."""
    table: str = ""
    """The table that a short report shows along with it, empty for none."""
    members: frozenset[str] | None = field(default=None, repr=False)
    """All digests that it is about, if that decides whether it is new (`Found.members`)."""
    headline: str = ""
    """A sentence for the headline of the report, if the usual one does not say it."""
    locations: tuple[Location, ...] = ()
    """The lines of the Dockerfile that cause it, most first, if a build is known; at most `registry.MOST_LINES`."""


def verdict(findings: Iterable[Finding]) -> str:
    """The worst severity among findings: `error`, `warning`, or `ok` if there are only notes."""
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    return "ok" if worst <= Severity.NOTE else str(worst)
