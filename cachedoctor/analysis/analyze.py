"""From cache documents to findings: this is where sources, the graph and the rules meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachedoctor.buildkit import Release
from cachedoctor.errors import CountTooLarge, InputError
from cachedoctor.graph.survey import Progress, Survey, survey
from cachedoctor.rules import RULES, Context, Finding, Limits, Severity, findings, verdict
from cachedoctor.sources import CacheDocument


class Check(NamedTuple):
    """How `check` judged."""

    fail_on: Severity
    """Findings of this severity or worse fail the check."""
    rules: tuple[str, ...]
    """The ids of the rules that were run, in order."""
    baseline: str = ""
    """The file that findings were compared with, empty if there was none."""
    missing: tuple[str, ...] = ()
    """Sources that do not exist yet, and are allowed to be missing."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a report shows."""

    documents: Sequence[CacheDocument]
    survey: Survey
    findings: Sequence[Finding]
    limits: Limits
    buildkit: Release | None
    """The release that was judged for, `None` for all."""
    labels: Mapping[str, str]
    """A description of a record, such as `RUN make`, by its digest."""
    check: Check | None = None
    """`None` if this is not a check."""

    @property
    def verdict(self) -> str:
        """`ok`, `warning` or `error`."""
        return verdict(self.findings)

    @property
    def sources(self) -> list[str]:
        """Each source once, in the order given."""
        return list(dict.fromkeys(document.source for document in self.documents))

    def owner(self, finding: Finding) -> str:
        """The source that a finding is about, empty if it is about several of them together."""
        sources = self.sources
        return finding.source or (sources[0] if len(sources) == 1 else "")

    @property
    def failing(self) -> list[Finding]:
        """The findings that fail a check; without a check, the errors."""
        level = self.check.fail_on if self.check else Severity.ERROR
        return [finding for finding in self.findings if finding.severity >= level and not finding.known]

    def failed(self, source: str | None = None) -> list[str]:
        """The ids of the rules that fail a check: for one source, for all together (empty), or anywhere (`None`)."""
        return sorted({finding.rule for finding in self.failing if source is None or self.owner(finding) == source})

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules that were run."""
        return self.check.rules if self.check else tuple(rule.id for rule in RULES)


def analyze(
    documents: Sequence[CacheDocument],
    *,
    limits: Limits | None = None,
    buildkit: Release | None = None,
    labels: Mapping[str, str] | None = None,
    progress: Progress = lambda step: None,
) -> Analysis:
    """Judge the cache that these documents make together, in the order given, as several `--cache-from` do.

    Raises `InputError` if there are so many paths that their exact number would not fit into memory.
    """
    limits = limits or Limits()
    try:
        surveyed = survey([document.config for document in documents], progress)
    except CountTooLarge as error:
        sources = ", ".join(document.source for document in documents)
        raise InputError(f"cannot count its paths: {error}", source=sources) from error
    progress("judging")
    context = Context(documents, surveyed, limits, buildkit)
    return Analysis(documents, surveyed, findings(context), limits, buildkit, labels or {})
