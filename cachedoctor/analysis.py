"""From cache documents to a diagnosis: the one place where sources, chains and rules meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cachedoctor.chains.paths import CountTooLarge
from cachedoctor.chains.survey import Progress, Survey, survey
from cachedoctor.errors import InputError
from cachedoctor.rules import Context, Finding, Limits, findings, verdict
from cachedoctor.rules.versions import Version
from cachedoctor.sources import CacheDocument


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

    @property
    def verdict(self) -> str:
        """`ok`, `warning` or `error`."""
        return verdict(self.findings)


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
        raise InputError(sources, "", f"cannot count its paths: {error}") from error
    progress("judging")
    context = Context(documents, found, limits, buildkit)
    return Analysis(documents, found, findings(context), limits, buildkit, labels or {})
