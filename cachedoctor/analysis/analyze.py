"""From cache documents to a diagnosis: the one place where sources, chains and rules meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cachedoctor.buildkit import Version
from cachedoctor.errors import CountTooLarge, InputError
from cachedoctor.graph.survey import Progress, Survey, survey
from cachedoctor.rules import RULES, Context, Finding, Limits, Severity, findings, verdict
from cachedoctor.sources import CacheDocument


@dataclass(frozen=True, slots=True)
class Check:
    """How `check` judged."""

    fail_on: Severity
    """Findings of this severity and worse fail it."""
    rules: tuple[str, ...]
    """The ids of the rules that were asked, in order."""
    baseline: str = ""
    """The file that findings were compared with, empty where there was none."""
    missing: tuple[str, ...] = ()
    """Sources that are not there yet, where that is all right."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that a report tells."""

    documents: Sequence[CacheDocument]
    survey: Survey
    findings: Sequence[Finding]
    limits: Limits
    buildkit: Version | None
    """The version that was judged for, `None` for all."""
    labels: Mapping[str, str]
    """What is known of a record by its digest, such as `RUN make`."""
    check: Check | None = None
    """`None` where nobody asked for a judgement."""

    @property
    def verdict(self) -> str:
        """`ok`, `warning` or `error`."""
        return verdict(self.findings)

    @property
    def sources(self) -> list[str]:
        """Each source once, in the order given."""
        return list(dict.fromkeys(document.source for document in self.documents))

    def owner(self, finding: Finding) -> str:
        """The source that a finding is about, empty where it takes several to find it."""
        sources = self.sources
        return finding.source or (sources[0] if len(sources) == 1 else "")

    @property
    def failing(self) -> list[Finding]:
        """The findings that make a check fail; without a check, the errors."""
        level = self.check.fail_on if self.check else Severity.ERROR
        return [finding for finding in self.findings if finding.severity >= level and not finding.known]

    def failed(self, source: str | None = None) -> list[str]:
        """The ids of the rules that make a check fail, of one source (empty for all together) or anywhere."""
        found = self.failing
        return sorted({finding.rule for finding in found if source is None or self.owner(finding) == source})

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules that were asked."""
        return self.check.rules if self.check else tuple(rule.id for rule in RULES)


def analyze(
    documents: Sequence[CacheDocument],
    *,
    limits: Limits | None = None,
    buildkit: Version | None = None,
    labels: Mapping[str, str] | None = None,
    progress: Progress = lambda step: None,
) -> Analysis:
    """Judge the cache that these documents make together, in the order given, as several `--cache-from` do.

    Raises `InputError` where there are so many paths that their exact number would not fit into memory.
    """
    limits = limits or Limits()
    try:
        found = survey([document.config for document in documents], progress)
    except CountTooLarge as error:
        sources = ", ".join(document.source for document in documents)
        raise InputError(f"cannot count its paths: {error}", source=sources) from error
    progress("judging")
    context = Context(documents, found, limits, buildkit)
    return Analysis(documents, found, findings(context), limits, buildkit, labels or {})
